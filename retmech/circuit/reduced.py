"""Reduced models: a cell's response from the attributions of a few channels, and how faithful it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retmech.quality import pearson

FloatArray = NDArray[np.floating]


def reduced_rate(attribution: FloatArray, baseline: FloatArray, channels: Sequence[int]) -> NDArray[np.float64]:
    """Response of the one-layer circuit of some channels with their stimulus-dependent effective weights.

    r'_k(t) = r_k(s0) + sum_{c kept} (z_c - z0_c) G_ck = r_k(s0) + sum_{c kept} A_ck (Tanaka et al. 2019, section 3).

    Parameters
    ----------
    attribution : (..., cell, channel)
        Hz.
    baseline : (..., cell)
        Hz.

    Returns
    -------
    rate : (..., cell), Hz
    """
    kept = attribution[..., list(channels)].astype(np.float64).sum(axis=-1)
    return kept + baseline


def faithfulness(reduced: FloatArray, rate: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlation and explained variance of a reduced response with the network's, over conditions and times.

    Parameters
    ----------
    reduced, rate : (condition, time, cell)

    Returns
    -------
    correlation, explained_variance : (cell,)
        NaN for a cell whose rate is constant.
    """
    flat, target = (np.moveaxis(r, -1, 0).reshape(r.shape[-1], -1).astype(np.float64) for r in (reduced, rate))
    variance = target.var(axis=1)
    error = ((flat - target) ** 2).mean(axis=1)
    explained = 1 - np.divide(error, variance, out=np.full(len(flat), np.nan), where=variance > 0)
    return pearson(flat, target), explained


def curve(
    attribution: FloatArray, rate: FloatArray, baseline: FloatArray, order: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Faithfulness with the first 1, 2, ... channels of an order: correlation and explained variance, (cell, kept)."""
    steps = [faithfulness(reduced_rate(attribution, baseline, order[: n + 1]), rate) for n in range(len(order))]
    correlation, explained = zip(*steps, strict=True)
    return np.stack(correlation, axis=-1), np.stack(explained, axis=-1)
