"""Figures of what else an attribution could have been: other baselines and measures, and single responses by pixel."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.report.probes import stack
from retmech.report.style import colour


def alternatives(attributions: xr.DataTree, condition: int) -> Figure:
    """The channels' shares of the most driven cell's response to one condition, by every measure beside each other."""
    main, others = attributions.to_dataset(), attributions.children["alternatives"].to_dataset()["attribution"]
    change = (main["response"] - main["baseline_response"]).values[condition]
    cell = int(np.abs(change).max(axis=0).argmax())
    net = (main["excitation"] + main["suppression"]).values[condition, :, cell]
    panels = [("integrated gradients", net)]
    panels += [(str(m), others.values[i, condition, :, cell]) for i, m in enumerate(others["measure"].values)]
    figure = Figure(figsize=(11, 2.6))
    time = main["time"].values
    for axes, (name, values) in zip(figure.subplots(1, len(panels), sharex=True, sharey=True)[:], panels, strict=True):
        stack(axes, time, values, np.zeros(len(time)))
        axes.plot(time, values.sum(axis=1), color="black", lw=0.9)
        axes.set_title(name, fontweight="bold" if values is net else "normal", fontsize=8)
        axes.set_xlabel("time (s)")
    figure.axes[0].set_ylabel(f"{main['cell'].values[cell]}\nattribution (Hz)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def pixels(found: xr.Dataset) -> Figure:
    """For each response: where in space and when before it the pixels are that it is attributed to."""
    n = found.sizes["response"]
    figure = Figure(figsize=(11, 4.2))
    axes = figure.subplots(2, n, squeeze=False)
    lag = -1e3 * found["lag"].values
    edges = [found[d].values[i] for d, i in (("pixel_x", 0), ("pixel_x", -1), ("pixel_y", -1), ("pixel_y", 0))]
    for i, label in enumerate(found["response"].values):
        values = found["attribution"].values[i]
        space, time = values.sum(axis=0), values.sum(axis=(1, 2))
        limit = max(float(np.abs(space).max()), 1e-12)
        image = axes[0, i].imshow(space, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=edges)
        figure.colorbar(image, ax=axes[0, i], label="Hz per pixel" if i + 1 == n else "", shrink=0.8)
        axes[0, i].set_title(f"{label}\n{found['change'].values[i]:+.1f} Hz", fontweight="normal")
        axes[0, i].set_xlabel("x (um)")
        axes[1, i].bar(lag, time, width=0.8 * abs(lag[1] - lag[0]) if len(lag) > 1 else 1.0, color=colour(0))
        axes[1, i].axhline(0, color="black", lw=0.6)
        axes[1, i].set_xlabel("time before the response (ms)")
    axes[0, 0].set_ylabel("y (um)")
    axes[1, 0].set_ylabel("attribution (Hz per frame)")
    return figure
