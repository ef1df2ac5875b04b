"""How faithful reduced models are: all choices of channels at once, from second moments.

A reduced response is a sum of channels' contributions, so its correlation with the full response, and its error, follow from the
moments of these; no response has to be computed again for another choice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class Moments:
    """Means and covariances of (contribution of each channel, what is always there, full response).

    Attributes
    ----------
    mean : (cell, channel + 2)
    covariance : (cell, channel + 2, channel + 2)
    """

    mean: FloatArray
    covariance: FloatArray


def moments(contribution: NDArray[np.floating], rest: NDArray[np.floating], response: NDArray[np.floating]) -> Moments:
    """Return the moments of one probe.

    Parameters
    ----------
    contribution : (condition, time, cell, channel)
        Hz.
    rest : (condition, time, cell)
        The response at the baseline, which every reduced model keeps, Hz.
    response : (condition, time, cell)
        Hz.
    """
    samples = np.concatenate([contribution, rest[..., None], response[..., None]], axis=-1).astype(np.float64)
    samples = np.moveaxis(samples.reshape(-1, *samples.shape[2:]), 0, 1)  # (cell, sample, channel + 2)
    mean = samples.mean(axis=1)
    samples -= mean[:, None]
    return Moments(mean, samples.transpose(0, 2, 1) @ samples / samples.shape[1])


def faithfulness(found: Moments, chosen: Chosen) -> tuple[FloatArray, FloatArray]:
    """Correlation and explained variance of reduced responses with the full one.

    Parameters
    ----------
    chosen : (choice, channel)

    Returns
    -------
    correlation, explained_variance : (choice, cell)
        NaN for a cell whose response is constant; a constant reduced response of one that is not has correlation 0.
    """
    weight = np.concatenate([chosen, np.ones((len(chosen), 1))], axis=1)  # and what is always there
    part, target = found.covariance[:, :-1, :-1], found.covariance[:, :-1, -1]
    variance = found.covariance[:, -1, -1]
    spread = np.einsum("sc,kcd,sd->sk", weight, part, weight)
    shared = weight @ target.T
    floor = 1e-12 * found.covariance.diagonal(axis1=1, axis2=2).max(axis=1)  # rounding
    varies = variance > floor
    norm = np.sqrt(np.maximum(spread, 0) * variance)
    correlation = np.divide(shared, norm, out=np.zeros(norm.shape), where=spread > floor)
    bias = weight @ found.mean[:, :-1].T - found.mean[:, -1]
    error = np.maximum(spread - 2 * shared + variance, 0) + bias**2  # rounding
    explained = 1 - np.divide(error, variance, out=np.full(error.shape, np.nan), where=varies)
    return np.where(varies, np.clip(correlation, -1, 1), np.nan), explained


def on_all_probes(probes: Mapping[str, Moments], chosen: Chosen) -> FloatArray:
    """Correlation (choice, probe, cell)."""
    return np.stack([faithfulness(found, chosen)[0] for found in probes.values()], axis=1)


def score(correlation: FloatArray) -> FloatArray:
    """The worst probe's mean over cells, (choice,), of correlations (choice, probe, cell).

    Cells and probes without any response do not count; -1 if there are none that do.
    """
    defined = np.isfinite(correlation)
    number = defined.sum(axis=-1)
    mean = np.divide(np.where(defined, correlation, 0).sum(axis=-1), number, out=np.full(number.shape, np.inf), where=number > 0)
    worst: FloatArray = mean.min(axis=-1)
    return np.where(np.isfinite(worst), worst, -1.0)


def nested(order: Iterable[int], n_channels: int) -> Chosen:
    """The first 1, 2, ... channels of an order, (choice, channel)."""
    place = np.full(n_channels, n_channels)
    for i, channel in enumerate(order):
        place[channel] = i
    return place[None] <= np.arange(n_channels)[:, None]
