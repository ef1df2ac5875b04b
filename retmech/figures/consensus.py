"""Figures of the consensus: what comes back in other runs, and the cell types."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.figures.style import GREY, WIDTH, colour, legend_once
from retmech.reduction.prediction import doubt_of_runs


def reproduction(consensus: xr.Dataset) -> Figure:
    """Similarity of every pair of runs beside shuffled channels, and how much of every factor comes back."""
    figure = Figure(figsize=(WIDTH, 2.6))
    _doubted(figure, consensus)
    pairs, factors, number = figure.subplots(1, 3)
    _pairs(pairs, consensus)
    runs = consensus["run"].values
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        values = np.nan_to_num(consensus["factor_reproduction"].values[i])
        factors.bar(np.arange(len(values)) + (i + 0.5) * width - 0.4, values, width, color=colour(i), label=str(run))
    factors.set_xticks(range(consensus.sizes["factor"]), consensus["factor"].values)
    factors.set_ylim(0, 1.05)
    factors.set_ylabel("mean similarity of factors\nto their partners")
    factors.legend(ncols=min(3, len(runs)), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    number.bar(consensus["count"], consensus["count_probability"], color=colour(4), label="share of bootstrap draws")
    number.plot(consensus["count"], consensus["silhouette"], "o-", color="black", label="mean silhouette")
    number.set_xlabel("number of cell types")
    number.xaxis.set_major_locator(MaxNLocator(integer=True))
    number.set_ylabel("share of draws in which it\nis the best; silhouette")
    number.legend(ncols=1, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _doubted(figure: Figure, consensus: xr.Dataset) -> None:
    if doubt := doubt_of_runs(consensus):
        figure.suptitle(doubt.replace(": ", ":\n"), x=0.01, ha="left")


def _pairs(axes: Axes, consensus: xr.Dataset) -> None:
    runs = consensus["run"].values
    place, names = 0, []
    for i, item in enumerate(("channel", "factor")):
        for a in range(len(runs)):
            for b in range(a + 1, len(runs)):
                if not np.isfinite(consensus[f"{item}_p_value"][a, b]):
                    continue  # one of them has nothing to be matched
                low, middle, high = consensus[f"{item}_null"].values[:, a, b]
                axes.vlines(place, low, high, color=GREY, lw=6, alpha=0.4, label="shuffled, 5-95 %")
                axes.plot(place, middle, "_", color=GREY, ms=8, label="shuffled, median")
                mean = float(np.nanmean(consensus[f"{item}_similarity"].values[a, b]))
                axes.plot(place, mean, "o", color=colour(i), label=f"{item}s")
                names.append(f"{item}s\n{runs[a]},\n{runs[b]}")
                place += 1
    if not place:
        axes.text(0.5, 0.5, "nothing to compare", ha="center", transform=axes.transAxes, color=GREY)
    axes.set_xticks(range(place), names)
    axes.set_ylim(-0.05, 1.05)
    axes.margins(x=0.25)
    axes.set_ylabel("mean similarity of the\nbest matching")
    handles, labels = legend_once(*axes.get_legend_handles_labels())
    axes.legend(handles, labels, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def cell_types(consensus: xr.Dataset) -> Figure:
    """Temporal filters of the cell types, and what share of each run's attributions they have."""
    types, runs = consensus["type"].values, consensus["run"].values
    figure = Figure(figsize=(WIDTH, 2.4 + 0.12 * (len(types) // 4)))
    _doubted(figure, consensus)
    filters, share = figure.subplots(1, 2)
    for i, number in enumerate(types):
        size = ", ".join(map(str, consensus["type_size"].values[:, i]))
        label = f"type {number} (channels: {size})"
        filters.plot(-1e3 * consensus["lag"].values, consensus["type_filter"].values[i], color=colour(i), label=label)
    filters.axhline(0, color=GREY, lw=0.5)
    filters.set_xlabel("time before the response (ms)")
    filters.set_ylabel("temporal filter (peak = 1)")
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        place = np.arange(len(types)) + (i + 0.5) * width - 0.4
        share.bar(place, consensus["type_share"].values[i], width, color=colour(i), label=str(run))
    share.set_xticks(range(len(types)), [f"type {number}" for number in types])
    share.set_ylabel("share of the types' parts")
    share.legend(ncols=min(4, len(runs)), loc="lower right", bbox_to_anchor=(1, 1))
    handles, labels = filters.get_legend_handles_labels()
    if labels:
        title = f"channels in {', '.join(map(str, runs))}"
        figure.legend(handles, labels, title=title, loc="outside lower center", ncols=min(4, len(labels)))
    return figure
