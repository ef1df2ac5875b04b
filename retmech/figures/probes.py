"""Figures of a probe: stimulus, responses, stacked channel attributions, and readouts against the sweep."""

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.figures.layout import extent, wrapped
from retmech.figures.style import GREY, WIDTH, colour, in_words, legend_once, with_unit
from retmech.reduction.matrix import channel_attribution


def example_condition(response: xr.Dataset) -> int:
    """The condition with the largest response of any cell: the one whose attributions are drawn."""
    return int(response["rate"].max(["time", "cell"]).values.argmax())


def stimulus_and_responses(probe: xr.Dataset, attributions: xr.Dataset, response: xr.Dataset) -> Figure:
    """The stimulus of one condition above, per cell, the responses to all conditions and the attributions in that one."""
    cells = response["cell"].values
    example = example_condition(response)
    figure = Figure(figsize=(WIDTH, 1.5 + 1.0 * len(cells)))
    axes = figure.subplots(len(cells) + 1, 2, sharex=True, squeeze=False, height_ratios=[1, *([1.2] * len(cells))])
    time = response["time"].values
    condition = in_words(response["condition"].values[example])
    for column in (0, 1):
        draw_stimulus(axes[0, column], probe, example)
    axes[1, 0].set_title("responses to all conditions", fontweight="normal")
    axes[1, 1].set_title("attributions to channels", fontweight="normal")
    figure.suptitle(f"{probe.attrs['probe']}, {condition}", x=0.01, ha="left")
    net = channel_attribution(attributions).values[example]
    for i, cell in enumerate(cells):
        draw_responses(axes[i + 1, 0], response, i)
        axes[i + 1, 0].set_ylabel(f"{cell}\nrate (Hz)")
        stack(axes[i + 1, 1], time, net[:, i], attributions["baseline_response"].values[example, :, i])
        axes[i + 1, 1].plot(time, attributions["response"].values[example, :, i], color="black", lw=0.8, label="rate")
    for column in (0, 1):
        axes[-1, column].set_xlabel("time (s)")
    axes[-1, 1].set_xlim(time[0], time[-1])
    handles, labels = legend_once(*axes[1, 1].get_legend_handles_labels())
    figure.legend(handles, labels, loc="outside lower right", ncols=min(4, len(labels)))
    lines = axes[1, 0].lines
    shown = np.unique(np.linspace(0, len(lines) - 1, 5).astype(int)).tolist()
    figure.legend(
        [lines[i] for i in shown], [str(lines[i].get_label()) for i in shown], loc="outside lower left", ncols=min(2, len(shown))
    )
    return figure


def readouts(response: xr.Dataset) -> Figure:
    """Every readout that varies over conditions, against the probe's sweep."""
    varying = varying_readouts(response)
    figure, panels = wrapped(len(varying), 1.9, extra=0.3, across=3)
    for axes, name in zip(panels, varying, strict=True):
        values = response[name]
        sweep = sweep_of(response, values.values)
        for i, cell in enumerate(response["cell"].values):
            known = np.isfinite(sweep.values) & np.isfinite(values.values[:, i])
            order = np.argsort(sweep.values[known], kind="stable")
            axes.plot(sweep.values[known][order], values.values[known, i][order], "o-", color=colour(i), label=str(cell))
        axes.set_xlabel(with_unit(sweep.attrs["long_name"], sweep.attrs["units"]))
        axes.set_ylabel(with_unit(str(name).replace("_", " "), values.attrs["units"]))
        if not np.isfinite(values.values).any():
            axes.text(0.5, 0.5, "no cell responds", ha="center", transform=axes.transAxes, color=GREY)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(9, len(labels)))
    return figure


def varying_readouts(response: xr.Dataset) -> list[str]:
    """Names of the readouts that have a number for each condition and cell."""
    return [str(n) for n, v in response.data_vars.items() if v.dims == ("condition", "cell") and not str(n).endswith("_error")]


def sweep_of(response: xr.Dataset, values: np.ndarray) -> xr.DataArray:
    """The quantity along conditions that is known where most values (condition, cell) are; their number if there is none."""
    sweeps = [v for n, v in response.coords.items() if n != "condition" and v.dims == ("condition",) and v.dtype.kind in "if"]
    return max(
        sweeps or [_number_of_condition(response)],
        key=lambda s: int((np.isfinite(s.values)[:, None] & np.isfinite(values)).sum()),
    )


def _number_of_condition(response: xr.Dataset) -> xr.DataArray:
    """What stands in for the sweep of a probe that has none."""
    numbers = np.arange(1, response.sizes["condition"] + 1)
    return xr.DataArray(numbers, dims="condition", attrs={"units": "1", "long_name": "number of the condition"})


def draw_stimulus(axes: Axes, probe: xr.Dataset, condition: int) -> None:
    """A full-field stimulus as its time course, any other as position against time through the middle of the field."""
    time, movie = probe["time"].values, probe["stimulus"][condition].values
    if probe.attrs["symmetry"] == "y x":
        axes.step(time, movie[:, 0, 0], where="post", color="black", label="stimulus")
        axes.set_ylabel("contrast (sd)")
        return
    limit = max(float(np.abs(movie).max()), 1e-12)
    line = movie[:, movie.shape[1] // 2].T
    edges = extent(time, probe["x"].values, upwards=True)
    axes.imshow(line, aspect="auto", origin="lower", cmap="gray", vmin=-limit, vmax=limit, extent=edges, label="contrast (sd)")
    axes.set_ylabel("x (µm)")


def draw_responses(axes: Axes, response: xr.Dataset, cell: int) -> None:
    """The rates of a cell in all conditions, from dark to light in their order."""
    shades = colormaps["viridis"]
    rate = response["rate"].values[:, :, cell]
    for j, (r, condition) in enumerate(zip(rate, response["condition"].values, strict=True)):
        shade = shades(j / max(1, len(rate) - 1) * 0.9)
        axes.plot(response["time"].values, r, color=shade, lw=0.8, label=in_words(condition))


def stack(axes: Axes, time: np.ndarray, net: np.ndarray, baseline: np.ndarray) -> None:
    """Stack channels' attributions on the baseline rate: excitation upwards, suppression downwards."""
    for part in (net.clip(min=0), net.clip(max=0)):
        edge = baseline
        for c in range(net.shape[1]):
            upper = edge + part[:, c]
            axes.fill_between(time, edge, upper, color=colour(c), lw=0, label=f"ch{c + 1}")
            edge = upper
    axes.plot(time, baseline, color=GREY, lw=0.6, label="at the baseline")
