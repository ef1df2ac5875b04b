"""Figures of what else an attribution could have been: other baselines and measures, and single responses by pixel."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.figures.layout import ACROSS, extent, leftmost, lowest, rows_of, wrapped
from retmech.figures.probes import stack
from retmech.figures.style import WIDTH, colour, in_words, legend_once


def alternatives(attributions: xr.DataTree, condition: int) -> Figure:
    """The channels' shares of the most driven cell's response to one condition, by every measure beside each other."""
    main, others = attributions.to_dataset(), attributions.children["alternatives"].to_dataset()["attribution"]
    change = (main["response"] - main["baseline_response"]).values[condition]
    cell = int(np.abs(change).max(axis=0).argmax())
    net = (main["excitation"] + main["suppression"]).values[condition, :, cell]
    measured = [("integrated gradients", net)]
    measured += [(str(m), others.values[i, condition, :, cell]) for i, m in enumerate(others["measure"].values)]
    figure, panels = wrapped(len(measured), 1.5, extra=0.6, across=3, sharex=True, sharey=True)
    time = main["time"].values
    for axes, (name, values) in zip(panels, measured, strict=True):
        stack(axes, time, values, np.zeros(len(time)))
        axes.plot(time, values.sum(axis=1), color="black", lw=0.7, label="sum")
        axes.set_title(name, fontweight="bold" if values is net else "normal")
    for axes in leftmost(panels):
        axes.set_ylabel("attribution (Hz)")
    for axes in lowest(panels):
        axes.set_xlabel("time (s)")
        axes.tick_params(labelbottom=True)
    figure.suptitle(f"{main['cell'].values[cell]}, {in_words(main['condition'].values[condition])}", x=0.01, ha="left")
    handles, labels = legend_once(*panels[0].get_legend_handles_labels())
    figure.legend(handles, labels, loc="outside lower center", ncols=min(10, len(labels)))
    return figure


def pixels(found: xr.Dataset) -> Figure:
    """For each response: where in space and when before it the pixels are that it is attributed to."""
    n = found.sizes["response"]
    rows, columns = rows_of(n, min(4, ACROSS))
    figure = Figure(figsize=(WIDTH, 0.2 + 3.2 * rows))
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    lag = -1e3 * found["lag"].values
    edges = extent(found["pixel_x"].values, found["pixel_y"].values)
    for i in range(rows * columns):
        above, below = grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns]
        if i >= n:
            above.remove()
            below.remove()
            continue
        values = found["attribution"].values[i]
        space, time = values.sum(axis=0), values.sum(axis=(1, 2))
        limit = max(float(np.abs(space).max()), 1e-12)
        image = above.imshow(space, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=edges, label="attribution (Hz per pixel)")
        bar = figure.colorbar(image, ax=above, shrink=0.8)
        above.set_title(f"{in_words(found['response'].values[i])}\n{found['change'].values[i]:+.1f} Hz", fontweight="normal")
        above.set_xlabel("x (µm)")
        width = 0.8 * abs(lag[1] - lag[0]) if len(lag) > 1 else 1.0
        below.bar(lag, time, width=width, color=colour(0), label="sum over space")
        below.axhline(0, color="black", lw=0.5)
        below.set_xlabel("time before\nthe response (ms)")
        if i % columns == 0:
            above.set_ylabel("y (µm)")
            below.set_ylabel("attribution\n(Hz per frame)")
        if i % columns == columns - 1 or i == n - 1:
            bar.set_label("Hz per pixel")
    return figure
