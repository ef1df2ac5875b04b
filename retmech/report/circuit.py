"""Figures of the reduction and the circuit: factors, channels, faithfulness, reduced responses."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.report.style import GREY, colour


def factors(reduction: xr.Dataset) -> Figure:
    """Loadings of every factor and their mean activation by the probes."""
    n = reduction.sizes["factor"]
    figure = Figure(figsize=(11, 1.0 + 1.25 * n))
    grid = figure.add_gridspec(n, 2)
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
            place = np.arange(len(names)) + (i + 0.5) * 0.8 / len(cells) - 0.4
            axes.bar(place, means, 0.8 / len(cells), color=colour(i), label=cell)
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names] if k + 1 == n else [])
        axes.set_ylabel("mean activation\n(Hz)")
        if k == 0:
            axes.legend(ncols=len(cells), loc="lower center", bbox_to_anchor=(0.5, 0.95), columnspacing=0.8, handlelength=1)
    return figure


def ranks(reduction: xr.Dataset) -> Figure:
    """What judges the number of factors, and other methods beside them."""
    figure = Figure(figsize=(11, 2.9))
    entries, stable, times = figure.subplots(1, 3)
    rank = reduction["rank"].values
    held_out = reduction["held_out_error"].values
    sem = held_out.std(axis=1, ddof=1) / np.sqrt(held_out.shape[1])
    entries.errorbar(rank, held_out.mean(axis=1), sem, fmt="o-", color=colour(3), capsize=2, label="entries hidden")
    entries.plot(rank, reduction["reconstruction_error"], "o--", color=GREY, label="entries fitted")
    entries.set_ylabel("relative error of NMF")
    stable.plot(rank, reduction["restart_stability"], "o-", color=colour(0), label="restarts")
    stable.plot(rank, reduction["split_stability"], "s-", color=colour(2), label="halves of the time")
    stable.set_ylabel("agreement of loadings (cosine)")
    labels = {"nmf": "NMF", "pca": "PCA", "kmeans": "k-means", "dictionary": "sparse dictionary"}
    for i, method in enumerate(reduction["algorithm"].values):
        error = reduction["time_error"].sel(algorithm=method).mean("time_fold")
        line = "o--" if method == "pca" else "o-"  # PCA and NMF often lie on each other
        times.plot(rank, error, line, ms=3, color=colour(i), label=labels.get(str(method), str(method)))
    times.set_ylabel("relative error,\ntimes held out")
    for axes in (entries, stable, times):
        axes.axvline(reduction.sizes["factor"], color=GREY, ls=":", lw=1)
        axes.set_xlabel("number of factors (dotted: used)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        axes.legend()
    stable.set_ylim(0, 1.05)
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
    figure = Figure(figsize=(11, 4.2))
    axes = figure.subplots(2, len(order), squeeze=False)
    span = [circuit[d].values[i] for d, i in (("kernel_x", 0), ("kernel_x", -1), ("kernel_y", -1), ("kernel_y", 0))]
    for place, c in enumerate(order.tolist()):
        spatial = circuit["spatial_filter"].values[c]
        limit = max(float(np.abs(spatial).max()), 1e-12)
        axes[0, place].imshow(spatial, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=span)
        polarity = "ON" if circuit["polarity"].values[c] > 0 else "OFF"
        axes[0, place].set_title(
            f"{circuit['channel'].values[c]}: {polarity}\n{1e3 * circuit['time_to_peak'].values[c]:.0f} ms\n"
            f"{circuit['channel_factor'].values[c]}" + ("\nin the circuit" if circuit["in_circuit"].values[c] else "\n"),
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
    """Correlation with the full response against the number of channels: three orders, fixed weights, and two controls."""
    probes = circuit["probe"].values
    figure = Figure(figsize=(11, 3.1))
    kept = circuit["kept"].values
    size = int(circuit["in_circuit"].sum())
    for axes, name in zip(figure.subplots(1, len(probes), sharey=True, squeeze=False)[0], probes, strict=True):
        own = circuit.sel(probe=name)
        low, middle, high = own["random_correlation"].mean("cell").values
        axes.fill_between(kept, low, high, color=GREY, alpha=0.25, lw=0, label="random channels, 5-95 %")
        axes.plot(kept, middle, color=GREY, ls="--", lw=1, label="random channels, median")
        for i, selection in enumerate(circuit["selection"].values):
            mean = own["correlation"].sel(selection=selection).mean("cell")
            axes.plot(kept, mean, "o-", ms=3, color=colour(i), label=f"by {selection}" if selection != "greedy" else "greedy")
        axes.plot(kept, own["fixed_correlation"].mean("cell"), "s:", ms=3, color=colour(2), label="greedy, fixed weights")
        axes.plot(
            kept, own["ablation_correlation"].mean("cell"), "x-", ms=4, color=colour(3), label="network without these (greedy)"
        )
        best = float(own["circuit_correlation"].sel(candidate="circuit").mean("cell"))
        axes.plot(size, best, "*", ms=11, color="black", label="the circuit")
        axes.set_title(str(name))
        axes.set_xlabel("channels kept")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.axhline(float(circuit["faithfulness_asked"]), color="black", lw=0.5, ls=":")
    figure.axes[0].set_ylabel("correlation with the model's\nresponse (mean over cells)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def reduced_responses(reduced: xr.DataArray, rate: xr.DataArray, probe: str, condition: int) -> Figure:
    """The reduced circuits' responses to one condition over the full model's."""
    cells = rate["cell"].values
    figure = Figure(figsize=(11, 2.1))
    styles = {"circuit": ("reduced", "-"), "circuit_fixed": ("reduced, fixed weights", ":")}
    for i, axes in enumerate(figure.subplots(1, len(cells), squeeze=False)[0]):
        axes.plot(rate["time"], rate.values[condition, :, i], color=GREY, lw=2.4, label="model")
        for name, (label, line) in styles.items():
            if name in reduced["candidate"].values:
                values = reduced.sel(candidate=name).values[condition, :, i]
                axes.plot(rate["time"], values, line, color=colour(i), lw=1.2, label=label)
        axes.set_title(f"{cells[i]}")
        axes.set_xlabel("time (s)")
    figure.axes[0].set_ylabel("rate (Hz)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    figure.suptitle(f"{probe}, {rate['condition'].values[condition]}", x=0.01, ha="left")
    return figure


def discriminating(found: xr.Dataset) -> Figure:
    """The movie on which two circuits disagree most: some of its frames, and what they answer."""
    cells = found["cell"].values
    history = found.sizes["time"] - found.sizes["response_time"] + 1
    difference = np.abs(found["rate"].values[1] - found["rate"].values[2]).max(axis=1)
    peak = history - 1 + int(difference.argmax())
    shown = np.arange(peak - 12, peak + 1, 2).clip(0)
    figure = Figure(figsize=(11, 3.6))
    grid = figure.add_gridspec(2, 1, height_ratios=[1, 1.3])
    upper, lower = grid[0].subgridspec(1, len(shown)), grid[1].subgridspec(1, len(cells))
    frames = [figure.add_subplot(upper[i]) for i in range(len(shown))]
    x, y = found["x"].values, found["y"].values
    extent = float(x[0]), float(x[-1]), float(y[-1]), float(y[0])
    for axes, frame in zip(frames, shown.tolist(), strict=True):
        axes.imshow(found["intensity"].values[frame], cmap="gray", vmin=0, vmax=255, extent=extent)
        axes.set_title(f"{1e3 * (found['time'].values[frame] - found['time'].values[peak]):+.0f} ms", loc="center")
        axes.set_xticks([])
        axes.set_yticks([])
    frames[0].set_ylabel(f"{extent[1] - extent[0]:.0f} um")
    for i in range(len(cells)):
        axes = figure.add_subplot(lower[i])
        for values, label, line, shade in zip(
            found["rate"].values, ("model", "circuit", "rival"), ("-", "-", "--"), (GREY, colour(i), "black"), strict=True
        ):
            axes.plot(found["response_time"], values[:, i], line, color=shade, lw=2.2 if label == "model" else 1.2, label=label)
        axes.axvline(found["time"].values[peak], color=GREY, lw=0.6, ls=":")
        axes.set_title(str(cells[i]))
        axes.set_xlabel("time (s)")
        if i == 0:
            axes.set_ylabel("rate (Hz)")
            axes.legend()
    return figure
