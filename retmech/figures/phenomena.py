"""The physiologists' phenomena in one figure, in the layout of Tanaka et al. (NeurIPS 2019)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.figures.layout import extent
from retmech.figures.readouts import Responses, mark
from retmech.figures.style import GREY, WIDTH, in_words, letter_panels, with_unit

SHOWN = 5  # conditions whose responses are drawn
BEFORE = 0.3  # s of the response before the event

Guide = Callable[[Axes, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Phenomenon:
    """What of a probe is drawn."""

    title: str
    event: str  # the probe's event from which time is counted
    sweep: str
    readout: str
    expected: str  # what physiology found of the readout, in a few words
    guide: Guide  # and as a line


def _slope_of_one(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ends = np.array([x.min(), x.max()])
    axes.plot(ends, np.mean(y) + ends - np.mean(x), "--", color="black", lw=0.8, label="found in retinas: slope 1")


def _same(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    axes.axhline(float(np.mean(y)), ls="--", color="black", lw=0.8, label="found in retinas: the same everywhere")


def _falls(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    if len(x) > 1:
        slope = min(0.0, float(np.polyfit(np.log10(x), y, 1)[0]))
        ends = np.array([x.min(), x.max()])
        line = np.mean(y) + slope * (np.log10(ends) - np.mean(np.log10(x)))
        axes.plot(ends, line, "--", color="black", lw=0.8, label="linear in the logarithm")


def _ahead(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    axes.axhline(0, ls="--", color="black", lw=0.8, label="found in retinas: above")


PHENOMENA = {
    "omitted_flash": Phenomenon("omitted flash", "last_flash", "period", "peak_time", "slope 1", _slope_of_one),
    "latency": Phenomenon("latency", "onset", "contrast", "peak_latency", "falls (log contrast)", _falls),
    "motion_reversal": Phenomenon("motion reversal", "reversal", "reversal_position", "burst_delay", "one fixed delay", _same),
    "motion_anticipation": Phenomenon("motion anticipation", "crossing", "velocity", "lead_distance", "lead above 0", _ahead),
}


def columns(probes: Mapping[str, xr.Dataset]) -> dict[str, Phenomenon]:
    """The probes that there is a column for: the first of each kind."""
    kinds: dict[str, str] = {}
    for name, probe in probes.items():
        kinds.setdefault(str(probe.attrs["probe"]), name)
    return {kinds[kind]: phenomenon for kind, phenomenon in PHENOMENA.items() if kind in kinds}


def clearest_cell(responses: Mapping[str, xr.Dataset]) -> int:
    """The cell that shows the most phenomena; of several, the one whose rate changes most."""
    matches = np.sum([r["verdict"].values == "matches" for r in responses.values()], axis=0)
    change = np.sum([(r["rate"].max(["condition", "time"]) - r["rate"][0, 0]).values for r in responses.values()], axis=0)
    return int(np.lexsort((change, matches))[-1])


def phenomena(probes: Mapping[str, xr.Dataset], responses: Mapping[str, Responses], shown: str) -> Figure:
    """A column for each phenomenon: the stimulus, the responses of one cell, and its readout beside what physiology found.

    Parameters
    ----------
    probes
        By name; there must be one that :func:`columns` knows.
    responses
        By run or retina, and probe.
    shown
        The run whose responses are drawn.
    """
    known = columns(probes)
    own = {name: responses[shown][name] for name in known}
    cell = clearest_cell(own)
    figure = Figure(figsize=(WIDTH, 4.9))
    grid = figure.subplots(3, len(known), squeeze=False, height_ratios=[0.8, 1.2, 1.2])
    for column, (name, phenomenon) in enumerate(known.items()):
        stimulus, rates, readout = grid[:, column]
        probe, response = probes[name], own[name]
        conditions = _conditions(response, phenomenon)
        if phenomenon.sweep == "velocity":
            _bar_on_its_way(stimulus, probe, response, conditions[0])
            _profiles(rates, response, cell)
        else:
            _stimuli(stimulus, probe, response, conditions, phenomenon)
            _rates(rates, response, conditions, phenomenon, cell)
        stimulus.set_title(phenomenon.title)
        _readout(readout, {n: found[name] for n, found in responses.items() if name in found}, shown, phenomenon, cell)
    letter_panels(grid.flat)
    figure.suptitle(f"{shown}, {own[next(iter(own))]['cell'].values[cell]}", x=0.01, ha="left")
    entries = [axes.get_legend_handles_labels() for axes in grid[2]]
    named = {label: handle for handles, labels in entries for handle, label in zip(handles, labels, strict=True)}
    runs = [label for label in named if label in responses]
    figure.legend([named[label] for label in runs], runs, loc="outside lower center", ncols=min(6, max(1, len(runs))))
    return figure


def _conditions(response: xr.Dataset, phenomenon: Phenomenon) -> list[int]:
    """Some conditions from one end of the sweep to the other."""
    sweep = response[phenomenon.sweep].values
    order = [i for i in np.argsort(sweep, kind="stable").tolist() if np.isfinite(sweep[i])]
    if phenomenon.sweep == "velocity":
        order = [i for i in order if sweep[i] > 0]  # to the right, the slowest first
    return [order[i] for i in np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).astype(int))]


def _swept(response: xr.Dataset, phenomenon: Phenomenon, i: int) -> str:
    """What differs in a condition, as it is printed."""
    values = response[phenomenon.sweep]
    value, unit = float(values.values[i]), values.attrs["units"]
    return f"{1e3 * value:g} ms" if unit == "s" else f"{value:g} sd" if unit == "1" else f"{value:g} {in_words(unit)}"


def _window(probe: xr.Dataset, phenomenon: Phenomenon) -> tuple[float, np.ndarray]:
    """The event, and which frames are drawn."""
    event, time = float(probe[phenomenon.event]), probe["time"].values
    longest = float(np.nanmax(probe["period"].values)) if "period" in probe.coords else 0.0
    after = min(float(probe["window"]), 0.5) + longest
    return event, (time >= event - max(BEFORE, 2.2 * longest)) & (time <= event + after)


def _stimuli(axes: Axes, probe: xr.Dataset, response: xr.Dataset, conditions: list[int], phenomenon: Phenomenon) -> None:
    event, shown = _window(probe, phenomenon)
    time = 1e3 * (probe["time"].values[shown] - event)
    if probe.attrs["symmetry"] == "y x":
        contrast = np.stack([probe["stimulus"][i].values[shown, 0, 0] for i in conditions])
        limit = max(float(np.abs(contrast).max()), 1e-12)
        edges = extent(time, np.arange(len(conditions)))
        axes.imshow(contrast, aspect="auto", cmap="gray", vmin=-limit, vmax=limit, extent=edges, label="contrast (sd)")
        axes.set_yticks(range(len(conditions)), [_swept(response, phenomenon, i) for i in conditions])
        axes.set_ylabel(phenomenon.sweep.replace("_", " "))
    else:
        movie = probe["stimulus"][conditions[len(conditions) // 2]].values[shown]
        limit = max(float(np.abs(movie).max()), 1e-12)
        edges = extent(time, probe["x"].values, upwards=True)
        middle = movie[:, movie.shape[1] // 2].T
        axes.imshow(
            middle, aspect="auto", origin="lower", cmap="gray", vmin=-limit, vmax=limit, extent=edges, label="contrast (sd)"
        )
        axes.set_ylabel("x (µm)")
    axes.set_xlabel(f"time from the {phenomenon.event.replace('_', ' ')} (ms)")


def _rates(axes: Axes, response: xr.Dataset, conditions: list[int], phenomenon: Phenomenon, cell: int) -> None:
    event, shown = _window(response, phenomenon)
    time = 1e3 * (response["time"].values[shown] - event)
    shades = colormaps["viridis"]
    for j, i in enumerate(conditions):
        shade = shades(0.9 * j / max(1, len(conditions) - 1))
        label = _swept(response, phenomenon, i)
        axes.plot(time, response["rate"].values[i, shown, cell], color=shade, lw=0.9, label=label)
        if phenomenon.sweep == "period":
            missing = 1e3 * float(response["period"].values[i])
            axes.axvline(missing, color=shade, lw=0.6, ls=":", label=f"missing flash, period {label}")
    axes.axvline(0, color=GREY, lw=0.6, label=phenomenon.event.replace("_", " "))
    axes.set_xlim(time[0], time[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"time from the {phenomenon.event.replace('_', ' ')} (ms)")
    axes.set_ylabel("rate (Hz)")
    handles, labels = axes.get_legend_handles_labels()
    few = [i for i, label in enumerate(labels) if label in {_swept(response, phenomenon, c) for c in conditions}]
    _small_legend(axes, [handles[i] for i in few], [labels[i] for i in few])


def _small_legend(axes: Axes, handles: list[Artist], labels: list[str]) -> None:
    axes.legend(
        handles, labels, fontsize=5.5, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), handlelength=1.0, columnspacing=0.8
    )


def _bar_on_its_way(axes: Axes, probe: xr.Dataset, response: xr.Dataset, condition: int) -> None:
    """The moving bar, position against time."""
    movie = probe["stimulus"][condition].values
    limit = max(float(np.abs(movie).max()), 1e-12)
    time = 1e3 * (probe["time"].values - float(probe["crossing"]))
    line = movie[:, movie.shape[1] // 2].T
    edges = extent(time, probe["x"].values, upwards=True)
    axes.imshow(line, aspect="auto", origin="lower", cmap="gray", vmin=-limit, vmax=limit, extent=edges, label="contrast (sd)")
    axes.set_ylabel("x (µm)")
    axes.set_xlabel("time from the crossing (ms)")


def _profiles(axes: Axes, response: xr.Dataset, cell: int) -> None:
    """Responses to flashed bars, and to bars that move in both directions at the lowest speed, against where the bar is."""
    velocity, position = response["velocity"].values, response["position"].values
    flashed = np.isfinite(position)
    axes.plot(position[flashed], response["peak_rate"].values[flashed, cell], "o-", color=GREY, ms=3, label="flashed bar (peak)")
    slowest = np.nanmin(np.abs(velocity))
    edge = np.abs(position[flashed]).max() * 1.2
    for shade, sign, arrow in (("#0072B2", 1, "to the right"), ("#D55E00", -1, "to the left")):
        for i in np.flatnonzero(velocity == sign * slowest):
            bar = velocity[i] * (response["time"].values - float(response["crossing"]))
            inside = np.abs(bar) <= edge
            axes.plot(bar[inside], response["rate"].values[i, inside, cell], color=shade, lw=0.9, label=arrow)
    axes.set_xlabel("position of the bar (µm)")
    axes.set_ylabel("rate (Hz)")
    axes.set_ylim(bottom=0)
    _small_legend(axes, *axes.get_legend_handles_labels())


def _readout(axes: Axes, responses: Responses, shown: str, phenomenon: Phenomenon, cell: int) -> None:
    names = list(responses)
    for name in sorted(names, key=lambda n: n == shown):  # the one that is shown lies above the others
        x, y, error = _points(responses[name], phenomenon, cell)
        shade, marker = mark(name, names)
        size, width = (4, 1.2) if name == shown else (3, 0.6)
        line = "" if phenomenon.sweep == "velocity" else "-"  # at a speed there are two directions
        axes.errorbar(x, y, error, fmt=marker + line, color=shade, ms=size, lw=width, elinewidth=0.6, label=name)
        if name == shown and len(x):
            phenomenon.guide(axes, x, y)
    attributes = {n: responses[shown][n].attrs for n in (phenomenon.readout, phenomenon.sweep)}
    scale = {n: "ms" if a["units"] == "s" else a["units"] for n, a in attributes.items()}
    word = {"velocity": "speed of the bar (µm/s)", "contrast": "magnitude of contrast (sd)"}.get(phenomenon.sweep)
    axes.set_xlabel(word or with_unit(phenomenon.sweep.replace("_", " "), scale[phenomenon.sweep]))
    axes.set_ylabel(with_unit(phenomenon.readout.replace("_", " "), scale[phenomenon.readout]))
    axes.set_title(f"retinas: {phenomenon.expected}", fontweight="normal", fontsize=6.5)
    if phenomenon.sweep == "contrast":
        axes.set_xscale("log")
        axes.minorticks_off()
        sizes = _apart(np.unique(np.abs(responses[shown]["contrast"].values)))
        axes.set_xticks(sizes, [f"{s:g}" for s in sizes])
    if not any(np.isfinite(response[phenomenon.readout].values[:, cell]).any() for response in responses.values()):
        axes.text(0.5, 0.5, "no response", ha="center", transform=axes.transAxes, color=GREY)


def _apart(sizes: np.ndarray, ratio: float = 1.4) -> list[float]:
    """Some of these numbers, in rising order, that have room for their names on a logarithmic axis."""
    chosen: list[float] = []
    for size in sizes[sizes > 0].tolist():
        if not chosen or size >= ratio * chosen[-1]:
            chosen.append(size)
    return chosen


def _points(response: xr.Dataset, phenomenon: Phenomenon, cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sweep, readout and its standard error, in order of the sweep; times in ms, directions together."""
    values, sweep = response[phenomenon.readout], response[phenomenon.sweep]
    x, y = sweep.values * (1e3 if sweep.attrs["units"] == "s" else 1), values.values[:, cell]
    error = np.zeros(len(y))
    if f"{phenomenon.readout}_error" in response:
        error = np.nan_to_num(response[f"{phenomenon.readout}_error"].values[:, cell])
    unit = 1e3 if values.attrs["units"] == "s" else 1
    x = np.abs(x) if phenomenon.sweep in {"velocity", "contrast"} else x
    known = np.isfinite(x) & np.isfinite(y) & (x > 0 if phenomenon.sweep == "contrast" else True)
    order = np.argsort(x[known], kind="stable")
    return x[known][order], unit * y[known][order], unit * error[known][order]
