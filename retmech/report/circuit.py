"""Figures of the reduction and the circuit: factors, channels, faithfulness, reduced responses."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.report.style import GREY, colour


def factors(reduction: xr.Dataset) -> Figure:
    """Loadings of every factor, their mean activation by the probes, and the curves over the rank."""
    n = reduction.sizes["factor"]
    figure = Figure(figsize=(11, 1.3 + 1.35 * n))
    grid = figure.add_gridspec(n, 3, width_ratios=[1.5, 1.5, 1.2])
    probe = reduction["probe"].values
    names = list(dict.fromkeys(probe))
    cells = list(dict.fromkeys(reduction["cell"].values))
    for k in range(n):
        _loading(figure.add_subplot(grid[k, 0]), reduction, k, last=k + 1 == n)
        axes = figure.add_subplot(grid[k, 1])
        activation = reduction["activation"].values[:, k]
        for i, cell in enumerate(cells):
            own = reduction["cell"].values == cell
            means = [activation[own & (probe == name)].mean() for name in names]
            axes.bar(
                np.arange(len(names)) + (i + 0.5) * 0.8 / len(cells) - 0.4,
                means,
                0.8 / len(cells),
                color=colour(i),
                label=cell,
            )
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names] if k + 1 == n else [])
        axes.set_ylabel("mean activation\n(Hz)")
        if k == 0:
            axes.legend(ncols=len(cells), loc="lower center", bbox_to_anchor=(0.5, 0.95), columnspacing=0.8, handlelength=1)
    error = figure.add_subplot(grid[: (n + 1) // 2, 2])
    error.plot(reduction["rank"], reduction["reconstruction_error"], "o-", color=colour(0), label="NMF, signed split")
    error.plot(reduction["component"], reduction["pca_error"], "s--", color=GREY, label="PCA, net attributions")
    error.set_ylabel("relative error")
    error.legend()
    stable = figure.add_subplot(grid[(n + 1) // 2 :, 2])
    stable.plot(reduction["rank"], reduction["stability"], "o-", color=colour(2))
    stable.set_ylabel("stability over restarts\n(cosine)")
    stable.set_ylim(-0.02, 1.04)
    for axes in (error, stable):
        axes.axvline(n, color=GREY, ls=":", lw=1)
        axes.set_xlabel("number of factors (dotted: used)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    return figure


def _loading(axes, reduction: xr.Dataset, k: int, last: bool) -> None:  # type: ignore[no-untyped-def]
    channels = reduction["channel"].values
    excitation, suppression = reduction["loading"].values[k]
    place = np.arange(len(channels))
    axes.bar(place, excitation, color=[colour(c) for c in range(len(place))])
    axes.bar(place, -suppression, color=[colour(c) for c in range(len(place))], alpha=0.55, hatch="//")
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(place, channels if last else [])
    axes.set_ylabel(f"{reduction['factor'].values[k]}\nshare")
    if k == 0:
        axes.set_title("excitation up, suppression down (hatched)", fontweight="normal")


def channels(circuit: xr.Dataset) -> Figure:
    """Spatial and temporal filters of all channels in order of importance, with their descriptions."""
    order = np.argsort(circuit["rank"].values)
    figure = Figure(figsize=(11, 4.0))
    axes = figure.subplots(2, len(order), squeeze=False)
    span = [circuit[d].values[i] for d, i in (("kernel_x", 0), ("kernel_x", -1), ("kernel_y", -1), ("kernel_y", 0))]
    for place, c in enumerate(order.tolist()):
        spatial = circuit["spatial_filter"].values[c]
        limit = max(float(np.abs(spatial).max()), 1e-12)
        axes[0, place].imshow(spatial, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=span)
        polarity = "ON" if circuit["polarity"].values[c] > 0 else "OFF"
        axes[0, place].set_title(
            f"{circuit['channel'].values[c]}: {polarity}\n{1e3 * circuit['time_to_peak'].values[c]:.0f} ms\n"
            f"{circuit['factor'].values[c]}",
            color=colour(c),
            loc="center",
        )
        axes[1, place].plot(-1e3 * circuit["lag"].values, circuit["temporal_filter"].values[c], color=colour(c))
        axes[1, place].axhline(0, color=GREY, lw=0.6)
        axes[1, place].set_ylim(-1.1, 1.1)
        axes[1, place].set_xlabel("time (ms)")
        axes[0, place].set_xlabel("x (um)")
        if place:
            axes[0, place].set_yticklabels([])
            axes[1, place].set_yticklabels([])
    axes[0, 0].set_ylabel("y (um)")
    axes[1, 0].set_ylabel("temporal filter\n(peak = 1)")
    return figure


def faithfulness(circuit: xr.Dataset) -> Figure:
    """Correlation of the reduced with the full response against the number of channels, beside random channels."""
    probes = circuit["probe"].values
    figure = Figure(figsize=(11, 2.8))
    kept = circuit["kept"].values
    for axes, name in zip(figure.subplots(1, len(probes), sharey=True, squeeze=False)[0], probes, strict=True):
        curve = circuit["correlation"].sel(probe=name)
        low, middle, high = circuit["random_correlation"].sel(probe=name).mean("cell").values
        axes.fill_between(kept, low, high, color=GREY, alpha=0.25, lw=0, label="random channels, 5-95 %")
        axes.plot(kept, middle, color=GREY, ls="--", lw=1, label="random channels, median")
        for i, cell in enumerate(circuit["cell"].values):
            axes.plot(kept, curve.values[i], "o-", ms=3, color=colour(i), label=cell)
        axes.set_title(str(name))
        axes.set_xlabel("channels kept")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(0.9, color="black", lw=0.5, ls=":")
    figure.axes[0].set_ylabel("correlation with the\nmodel's response")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def reduced_responses(reduced: xr.DataArray, rate: xr.DataArray, probe: str, condition: int) -> Figure:
    """The reduced circuit's response to one condition over the full model's."""
    cells = rate["cell"].values
    figure = Figure(figsize=(11, 1.9))
    for i, axes in enumerate(figure.subplots(1, len(cells), squeeze=False)[0]):
        axes.plot(rate["time"], rate.values[condition, :, i], color=GREY, lw=2.2, label="model")
        axes.plot(rate["time"], reduced.values[condition, :, i], color=colour(i), lw=1, label="reduced")
        axes.set_title(f"{cells[i]}")
        axes.set_xlabel("time (s)")
        axes.legend()
    figure.axes[0].set_ylabel("rate (Hz)")
    figure.suptitle(f"{probe}, {rate['condition'].values[condition]}", x=0.01, ha="left")
    return figure
