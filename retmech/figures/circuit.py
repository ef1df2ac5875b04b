"""Figures of the circuit: its channels, how faithful it is, its responses, and the movie that tells it from its rival."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.figures.layout import extent, leftmost, lowest, rows_of, wrapped
from retmech.figures.style import GREY, WIDTH, colour, in_words

CHANNELS = 8  # in a row


def channels(circuit: xr.Dataset) -> Figure:
    """Spatial and temporal filters of all channels in order of importance, with their descriptions."""
    order = np.argsort(circuit["rank"].values, kind="stable").tolist()
    rows, columns = rows_of(len(order), CHANNELS)
    figure = Figure(figsize=(WIDTH, 0.2 + 2.7 * rows))
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for place in range(rows * columns):
        above, below = grid[2 * (place // columns), place % columns], grid[2 * (place // columns) + 1, place % columns]
        if place >= len(order):
            above.remove()
            below.remove()
            continue
        c = order[place]
        draw_filters(above, below, circuit, c)
        kept = "kept" if circuit["in_circuit"].values[c] else ""
        above.set_title(
            f"{circuit['channel'].values[c]}: {polarity(circuit, c)}\n{1e3 * circuit['time_to_peak'].values[c]:.0f} ms\n"
            f"{circuit['channel_factor'].values[c]}\n{kept}",
            color=colour(c),
            loc="center",
        )
        if place % columns == 0:
            above.set_ylabel("y (µm)")
            below.set_ylabel("temporal filter\n(peak = 1)")
        else:
            above.tick_params(labelleft=False)
            below.tick_params(labelleft=False)
    return figure


def draw_filters(above: Axes, below: Axes, circuit: xr.Dataset, c: int) -> None:
    """Draw the spatial and the temporal filter of a channel in two panels."""
    spatial = circuit["spatial_filter"].values[c]
    limit = max(float(np.abs(spatial).max()), 1e-12)
    edges = extent(circuit["kernel_x"].values, circuit["kernel_y"].values)
    name = str(circuit["channel"].values[c])
    above.imshow(spatial, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=edges, label=f"{name}, spatial filter")
    above.set_xlabel("x (µm)")
    lag = -1e3 * circuit["lag"].values
    below.plot(lag, circuit["temporal_filter"].values[c], color=colour(c), label=f"{name}, temporal filter")
    below.axhline(0, color=GREY, lw=0.5)
    below.set_ylim(-1.1, 1.1)
    below.xaxis.set_major_locator(MaxNLocator(2))
    below.set_xlabel("time (ms)")


def polarity(circuit: xr.Dataset, c: int) -> str:
    """ON or OFF."""
    return "ON" if circuit["polarity"].values[c] > 0 else "OFF"


def faithfulness(circuit: xr.Dataset) -> Figure:
    """Correlation with the full response against the number of channels: three orders, fixed weights, and two controls."""
    probes = circuit["probe"].values
    figure, panels = wrapped(len(probes), 1.7, extra=0.7, across=5, sharey=True)
    for axes, name in zip(panels, probes, strict=True):
        _faithfulness(axes, circuit.sel(probe=name))
        axes.set_title(str(name))
        axes.axhline(float(circuit["faithfulness_asked"]), color="black", lw=0.5, ls=":", label="asked for")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in lowest(panels):
        axes.set_xlabel("channels kept")
    for axes in leftmost(panels):
        axes.set_ylabel("correlation with the model's\nresponse (mean over cells)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _faithfulness(axes: Axes, own: xr.Dataset) -> None:
    kept = own["kept"].values
    low, middle, high = own["random_correlation"].mean("cell").values
    axes.fill_between(kept, low, high, color=GREY, alpha=0.25, lw=0, label="random channels, 5-95 %")
    axes.plot(kept, middle, color=GREY, ls="--", lw=0.8, label="random channels, median")
    for i, selection in enumerate(own["selection"].values):
        mean = own["correlation"].sel(selection=selection).mean("cell")
        label = f"by {selection}" if selection != "greedy" else "greedy"
        axes.plot(kept, mean, "o-", ms=2.5, color=colour(i), label=label)
    fixed = own["fixed_correlation"].mean("cell")
    if np.isfinite(fixed.values).any():
        axes.plot(kept, fixed, "s:", ms=2.5, color=colour(5), label="greedy, fixed weights")
    ablated = own["ablation_correlation"].mean("cell")
    axes.plot(kept, ablated, "x-", ms=3, color=colour(3), label="network without these (greedy)")
    best = float(own["circuit_correlation"].sel(candidate="circuit").mean("cell"))
    axes.plot(int(own["in_circuit"].sum()), best, "*", ms=8, color="black", label="the circuit")


def reduced_responses(reduced: xr.DataArray, rate: xr.DataArray, probe: str, condition: int) -> Figure:
    """The reduced circuits' responses to one condition over the full model's."""
    cells = rate["cell"].values
    figure, panels = wrapped(len(cells), 1.5, extra=0.5)
    for i, axes in enumerate(panels):
        draw_reduced(axes, reduced, rate, condition, i)
        axes.set_title(str(cells[i]))
    for axes in lowest(panels):
        axes.set_xlabel("time (s)")
    for axes in leftmost(panels):
        axes.set_ylabel("rate (Hz)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(f"{probe}, {in_words(rate['condition'].values[condition])}", x=0.01, ha="left")
    return figure


def draw_reduced(axes: Axes, reduced: xr.DataArray, rate: xr.DataArray, condition: int, cell: int) -> None:
    """Draw the circuit's response, with both kinds of weights, over what is attributed."""
    styles = {"circuit": ("circuit", "-", colour(0)), "circuit_fixed": ("circuit, fixed weights", ":", colour(3))}
    axes.plot(rate["time"], rate.values[condition, :, cell], color=GREY, lw=2, alpha=0.6, label="model")
    for name, (label, line, shade) in styles.items():
        if name in reduced["candidate"].values:
            values = reduced.sel(candidate=name).values[condition, :, cell]
            if np.isfinite(values).any():
                axes.plot(rate["time"], values, line, color=shade, lw=0.9, label=label)


