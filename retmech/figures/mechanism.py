"""One probe's mechanism in one figure, after the layout of Tanaka et al. (NeurIPS 2019): from the stimulus to the circuit."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retmech.circuit.words import in_words as filter_in_words
from retmech.figures.circuit import draw_filters, draw_reduced
from retmech.figures.diagram import Connection, connect, node
from retmech.figures.probes import draw_stimulus, example_condition, stack
from retmech.figures.style import EXCITATORY, GREY, INHIBITORY, WIDTH, colour, in_words, legend_once, letter_panels
from retmech.reduction.matrix import channel_attribution

MOST_CHANNELS = 5
MOST_CELLS = 5


def mechanism(name: str, probe: xr.Dataset, response: xr.Dataset, attributions: xr.Dataset, circuit: xr.DataTree) -> Figure:
    """The stimulus, the most responsive cell's response as a sum of channels, their filters, the circuit, and what it answers."""
    found = circuit.to_dataset().sel(probe=name)
    condition = example_condition(response)
    change = (attributions["response"] - attributions["baseline_response"]).values[condition]
    cell = int(np.abs(change).max(axis=0).argmax())
    chosen = important_channels(found, cell)
    figure = Figure(figsize=(WIDTH, 5.0))
    grid = figure.add_gridspec(1, 2, width_ratios=[1, 1.15])
    left = grid[0].subgridspec(3, 1, height_ratios=[0.7, 1.7, 1.1])
    right = grid[1].subgridspec(3, len(chosen), height_ratios=[0.85, 0.75, 1.5])
    stimulus = figure.add_subplot(left[0])
    stacked, reduced = (figure.add_subplot(left[i], sharex=stimulus) for i in (1, 2))
    draw_stimulus(stimulus, probe, condition)
    stimulus.set_title(f"{name}, {in_words(response['condition'].values[condition])}")
    _stacked(stacked, attributions, condition, cell)
    rates = circuit.children["probes"].children[name].dataset["reduced_rate"]
    draw_reduced(reduced, rates, attributions["response"], condition, cell)
    time = response["time"].values
    reduced.set_xlim(time[0], time[-1])
    reduced.set_xlabel("time (s)")
    reduced.set_ylabel("rate (Hz)")
    r = float(found["circuit_correlation"].sel(candidate="circuit")[cell])
    reduced.set_title(f"circuit and model, r = {r:.2f}", fontweight="normal")
    reduced.legend(loc="upper left", bbox_to_anchor=(0, -0.28), ncols=3)
    for axes in (stimulus, stacked):
        axes.tick_params(labelbottom=False)
    filters = [_filters(figure, right, found, c, i) for i, c in enumerate(chosen)]
    wiring = figure.add_subplot(right[2, :])
    _wiring(wiring, found, chosen, cell)
    letter_panels([stimulus, stacked, reduced, filters[0], wiring])
    return figure


def important_channels(found: xr.Dataset, cell: int) -> list[int]:
    """The circuit's channels in the order of what they contribute to a cell's responses; the strongest where there is none."""
    strength = found["strength"].values[cell]
    order = np.argsort(-strength, kind="stable").tolist()
    inside = [c for c in order if found["in_circuit"].values[c]]
    return (inside or order[:3])[:MOST_CHANNELS]


def _stacked(axes: Axes, attributions: xr.Dataset, condition: int, cell: int) -> None:
    time = attributions["time"].values
    net = channel_attribution(attributions).values[condition, :, cell]
    stack(axes, time, net, attributions["baseline_response"].values[condition, :, cell])
    axes.plot(time, attributions["response"].values[condition, :, cell], color="black", lw=0.8, label="rate")
    axes.set_ylabel("rate (Hz)")
    axes.set_title(f"{attributions['cell'].values[cell]}: sum of its channels", fontweight="normal")
    axes.legend(
        *legend_once(*axes.get_legend_handles_labels()), loc="upper left", bbox_to_anchor=(-0.1, 0), ncols=4, handlelength=1.2
    )


def _filters(figure: Figure, grid: object, found: xr.Dataset, c: int, place: int) -> Axes:
    above, below = (figure.add_subplot(grid[row, place]) for row in (0, 1))  # type: ignore[index]
    draw_filters(above, below, found, c)
    described = filter_in_words(*(found[key].values[c] for key in ("polarity", "time_to_peak", "biphasic_index")))
    above.set_title(f"{found['channel'].values[c]}\n{described.replace(', ', chr(10))}", color=colour(c), loc="center")
    if place:
        above.tick_params(labelleft=False)
        below.tick_params(labelleft=False)
    else:
        above.set_ylabel("y (µm)")
        below.set_ylabel("temporal filter")
    first: Axes = above
    return first


def _wiring(axes: Axes, found: xr.Dataset, chosen: list[int], cell: int) -> None:
    """Channels under their filters, cells below them."""
    strength, effect = found["strength"].values, found["effect"].values
    others = [k for k in np.argsort(-strength.sum(axis=1), kind="stable").tolist() if k != cell]
    cells = sorted([cell, *others[: MOST_CELLS - 1]])
    largest = float(strength[np.ix_(cells, chosen)].max())
    axes.set_xlim(0, len(chosen))
    axes.set_ylim(-0.15, 1.15)
    axes.axis("off")
    step = len(chosen) / len(cells)
    for i, c in enumerate(chosen):
        for j, k in enumerate(cells):
            aside = 0.09 * step * (i - (len(chosen) - 1) / 2)  # so that no end hides another
            start, end = (i + 0.5, 0.9), ((j + 0.5) * step + aside, 0.15)
            names = f"{found['channel'].values[c]} to {found['cell'].values[k]}"
            connect(axes, Connection(start, end, float(strength[k, c]), largest, bool(effect[k, c] >= 0), names), largest)
    for i, c in enumerate(chosen):
        node(axes, (i + 0.5, 1.0), str(found["channel"].values[c]), colour(c))
    for j, k in enumerate(cells):
        node(axes, ((j + 0.5) * step, 0.0), str(found["cell"].values[k]), "black" if k == cell else GREY)
    kinds = [Line2D([], [], color=EXCITATORY, marker=">", lw=2), Line2D([], [], color=INHIBITORY, marker="|", lw=2, mew=2)]
    axes.legend(
        kinds,
        ["excites", "inhibits"],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=2,
        title=f"thickness: mean strength, at most {largest:.2g} Hz",
        title_fontsize=6.5,
    )
