"""Figures of the models: training curves, and predictions against data."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retmech.report.style import GREY, colour


def training_curves(models: Mapping[str, xr.DataTree]) -> Figure:
    """Loss and validation correlation of every run against the epoch."""
    figure = Figure(figsize=(11, 3))
    loss, correlation = figure.subplots(1, 2)
    for i, (name, model) in enumerate(models.items()):
        epoch = model.dataset["epoch"].values
        loss.plot(epoch, model.dataset["train_loss"].values, color=colour(i), ls=":", label=f"{name}, training")
        loss.plot(epoch, model.dataset["validation_loss"].values, color=colour(i), label=f"{name}, validation")
        correlation.plot(epoch, model.dataset["validation_correlation"].values, color=colour(i), label=name)
        best = int(model.dataset["best_epoch"].item()) - 1
        loss.plot(epoch[best], model.dataset["validation_loss"].values[best], "o", color=colour(i), ms=5)
    loss.set_ylabel("Poisson loss (a dot: epoch kept)")
    correlation.set_ylabel("validation r, single trial\n(mean over cells)")
    for axes in (loss, correlation):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure


def prediction(performance: xr.Dataset, seconds: float) -> Figure:
    """Recorded and predicted rates of every cell over an excerpt, and the correlations beside the noise ceiling."""
    cells, models = performance["cell"].values, performance["model"].values
    figure = Figure(figsize=(11, 1.0 + 1.15 * len(cells)))
    grid = figure.add_gridspec(len(cells), 2, width_ratios=[3.4, 1])
    time = performance["time"].values
    shown = time <= time[0] + seconds
    for i, cell in enumerate(cells):
        axes = figure.add_subplot(grid[i, 0])
        axes.fill_between(
            time[shown], performance["recorded_rate"].values[i, shown], color=GREY, alpha=0.4, lw=0, label="recorded"
        )
        for m, model in reversed(list(enumerate(models))):
            axes.plot(time[shown], performance["predicted_rate"].values[m, i, shown], color=colour(m), label=model, lw=1)
        axes.set_ylabel(f"{cell} (Hz)")
        axes.set_xlim(time[0], time[shown][-1])
        if i == 0:
            axes.legend(ncols=1 + len(models), loc="lower right", bbox_to_anchor=(1, 0.98))
        if i + 1 < len(cells):
            axes.set_xticklabels([])
    axes.set_xlabel("time in the test movie (s)")
    _correlations(figure, grid, performance)
    return figure


def _correlations(figure: Figure, grid: object, performance: xr.Dataset) -> None:
    cells, models = performance["cell"].values, performance["model"].values
    axes = figure.add_subplot(grid[:, 1])  # type: ignore[index]
    place = np.arange(len(cells))
    width = 0.8 / len(models)
    for m, model in enumerate(models):
        r, where = performance["pearson_r"].values[m], place + (m + 0.5) * width - 0.4
        axes.barh(where, r, width, color=colour(m), label=model)
        axes.hlines(where, *performance["pearson_r_interval"].values[:, m], color="black", lw=0.8)
    ceiling = performance["noise_ceiling"].values
    axes.vlines(ceiling, place - 0.45, place + 0.45, color="black", lw=2, label="noise ceiling")
    axes.set_yticks(place, cells)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("correlation with the trial average")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
