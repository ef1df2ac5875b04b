"""Figures of the reduction: its factors, and what their number is judged by."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.figures.style import GREY, WIDTH, colour
from retmech.reduction.prediction import doubt


def factors(reduction: xr.Dataset) -> Figure:
    """Loadings of every factor and their mean activation by the probes."""
    n = reduction.sizes["factor"]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.95 * n))
    grid = figure.subplots(n, 2, squeeze=False, sharex="col")
    probe = reduction["probe"].values
    names = list(dict.fromkeys(probe))
    cells = list(dict.fromkeys(reduction["cell"].values))
    for k in range(n):
        _loading(grid[k, 0], reduction, k)
        axes = grid[k, 1]
        activation = reduction["activation"].values[:, k]
        for i, cell in enumerate(cells):
            own = reduction["cell"].values == cell
            means = [activation[own & (probe == name)].mean() for name in names]
            place = np.arange(len(names)) + (i + 0.5) * 0.8 / len(cells) - 0.4
            axes.bar(place, means, 0.8 / len(cells), color=colour(i), label=str(cell))
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
        axes.set_ylabel("mean activation\n(Hz)")
    grid[0, 0].set_title("excitation up, suppression down (hatched)", fontweight="normal")
    if doubt(reduction):
        figure.suptitle(f"no result: hidden attributions are not predicted ({doubt(reduction)})", x=0.01, ha="left")
    handles, labels = grid[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=min(7, len(cells)))
    return figure


def _loading(axes: Axes, reduction: xr.Dataset, k: int) -> None:
    channels = reduction["channel"].values
    excitation, suppression = reduction["loading"].values[k]
    place = np.arange(len(channels))
    shades = [colour(c) for c in range(len(place))]
    axes.bar(place, excitation, color=shades, label="excitation")
    axes.bar(place, -suppression, color=shades, alpha=0.55, hatch="////", label="suppression")
    axes.axhline(0, color="black", lw=0.5)
    axes.set_xticks(place, channels)
    axes.set_ylabel(f"{reduction['factor'].values[k]}\nshare of loading")


def ranks(reduction: xr.Dataset) -> Figure:
    """What judges the number of factors, and other methods beside them."""
    figure = Figure(figsize=(WIDTH, 2.4))
    entries, stable, times = figure.subplots(1, 3)
    rank = reduction["rank"].values
    held_out = reduction["held_out_error"].values
    sem = held_out.std(axis=1, ddof=1) / np.sqrt(held_out.shape[1]) if held_out.shape[1] > 1 else np.zeros(len(rank))
    entries.errorbar(rank, held_out.mean(axis=1), sem, fmt="o-", color=colour(3), capsize=2, label="entries hidden")
    entries.axhline(float(reduction["null_error"].mean()), color=GREY, ls=":", lw=1, label="their means alone")
    entries.plot(rank, reduction["reconstruction_error"], "o--", color=GREY, label="entries fitted")
    entries.set_ylabel("relative error of NMF")
    stable.plot(rank, reduction["restart_stability"], "o-", color=colour(0), label="restarts")
    stable.plot(rank, reduction["split_stability"], "s-", color=colour(2), label="halves of the time")
    stable.set_ylabel("agreement of loadings\n(cosine)")
    labels = {"nmf": "NMF", "pca": "PCA", "kmeans": "k-means", "dictionary": "sparse dictionary"}
    for i, method in enumerate(reduction["algorithm"].values):
        error = reduction["time_error"].sel(algorithm=method).mean("time_fold")
        line = "o--" if method == "pca" else "o-"  # PCA and NMF often lie on each other
        times.plot(rank, error, line, ms=2.5, color=colour(i), label=labels.get(str(method), str(method)))
    times.set_ylabel("relative error,\ntimes held out")
    for axes in (entries, stable, times):
        axes.axvline(reduction.sizes["factor"], color=GREY, ls=":", lw=0.8, label="number used")
        axes.set_xlabel("number of factors")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    stable.set_ylim(0, 1.05)
    return figure
