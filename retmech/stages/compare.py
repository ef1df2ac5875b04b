"""Hold a model's channels and factors against interneurons that were recorded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit.curves import QUANTILES
from retmech.circuit.units import channel_filters
from retmech.errors import RecordingError
from retmech.interneurons import Correlations, correlations, fitted
from retmech.labels import geometry_of, variable
from retmech.models.store import load_network
from retmech.readers._files import safe_names
from retmech.readers._interneurons import Interneurons, read_interneurons
from retmech.settings import CompareSettings, InterneuronSettings
from retmech.streams import stream

FloatArray = NDArray[np.float64]

LEVELS = ("channel", "factor")


def compare(model: xr.DataTree, reduction: xr.Dataset, settings: CompareSettings, threads: int = 1) -> xr.Dataset:
    """Correlate each channel and factor with each recorded interneuron, at the position where it is most like it.

    Position and channel are chosen in the first half of the time, and judged in the second. Chance: channels take each other's
    places, and for factors the channels' shares in them do.

    Raises
    ------
    RecordingError
        If a file of interneurons cannot be used.
    """
    network = load_network(model)
    filters = torch.from_numpy(np.ascontiguousarray(channel_filters(network), np.float32))
    loading = reduction["loading"].sum("sign").values.astype(np.float64)
    geometry = geometry_of(model)
    tables, groups, names, kinds = [], [], [], []
    for group, own in settings.interneurons.items():
        for recorded in read_interneurons(Path(own.path), own.stimuli):
            neurons = _fitted(recorded, own, geometry.frame_rate, geometry.pixel_size, len(filters[0]))
            (fit, test), shape = correlations(neurons, filters, own.lag, threads=threads)
            tables.append(_Judged(fit, test, loading, shape))
            groups += [group] * len(neurons.potential)
            names += [f"{group}.{recorded.stimulus}.{i + 1}" for i in range(len(neurons.potential))]
            kinds += [own.kind] * len(neurons.potential)
    names = safe_names(names, "compare.interneurons")
    channels = np.concatenate([judged.channels for judged in tables])
    factors = np.concatenate([judged.factors for judged in tables])
    place = np.concatenate([judged.place for judged in tables]) * geometry.pixel_size
    best = np.concatenate([judged.best_channel for judged in tables])
    label = np.array(groups)
    order = list(dict.fromkeys(groups))
    chance = _chance(tables, label, order, loading, settings)
    return xr.Dataset(
        {
            "channel_correlation": variable(("neuron", "channel"), channels, "1", "correlation with the potential, held out"),
            "factor_correlation": variable(("neuron", "factor"), factors, "1", "the same of the factors"),
            "best_channel": variable("neuron", model_channels(reduction)[best], "1", "channel that is most like it"),
            "position_y": variable("neuron", place[:, 0], "um", "where the best channel is, from the middle of the stimulus"),
            "position_x": variable("neuron", place[:, 1], "um", "where the best channel is, from the middle of the stimulus"),
            "group": variable("neuron", label, "1", "recording of interneurons"),
            "kind": variable("neuron", np.array(kinds), "1", "class of cells"),
            **chance,
        },
        coords={
            "neuron": variable("neuron", np.array(names), "1", "recorded interneuron"),
            "channel": reduction["channel"].variable,
            "factor": reduction["factor"].variable,
            "level": variable("level", list(LEVELS), "1", "what is compared"),
            "set": variable("set", order, "1", "recording of interneurons"),
            "quantile": variable("quantile", list(QUANTILES), "1", "quantile over draws"),
        },
    )


def model_channels(reduction: xr.Dataset) -> NDArray[np.str_]:
    """Names of the channels."""
    return np.array([str(channel) for channel in reduction["channel"].values])


def _fitted(
    neurons: Interneurons, settings: InterneuronSettings, frame_rate: float, pixel_size: float, history: int
) -> Interneurons:
    """The stimulus as the model sees movies."""
    ratio = frame_rate / settings.frame_rate
    found = fitted(neurons, ratio, (settings.pixel_size or pixel_size) / pixel_size)
    if len(found.movie) < 4 * history:
        raise RecordingError(
            f"{settings.path}: {neurons.stimulus}: expected at least {4 * history / frame_rate:.2g} s, four times the model's "
            f"history, found {len(found.movie) / frame_rate:.2g} s."
        )
    return found


class _Judged:
    """One stimulus: what was most alike in the first half, and how alike it is in the second."""

    def __init__(self, fit: Correlations, test: Correlations, loading: FloatArray, shape: tuple[int, int]) -> None:
        self.fit, self.test = fit, test
        own = np.eye(fit.among.shape[0])
        self.channels, at, fitted_r = self.held_out(own)
        self.factors, _, self.factor_fit = self.held_out(loading)
        self.best_channel = fitted_r.argmax(axis=1)
        best = np.take_along_axis(at, self.best_channel[:, None], axis=1)[:, 0]
        y, x = np.unravel_index(best, shape)
        self.place = np.stack([y - (shape[0] - 1) / 2, x - (shape[1] - 1) / 2], axis=1)

    def held_out(self, loading: FloatArray) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
        """Correlation (cell, item) in the second half at the best position in the first, that position, and that correlation."""
        fit = self.fit.of(loading)
        at = fit.argmax(axis=2)
        test = np.take_along_axis(self.test.of(loading), at[..., None], axis=2)[..., 0]
        return test, at, np.take_along_axis(fit, at[..., None], axis=2)[..., 0]


def _chance(
    tables: Sequence[_Judged], label: NDArray[np.str_], order: Sequence[str], loading: FloatArray, settings: CompareSettings
) -> Mapping[str, xr.Variable]:
    """Mean over cells of the best channel's and the best factor's correlation, beside draws of permuted channels."""
    n_channels = loading.shape[1]
    rng = stream(settings.seed, "permuted channels")
    channels = np.concatenate([judged.channels for judged in tables])
    best = np.concatenate([judged.best_channel for judged in tables])

    def means(values: FloatArray) -> FloatArray:
        return np.array([values[label == group].mean() for group in order])

    def of_factors(loading: FloatArray) -> FloatArray:
        chosen = []
        for judged in tables:
            test, _, fit = judged.held_out(loading)
            chosen.append(np.take_along_axis(test, fit.argmax(axis=1)[:, None], axis=1)[:, 0])
        return means(np.concatenate(chosen))

    rows = np.arange(len(best))
    found = np.stack([means(channels[rows, best]), of_factors(loading)])
    draws = np.empty((settings.draws, *found.shape))
    for draw in draws:
        order_of = rng.permutation(n_channels)
        draw[0] = means(channels[rows, order_of[best]])
        draw[1] = of_factors(loading[:, order_of])
    p_value = (1 + (draws >= found - 1e-12).sum(axis=0)) / (settings.draws + 1)
    pair = ("level", "set")
    return {
        "correlation": variable(pair, found, "1", "mean over cells of the best one's correlation, held out"),
        "null": variable(("quantile", *pair), np.quantile(draws, QUANTILES, axis=0), "1", "the same of permuted channels"),
        "p_value": variable(pair, p_value, "1", "share of permutations that are as good"),
    }
