"""Figures of a probe: stimulus, responses, stacked channel attributions, and readouts against the sweep."""

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from retmech.reduction.matrix import channel_attribution
from retmech.report.style import GREY, colour


def example_condition(response: xr.Dataset) -> int:
    """The condition with the largest response of any cell: the one whose attributions are drawn."""
    return int(response["rate"].max(["time", "cell"]).values.argmax())


def stimulus_and_responses(probe: xr.Dataset, attributions: xr.Dataset, response: xr.Dataset) -> Figure:
    """The stimulus of one condition above, per cell, the responses to all conditions and the attributions in that one."""
    cells = response["cell"].values
    example = example_condition(response)
    figure = Figure(figsize=(11, 1.6 + 1.5 * len(cells)))
    axes = figure.subplots(len(cells) + 1, 2, sharex=True, squeeze=False, height_ratios=[1, *([1.3] * len(cells))])
    time = response["time"].values
    for column in (0, 1):
        draw_stimulus(axes[0, column], probe, example)
    axes[0, 0].set_title("responses to all conditions")
    axes[0, 1].set_title(f"attributions, {response['condition'].values[example]}")
    shades = colormaps["viridis"]
    for i, cell in enumerate(cells):
        _draw_responses(axes[i + 1, 0], response, i, shades)
        axes[i + 1, 0].set_ylabel(f"{cell}\nrate (Hz)")
        net = channel_attribution(attributions).values[example, :, i]
        stack(axes[i + 1, 1], time, net, attributions["baseline_response"].values[example, :, i])
        axes[i + 1, 1].plot(time, attributions["response"].values[example, :, i], color="black", lw=1, label="rate")
    axes[-1, 0].set_xlabel("time (s)")
    axes[-1, 1].set_xlabel("time (s)")
    axes[-1, 1].set_xlim(time[0], time[-1])
    handles, labels = axes[1, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=len(labels))
    labels = [str(label) for label in response["condition"].values]
    shown = [f"{labels[0]} ...", f"... {labels[-1]}"] if len(labels) > 1 else labels
    figure.legend([axes[1, 0].lines[0], axes[1, 0].lines[-1]][: len(shown)], shown, loc="outside lower left", ncols=2)
    return figure


def readouts(response: xr.Dataset) -> Figure:
    """Every readout that varies over conditions, against the probe's sweep; numbers per cell beside it."""
    varying = [n for n, v in response.data_vars.items() if v.dims == ("condition", "cell")]
    sweeps = [v for n, v in response.coords.items() if n != "condition" and v.dims == ("condition",) and v.dtype.kind in "if"]
    sweeps = sweeps or [_number_of_condition(response)]
    figure = Figure(figsize=(11, 2.7))
    for axes, name in zip(figure.subplots(1, len(varying), squeeze=False)[0], varying, strict=True):
        values = response[name]
        sweep = max(
            sweeps or [_number_of_condition(response)],
            key=lambda s: int((np.isfinite(s.values)[:, None] & np.isfinite(values.values)).sum()),
        )
        for i, cell in enumerate(response["cell"].values):
            known = np.isfinite(sweep.values) & np.isfinite(values.values[:, i])
            order = np.argsort(sweep.values[known])
            axes.plot(sweep.values[known][order], values.values[known, i][order], "o-", ms=3, color=colour(i), label=cell)
        axes.set_xlabel(_with_unit(sweep.attrs["long_name"], sweep))
        axes.set_ylabel(_with_unit(str(name).replace("_", " "), values))
        if not np.isfinite(values.values).any():
            axes.text(0.5, 0.5, "no cell responds", ha="center", transform=axes.transAxes, color=GREY)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _number_of_condition(response: xr.Dataset) -> xr.DataArray:
    """What stands in for the sweep of a probe that has none."""
    numbers = np.arange(1, response.sizes["condition"] + 1)
    return xr.DataArray(numbers, dims="condition", attrs={"units": "1", "long_name": "number of the condition"})


def _with_unit(text: str, values: xr.DataArray) -> str:
    unit = values.attrs["units"]
    return text if unit == "1" else f"{text} ({unit})"


def draw_stimulus(axes: Axes, probe: xr.Dataset, condition: int) -> None:
    """A full-field stimulus as its time course, any other as position against time through the middle of the field."""
    time, movie = probe["time"].values, probe["stimulus"][condition].values
    if probe.attrs["symmetry"] == "y x":
        axes.step(time, movie[:, 0, 0], where="post", color="black")
        axes.set_ylabel("contrast (sd)")
        return
    limit = max(float(np.abs(movie).max()), 1e-12)
    x = probe["x"].values
    extent = (time[0], time[-1], x[0], x[-1])
    line = movie[:, movie.shape[1] // 2].T
    axes.imshow(line, aspect="auto", origin="lower", cmap="gray", vmin=-limit, vmax=limit, extent=extent)
    axes.set_ylabel("x (um)")


def _draw_responses(axes: Axes, response: xr.Dataset, cell: int, shades: Colormap) -> None:
    rate = response["rate"].values[:, :, cell]
    for j, r in enumerate(rate):
        axes.plot(response["time"].values, r, color=shades(j / max(1, len(rate) - 1) * 0.9), lw=0.8)


def stack(axes: Axes, time: np.ndarray, net: np.ndarray, baseline: np.ndarray) -> None:
    """Stack channels' attributions on the baseline rate: excitation upwards, suppression downwards."""
    for part, sign in ((net.clip(min=0), 1), (net.clip(max=0), -1)):
        edge = baseline
        for c in range(net.shape[1]):
            upper = edge + part[:, c]
            axes.fill_between(time, edge, upper, color=colour(c), lw=0, label=f"ch{c + 1}" if sign > 0 else None)
            edge = upper
    axes.plot(time, baseline, color=GREY, lw=0.6)
