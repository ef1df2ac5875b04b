"""What is known of a model's interneurons from recordings of the retina's own."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.report.page import Picture, Section
from retmech.report.style import GREY, colour, embed


def section(name: str, found: xr.Dataset) -> Section:
    """Everything about how alike one model's channels and factors are to recorded interneurons."""
    caption = (
        "Left: correlation of every channel and factor with the potential of every recorded interneuron, held out; rings: "
        "the channel that is most alike in the first half of the time. Right: mean over the cells of a recording, of the "
        "best channel and the best factor, beside permuted channels (5-95 %)."
    )
    return Section(f"Interneurons, {name}", " ".join(sentences(found)), [Picture(embed(figure(found)), caption)], [])


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


def figure(found: xr.Dataset) -> Figure:
    """Correlations cell by cell, and their means beside chance."""
    n = found.sizes["neuron"]
    page = Figure(figsize=(11, max(2.8, 0.8 + 0.22 * n)))
    left, right = page.subplots(1, 2, width_ratios=[2, 1])
    both = np.concatenate([found["channel_correlation"].values, found["factor_correlation"].values], axis=1)
    columns = [str(c) for c in (*found["channel"].values, *found["factor"].values)]
    image = left.imshow(both, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    best = [columns.index(str(channel)) for channel in found["best_channel"].values]
    left.plot(best, np.arange(n), "o", mfc="none", color="black", ms=6)
    left.set_xticks(range(len(columns)), columns, rotation=60, ha="right")
    left.set_yticks(range(n), [str(name) for name in found["neuron"].values], fontsize=7)
    page.colorbar(image, ax=left, label="correlation")
    sets = [str(name) for name in found["set"].values]
    for i, level in enumerate(found["level"].values):
        own = found.sel(level=level)
        place = np.arange(len(sets)) + 0.3 * (i - 0.5)
        low, middle, high = own["null"].values
        right.bar(place, high - low, 0.26, bottom=low, color=GREY, alpha=0.3, label="permuted, 5-95 %" if i == 0 else None)
        right.plot(place, middle, "_", color="black", ms=14, label="permuted, median" if i == 0 else None)
        right.plot(place, own["correlation"].values, "o", color=colour(i), label=f"best {level}")
    right.set_xticks(range(len(sets)), sets)
    right.axhline(0, color=GREY, lw=0.6)
    right.set_ylabel("mean correlation")
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return page
