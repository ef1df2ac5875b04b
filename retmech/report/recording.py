"""The recording: movies, responses, receptive fields, and how well each cell was recorded."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.report.page import Picture, Section, Table
from retmech.report.style import GREY, colour, embed


def section(recording: xr.DataTree, seconds: float) -> Section:
    """Everything about a recording; of the test movies the first seconds are drawn."""
    field = str(recording.dataset["receptive_field"].attrs["long_name"])
    left_out = int((recording.dataset["included"] == 0).sum())
    text = (
        f"{recording.sizes['cell']} cells, {recording.sizes['y']} x {recording.sizes['x']} pixels of "
        f"{float(recording['pixel_size']):g} um at {float(recording['frame_rate']):g} Hz."
    )
    if left_out:
        text += f" {left_out} of them are left out of all that follows."
    pictures = [
        Picture(
            embed(movie_and_responses(recording, seconds)),
            "Test movies and the responses to them: trial average, and in grey the 10-90 % range of single trials.",
        ),
        Picture(
            embed(receptive_fields(recording)),
            f"Receptive fields: {field}, at the lag of the largest value, and the time course at its place.",
        ),
    ]
    return Section("Recording", text, pictures, [_parts(recording), _responses(recording), _quality(recording)])


def _parts(recording: xr.DataTree) -> Table:
    rate = float(recording["frame_rate"])
    rows = [
        [name, part, f"{node[part].sizes['time'] / rate:.0f}", str(node[part].attrs.get("timing", "")) or "even"]
        for name, node in recording.children.items()
        for part in ("train", "validation", "test")
    ]
    return Table("Length of the parts", ["stimulus", "part", "s", "times of frames"], rows)


def _responses(recording: xr.DataTree) -> Table:
    rows = []
    for name, node in recording.children.items():
        test = node.children["test"].dataset
        for cell in recording.dataset["cell"].values:
            own = test.sel(cell=cell)
            rate = float(node["train/rate"].sel(cell=cell).mean())
            rows.append(
                [name, str(cell), f"{rate:.1f}", f"{float(own['noise_ceiling']):.2f}", f"{float(own['signal_to_noise']):.3f}"]
            )
    header = ["stimulus", "cell", "mean rate (Hz)", "noise ceiling (r)", "signal to noise of a trial, bin by bin"]
    return Table("Responses", header, rows)


def _quality(recording: xr.DataTree) -> Table:
    rows = []
    for cell in recording.dataset["cell"].values:
        own = recording.dataset.sel(cell=cell)
        violations = float(own["refractory_violations"])
        rows.append(
            [
                str(cell),
                "unknown" if np.isnan(violations) else f"{100 * violations:.1f} %",
                f"{float(own['rate_drift']):+.2f}",
                f"{float(own['field_strength']):.0f}",
                f"{float(own['field_diameter']):.0f}",
                f"{float(own['field_x']):.0f}, {float(own['field_y']):.0f}",
                "yes" if own["included"] else f"no: {own['exclusion'].item()}",
            ]
        )
    header = [
        "cell",
        "intervals within the refractory period",
        "drift of the rate, over its mean",
        "receptive field, sd of the null",
        "its diameter (um)",
        "its place x, y (um)",
        "used",
    ]
    return Table("Quality of the cells", header, rows)


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
            if len(trials):
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