def discriminating(found: xr.Dataset) -> Figure:
    """The movie on which two circuits disagree most: some of its frames, and what they answer."""
    cells = found["cell"].values
    history = found.sizes["time"] - found.sizes["response_time"] + 1
    difference = np.abs(found["rate"].values[1] - found["rate"].values[2]).max(axis=1)
    peak = history - 1 + int(difference.argmax())
    shown = np.arange(peak - 12, peak + 1, 2).clip(0)
    rows, columns = rows_of(len(cells))
    figure = Figure(figsize=(WIDTH, 1.6 + 1.4 * rows))
    grid = figure.add_gridspec(2, 1, height_ratios=[1, 1.3 * rows])
    upper, lower = grid[0].subgridspec(1, len(shown)), grid[1].subgridspec(rows, columns)
    edges = extent(found["x"].values, found["y"].values)
    for i, frame in enumerate(shown.tolist()):
        axes = figure.add_subplot(upper[i])
        axes.imshow(found["intensity"].values[frame], cmap="gray", vmin=0, vmax=255, extent=edges, label="intensity")
        axes.set_title(f"{1e3 * (found['time'].values[frame] - found['time'].values[peak]):+.0f} ms", loc="center")
        axes.set_xticks([])
        axes.set_yticks([])
        if i == 0:
            axes.set_ylabel(f"{edges[1] - edges[0]:.0f} µm")
    for i in range(len(cells)):
        axes = figure.add_subplot(lower[i // columns, i % columns])
        for values, label, line, shade in zip(
            found["rate"].values, ("model", "circuit", "rival"), ("-", "-", "--"), (GREY, colour(0), "black"), strict=True
        ):
            axes.plot(found["response_time"], values[:, i], line, color=shade, lw=1.8 if label == "model" else 0.9, label=label)
        axes.axvline(found["time"].values[peak], color=GREY, lw=0.6, ls=":", label="largest difference")
        axes.set_title(str(cells[i]))
        axes.set_xlabel("time (s)")
        axes.set_ylabel("rate (Hz)" if i % columns == 0 else "")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure
