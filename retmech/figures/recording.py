"""Figures of the recording: test movies with the responses to them, and receptive fields."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure

from retmech.figures.layout import ACROSS, extent, rows_of
from retmech.figures.style import GREY, WIDTH, colour

FRAMES = 4  # of each test movie


def movie_and_responses(recording: xr.DataTree, seconds: float) -> Figure:
    """Frames of each test movie above the single-trial rates of every cell, for so many seconds from its start."""
    classes = list(recording.children)
    figure = Figure(figsize=(WIDTH, 1.5 + 0.8 * recording.sizes["cell"]))
    columns = figure.subfigures(1, len(classes), squeeze=False)[0]
    for name, column in zip(classes, columns, strict=True):
        test = recording.children[name].children["test"].to_dataset()
        shown = test.isel(time=slice(0, max(1, round(seconds * float(recording.dataset["frame_rate"])))))
        _class(column, name, shown, recording.to_dataset())
    return figure


def _class(column: SubFigure, name: str, shown: xr.Dataset, root: xr.Dataset) -> None:
    time, cells = shown["time"].values, root["cell"].values
    dark, light = float(shown["stimulus"].min()), float(shown["stimulus"].max())
    grid = column.add_gridspec(len(cells) + 1, FRAMES, height_ratios=[1.3, *([1] * len(cells))])
    edges = extent(root["x"].values, root["y"].values)
    for i, frame in enumerate(np.linspace(0, len(time) - 1, FRAMES).astype(int)):
        axes = column.add_subplot(grid[0, i])
        axes.imshow(shown["stimulus"].values[frame], cmap="gray", vmin=dark, vmax=light, extent=edges, label="luminance")
        axes.set_title(f"{time[frame]:.2f} s", fontweight="normal", loc="center")
        axes.set_yticks([])
        axes.set_xticks([])
        if i == 0:
            axes.set_ylabel(f"{edges[1] - edges[0]:.0f} µm")
    for cell in range(len(cells)):
        axes = column.add_subplot(grid[cell + 1, :])
        trials = shown["trial_rate"].values[:, cell]
        if len(trials):
            low, high = np.quantile(trials, [0.1, 0.9], axis=0)
            axes.fill_between(time, low, high, color=GREY, alpha=0.35, lw=0, label="single trials, 10-90 %")
        axes.plot(time, shown["rate"].values[cell], color=colour(cell), lw=0.7, label="mean over trials")
        axes.set_ylabel(f"{cells[cell]}\nrate (Hz)")
        axes.set_xlim(time[0], time[-1])
        if cell + 1 < len(cells):
            axes.tick_params(labelbottom=False)
    axes.set_xlabel("time in the test movie (s)")
    column.suptitle(f"{name}: mean and 10-90 % of {shown.sizes['trial']} trials", fontweight="bold")


def receptive_fields(recording: xr.DataTree) -> Figure:
    """Spike-triggered averages: the map at the lag of its largest value, and the time course there."""
    field = recording.dataset["receptive_field"]
    n = field.sizes["cell"]
    rows, columns = rows_of(n, ACROSS)
    figure = Figure(figsize=(WIDTH, 0.2 + (0.9 + 1.3 * WIDTH / 6) * rows))
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.6, 1] * rows)
    lag_ms = 1e3 * field["lag"].values
    edges = extent(field["x"].values, field["y"].values)
    for i in range(rows * columns):
        above, below = grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns]
        if i >= n:
            above.remove()
            below.remove()
            continue
        values = field.values[i]
        lag, y, x = np.unravel_index(np.abs(values).argmax(), values.shape)
        limit = max(float(np.abs(values).max()), 1e-12)
        image = above.imshow(values[lag], cmap="RdBu_r", vmin=-limit, vmax=limit, extent=edges, label="mean contrast (sd)")
        above.set_title(f"{field['cell'].values[i]}, {-lag_ms[lag]:.0f} ms")
        above.set_xlabel("x (µm)")
        below.plot(-lag_ms, values[:, y, x], color=colour(i), label="mean contrast at the peak")
        below.axhline(0, color=GREY, lw=0.5)
        below.set_xlabel("time before\nthe response (ms)")
        figure.colorbar(image, ax=above, shrink=0.7)
        if i % columns == 0:
            above.set_ylabel("y (µm)")
            below.set_ylabel("contrast (sd)\nat the peak")
    return figure
