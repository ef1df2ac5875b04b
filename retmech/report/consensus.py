"""Figures of the consensus: what comes back in other runs, and the cell types."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.report.style import GREY, colour


def reproduction(consensus: xr.Dataset) -> Figure:
    """Similarity of every pair of runs beside shuffled channels, and how much of every factor comes back."""
    figure = Figure(figsize=(11, 2.8))
    pairs, factors, number = figure.subplots(1, 3)
    runs = consensus["run"].values
    place, names = 0, []
    for i, item in enumerate(("channel", "factor")):
        for a in range(len(runs)):
            for b in range(a + 1, len(runs)):
                if not np.isfinite(consensus[f"{item}_p_value"][a, b]):
                    continue  # one of them has nothing to be matched
                low, middle, high = consensus[f"{item}_null"].values[:, a, b]
                pairs.plot([place, place], [low, high], color=GREY, lw=7, alpha=0.4, solid_capstyle="butt")
                pairs.plot(place, middle, "_", color=GREY, ms=9)
                mean = float(np.nanmean(consensus[f"{item}_similarity"].values[a, b]))
                pairs.plot(place, mean, "o", color=colour(i))
                names.append(f"{item}s\n{runs[a]}, {runs[b]}")
                place += 1
    pairs.set_xticks(range(place), names)
    pairs.set_ylim(-0.05, 1.05)
    pairs.margins(x=0.2)
    pairs.set_ylabel("mean similarity of the\nbest matching (grey: shuffled, 5-95 %)")
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        values = consensus["factor_reproduction"].values[i]
        factors.bar(
            np.arange(len(values)) + (i + 0.5) * width - 0.4, np.nan_to_num(values), width, color=colour(i), label=str(run)
        )
    factors.set_xticks(range(consensus.sizes["factor"]), consensus["factor"].values)
    factors.set_ylim(0, 1.05)
    factors.set_ylabel("similarity to the partners")
    factors.legend(ncols=len(runs), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    number.bar(consensus["count"], consensus["count_probability"], color=colour(4), label="best in bootstrap draws")
    number.plot(consensus["count"], consensus["silhouette"], "o-", color="black", label="mean silhouette")
    number.set_xlabel("number of cell types")
    number.xaxis.set_major_locator(MaxNLocator(integer=True))
    number.set_ylabel("share of draws; silhouette")
    number.legend()
    return figure


def cell_types(consensus: xr.Dataset) -> Figure:
    """Temporal filters of the cell types, and what share of each run's attributions they have."""
    figure = Figure(figsize=(11, 2.8))
    filters, share = figure.subplots(1, 2)
    types, runs = consensus["type"].values, consensus["run"].values
    for i, number in enumerate(types):
        size = consensus["type_size"].values[:, i]
        label = f"type {number}: {', '.join(map(str, size))} channels"
        filters.plot(-1e3 * consensus["lag"].values, consensus["type_filter"].values[i], color=colour(i), label=label)
    filters.axhline(0, color=GREY, lw=0.6)
    filters.set_xlabel("time before the response (ms)")
    filters.set_ylabel("temporal filter (peak = 1)")
    filters.legend(title=f"in {', '.join(map(str, runs))}")
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        place = np.arange(len(types)) + (i + 0.5) * width - 0.4
        share.bar(place, consensus["type_share"].values[i], width, color=colour(i), label=str(run))
    share.set_xticks(range(len(types)), [f"type {number}" for number in types])
    share.set_ylabel("share of the types' parts")
    share.legend()
    return figure
