"""Figures of the models: training curves, and predictions against data."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from retmech.figures.style import GREY, WIDTH, colour, legend_once


def training_curves(models: Mapping[str, xr.DataTree]) -> Figure:
    """Loss and validation correlation of every run against the epoch."""
    figure = Figure(figsize=(WIDTH, 2.5 + 0.12 * (len(models) // 4)))
    loss, correlation = figure.subplots(1, 2)
    for i, (name, model) in enumerate(models.items()):
        epoch = model.dataset["epoch"].values
        loss.plot(epoch, model.dataset["train_loss"].values, color=colour(i), ls=":", label=f"{name}, training")
        loss.plot(epoch, model.dataset["validation_loss"].values, color=colour(i), label=f"{name}, validation")
        correlation.plot(epoch, model.dataset["validation_correlation"].values, "o-", color=colour(i), ms=2.5, label=name)
        best = int(model.dataset["best_epoch"].item()) - 1
        loss.plot(
            epoch[best], model.dataset["validation_loss"].values[best], "o", color=colour(i), ms=4, label=f"{name}, epoch kept"
        )
    loss.set_ylabel("Poisson loss")
    loss.set_title("dotted: training; line: validation; dot: epoch kept", fontweight="normal")
    correlation.set_ylabel("validation r, single trials\n(mean over cells)")
    for axes in (loss, correlation):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = correlation.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure


def prediction(performance: xr.Dataset, seconds: float) -> Figure:
    """Recorded and predicted rates of every cell over an excerpt, and the correlations beside the noise ceiling."""
    cells, models = performance["cell"].values, performance["model"].values
    figure = Figure(figsize=(WIDTH, 1.0 + 0.85 * len(cells)))
    grid = figure.add_gridspec(len(cells), 2, width_ratios=[3, 1])
    time = performance["time"].values
    shown = time <= time[0] + seconds
    for i, cell in enumerate(cells):
        axes = figure.add_subplot(grid[i, 0])
        recorded = performance["recorded_rate"].values[i, shown]
        axes.fill_between(time[shown], 0, recorded, color=GREY, alpha=0.4, lw=0, label="recorded")
        for m, model in reversed(list(enumerate(models))):
            axes.plot(time[shown], performance["predicted_rate"].values[m, i, shown], color=colour(m), label=str(model), lw=0.8)
        axes.set_ylabel(f"{cell}\nrate (Hz)")
        axes.set_xlim(time[0], time[shown][-1])
        axes.set_ylim(bottom=0)
        if i + 1 < len(cells):
            axes.tick_params(labelbottom=False)
    axes.set_xlabel("time in the test movie (s)")
    _correlations(figure, grid, performance)
    entries = [figure.axes[i].get_legend_handles_labels() for i in (0, len(cells))]
    handles, labels = legend_once(*([item for entry in part for item in entry] for part in zip(*entries, strict=True)))
    figure.legend(handles, labels, loc="outside upper center", ncols=min(7, len(labels)))
    return figure


def _correlations(figure: Figure, grid: GridSpec, performance: xr.Dataset) -> None:
    cells, models = performance["cell"].values, performance["model"].values
    axes = figure.add_subplot(grid[:, 1])
    place = np.arange(len(cells))
    width = 0.8 / len(models)
    for m, model in enumerate(models):
        r, where = performance["pearson_r"].values[m], place + (m + 0.5) * width - 0.4
        low, high = performance["pearson_r_interval"].values[:, m]
        axes.barh(where, r, width, color=colour(m), label=str(model))
        axes.hlines(where, low, high, color="black", lw=0.7, label="95 % confidence interval")
    ceiling = performance["noise_ceiling"].values
    axes.vlines(ceiling, place - 0.45, place + 0.45, color="black", lw=1.8, label="noise ceiling")
    axes.set_yticks(place, cells)
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, float(np.nan_to_num(performance["pearson_r"].values).min())), 1.02)
    axes.set_xlabel("correlation with the\naverage over trials")
