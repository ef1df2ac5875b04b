"""Figure of a model's channels and factors beside recorded interneurons."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.figures.style import GREY, WIDTH, colour, legend_once


def correlations(found: xr.Dataset) -> Figure:
    """Correlations cell by cell, and their means beside chance."""
    n = found.sizes["neuron"]
    figure = Figure(figsize=(WIDTH, max(2.6, 0.9 + 0.16 * n)))
    left, right = figure.subplots(1, 2, width_ratios=[2.4, 1])
    both = np.concatenate([found["channel_correlation"].values, found["factor_correlation"].values], axis=1)
    columns = [str(c) for c in (*found["channel"].values, *found["factor"].values)]
    image = left.imshow(both, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", label="correlation")
    best = [columns.index(str(channel)) for channel in found["best_channel"].values]
    left.plot(best, np.arange(n), "o", mfc="none", color="black", ms=5, label="most alike in the first half of the time")
    left.set_xticks(range(len(columns)), columns, rotation=60, ha="right")
    left.set_yticks(range(n), [str(name) for name in found["neuron"].values], fontsize=6)
    figure.colorbar(image, ax=left, label="correlation")
    _beside_chance(right, found)
    entries = zip(left.get_legend_handles_labels(), right.get_legend_handles_labels(), strict=True)
    handles, labels = legend_once(*([*a, *b] for a, b in entries))
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _beside_chance(axes: Axes, found: xr.Dataset) -> None:
    sets = [str(name) for name in found["set"].values]
    for i, level in enumerate(found["level"].values):
        own = found.sel(level=level)
        place = np.arange(len(sets)) + 0.3 * (i - 0.5)
        low, middle, high = own["null"].values
        axes.bar(place, high - low, 0.26, bottom=low, color=GREY, alpha=0.3, label="permuted, 5-95 %")
        axes.plot(place, middle, "_", color="black", ms=10, label="permuted, median")
        axes.plot(place, own["correlation"].values, "o", color=colour(i), label=f"best {level}")
    axes.set_xticks(range(len(sets)), sets, rotation=30 if len(sets) > 2 else 0)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.set_ylabel("mean correlation")
