"""Figures of the truth, for simulated recordings: true pathways beside the channels that stand for them."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.figures.probes import example_condition
from retmech.figures.style import GREY, WIDTH, colour, legend_once
from retmech.reduction.matrix import channel_attribution

SMALL = 0.02  # share of a response below which a pathway is not drawn


def summary(recovery: xr.Dataset) -> Figure:
    """Recovery by probe and kind, and by pathway."""
    figure = Figure(figsize=(WIDTH, 3.0))
    left, right = figure.subplots(1, 2)
    probes = [str(probe) for probe in recovery["probe"].values]
    place = np.arange(len(probes))
    for i, level in enumerate(recovery["level"].values):
        mean = recovery["recovery"].sel(level=level).mean("cell").values
        left.bar(place + 0.25 * (i - 1), mean, 0.22, color=colour(i), label=_in_words(str(level)))
    left.plot(place, recovery["untrained_recovery"].values, "x", color="black", label="untrained network")
    low, _, high = recovery["shuffled_recovery"].values
    left.axhspan(low, high, color=GREY, alpha=0.2, lw=0, zorder=0, label="at random (95 %)")
    left.axhline(float(recovery["shuffled_mean"]), color=GREY, lw=1, ls=":", label="at random, mean")
    _finish(left, probes, "correlation with the true parts\n(mean over cells)")
    shown = recovery["correlation"].sel(level="group").where(recovery["share"] > SMALL)
    step = 0.6 / max(1, recovery.sizes["pathway"])
    for p, pathway in enumerate(recovery["pathway"].values):
        values = shown.sel(pathway=pathway)
        for k in range(values.sizes["cell"]):
            where = place + step * (p + 0.1 + 0.8 * k / values.sizes["cell"]) - 0.3
            right.plot(where, values.values[:, k], "o", ms=3, color=colour(p), label=str(pathway))
    _finish(right, probes, "correlation in each cell,\ngroups of channels")
    return figure


def _finish(axes: Axes, probes: list[str], text: str) -> None:
    axes.set_xticks(range(len(probes)), [probe.replace("_", "\n") for probe in probes])
    axes.axhline(0, color="black", lw=0.5)
    axes.set_ylabel(text)
    axes.set_ylim(top=1.05)
    handles, labels = legend_once(*axes.get_legend_handles_labels())
    axes.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def _in_words(level: str) -> str:
    return {"channel": "single channels", "group": "groups of channels", "factor": "factors"}[level]


def parts(true: xr.Dataset, recovery: xr.Dataset, attributions: xr.Dataset, response: xr.Dataset, probe: str) -> Figure:
    """True and recovered parts of each pathway, per cell, in the condition with the largest response."""
    condition = example_condition(response)
    group = recovery["pathway_of_channel"].sel(probe=probe).values
    net = channel_attribution(attributions)[condition].transpose("time", "cell", "channel").values
    time, cells, pathways = true["time"].values, true["cell"].values, true["pathway"].values
    figure = Figure(figsize=(WIDTH, 0.7 + 0.95 * len(pathways)))
    grid = figure.subplots(len(pathways), len(cells), sharex=True, sharey="col", squeeze=False)
    for p, pathway in enumerate(pathways):
        for k, cell in enumerate(cells):
            axes = grid[p, k]
            own = true["attribution"].values[condition, :, k, p]
            axes.plot(time, own, color=colour(p), lw=2.4, alpha=0.5, label=f"{pathway}, true part")
            found = net[:, k, group == pathway].sum(axis=-1)
            axes.plot(time, found, color="black", lw=0.7, label="channels that stand for it")
            r = float(recovery["correlation"].sel(level="group", probe=probe, pathway=pathway)[k])
            said = f"r = {r:.2f}" if np.isfinite(r) else "no part in it"
            axes.set_title(said, loc="right", fontweight="normal", fontsize=6.5)
            if p == 0:
                axes.set_title(str(cell))
        grid[p, 0].set_ylabel(f"{pathway}\npart (Hz)")
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    entries = [grid[p, 0].get_legend_handles_labels() for p in range(len(pathways))]
    handles, labels = legend_once(*([item for entry in part for item in entry] for part in zip(*entries, strict=True)))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure
