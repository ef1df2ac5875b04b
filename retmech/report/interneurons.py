"""What is known of a model's interneurons from recordings of the retina's own."""

import numpy as np
import xarray as xr

from retmech.report.blocks import Block, numbers, texts


def sentences(found: xr.Dataset) -> list[str]:
    """How alike they are, and whether chance would do as well."""
    lines = []
    for name in found["set"].values:
        here = found.sel(set=name)
        kind = str(found["kind"].values[found["group"].values == name][0])
        n = int((found["group"] == name).sum())
        said = []
        for level in found["level"].values:
            own = here.sel(level=level)
            said.append(
                f"{level}s {float(own['correlation']):.2f} (permuted ones {float(own['null'].sel(quantile=0.5)):.2f}, "
                f"p = {float(own['p_value']):.3f})"
            )
        lines.append(f"Correlation with the {n} {kind} cells of {name}, mean of the best: {', '.join(said)}.")
    return lines


def block(found: xr.Dataset) -> Block:
    """Correlation of every channel and factor with every recorded cell, and the means beside chance."""
    both = np.concatenate([found["channel_correlation"].values, found["factor_correlation"].values], axis=1)
    return {
        "text": sentences(found),
        "neurons": texts(found["neuron"]),
        "columns": [*texts(found["channel"]), *texts(found["factor"])],
        "correlation": numbers(both),
        "best": texts(found["best_channel"]),
        "sets": texts(found["set"]),
        "levels": texts(found["level"]),
        "mean": numbers(found["correlation"].transpose("level", "set")),
        "null": numbers(found["null"].transpose("level", "set", "quantile")),
    }
