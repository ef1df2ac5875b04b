"""Figures of the recording: movies, responses and receptive fields."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.report.style import GREY, colour


def movie_and_responses(recording: xr.DataTree, seconds: float) -> Figure:
    """Frames of each test movie above the single-trial rates of every cell."""
    classes = list(recording.children)
    cells = recording.dataset["cell"].values
    n_cells, n_frames = len(cells), 4
    figure = Figure(figsize=(11, 2.0 + 1.0 * n_cells))
    columns = figure.subfigures(1, len(classes), squeeze=False)[0]
    for name, column in zip(classes, columns, strict=True):
        test = recording.children[name].children["test"].to_dataset()
        shown = test.isel(time=slice(0, max(1, round(seconds * float(recording.dataset["frame_rate"])))))
        time = shown["time"].values
        dark, light = shown["stimulus"].values.min(), shown["stimulus"].values.max()
        grid = column.add_gridspec(n_cells + 1, n_frames, height_ratios=[1.5, *([1] * n_cells)])
        span = recording.dataset["x"].values.min(), recording.dataset["x"].values.max()
        for i, frame in enumerate(np.linspace(0, len(time) - 1, n_frames).astype(int)):
            axes = column.add_subplot(grid[0, i])
            axes.imshow(shown["stimulus"].values[frame], cmap="gray", vmin=dark, vmax=light, extent=(*span, *span))
            axes.set_title(f"{time[frame]:.2f} s", fontweight="normal", loc="center")
            axes.set_yticks([])
            axes.set_xticks([round(span[0]), 0, round(span[1])])
            axes.set_xlabel("x (um)" if i == 0 else "")
        for cell in range(n_cells):
            axes = column.add_subplot(grid[cell + 1, :])
            trials = shown["trial_rate"].values[:, cell]
            axes.fill_between(time, *np.quantile(trials, [0.1, 0.9], axis=0), color=GREY, alpha=0.35, lw=0)
            axes.plot(time, shown["rate"].values[cell], color=colour(cell))
            axes.set_ylabel(f"{cells[cell]}\n(Hz)")
            axes.set_xlim(time[0], time[-1])
            if cell + 1 < n_cells:
                axes.set_xticklabels([])
        axes.set_xlabel("time in the test movie (s)")
        column.suptitle(f"{name}: {len(trials)} trials", fontweight="bold")
    return figure


def receptive_fields(recording: xr.DataTree) -> Figure:
    """Spike-triggered averages: the map at the lag of its largest value, and the time course there."""
    field = recording.dataset["receptive_field"]
    n_cells = field.sizes["cell"]
    figure = Figure(figsize=(11, 4.2))
    axes = figure.subplots(2, n_cells, squeeze=False, height_ratios=[1.6, 1])
    lag_ms = 1e3 * field["lag"].values
    span = (field["x"].values.min(), field["x"].values.max(), field["y"].values.max(), field["y"].values.min())
    for i in range(n_cells):
        values = field.values[i]
        lag, y, x = np.unravel_index(np.abs(values).argmax(), values.shape)
        limit = max(float(np.abs(values).max()), 1e-12)
        image = axes[0, i].imshow(values[lag], cmap="RdBu_r", vmin=-limit, vmax=limit, extent=span)
        axes[0, i].set_title(f"{field['cell'].values[i]}, {lag_ms[lag]:.0f} ms before")
        axes[0, i].set_xlabel("x (um)")
        axes[1, i].plot(-lag_ms, values[:, y, x], color=colour(i))
        axes[1, i].axhline(0, color=GREY, lw=0.6)
        axes[1, i].set_xlabel("time before the response (ms)")
    axes[0, 0].set_ylabel("y (um)")
    axes[1, 0].set_ylabel("contrast (sd)\nat the peak")
    figure.colorbar(image, ax=axes[0], label="mean contrast (sd)", shrink=0.8)
    return figure
