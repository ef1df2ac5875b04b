"""Spike trains of a given rate: a gamma process in the rate's own time, with a dead time after every spike."""

import numpy as np
from numpy.typing import NDArray

from retmech.insilico.description import Spikes

FASTEST = 0.9  # largest rate, of that at which a cell fires again as soon as it can


def spike_train(rate: NDArray[np.floating], frame_rate: float, spikes: Spikes, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw one train (spike,) in s, sorted.

    With dead time d, time is measured after it by the rate r / (1 - r d); in that time, intervals are gamma distributed with
    mean 1. The mean interval at a steady rate is then d + (1 - r d) / r = 1 / r, and order 1 without dead time is Poisson
    (Berry & Meister, J. Neurosci. 1998, for refractoriness as the source of the retina's precision).

    Parameters
    ----------
    rate : (time,)
        Hz, one for each bin.
    """
    dead = 1e-3 * spikes.refractory
    possible = np.minimum(rate, FASTEST / dead) if dead > 0 else rate
    operational = np.concatenate([[0.0], np.cumsum(possible / (1 - possible * dead) / frame_rate)])
    edges = np.arange(len(rate) + 1) / frame_rate
    times: list[float] = []
    waiting = rng.gamma(spikes.order, 1 / spikes.order) * rng.uniform()
    now = 0.0
    while True:
        target = _operational(now, operational, frame_rate) + waiting
        if target >= operational[-1]:
            return np.array(times)
        bin_ = int(np.searchsorted(operational, target, side="right")) - 1
        fraction = (target - operational[bin_]) / (operational[bin_ + 1] - operational[bin_])
        times.append(edges[bin_] + fraction / frame_rate)
        now = times[-1] + dead
        waiting = rng.gamma(spikes.order, 1 / spikes.order)


def _operational(time: float, operational: NDArray[np.float64], frame_rate: float) -> float:
    """The rate's own time at a moment."""
    place = min(time * frame_rate, len(operational) - 1.0)
    bin_ = min(int(place), len(operational) - 2)
    return float(operational[bin_] + (place - bin_) * (operational[bin_ + 1] - operational[bin_]))


def counts(times: NDArray[np.float64], n_bins: int, frame_rate: float) -> NDArray[np.int64]:
    """Number of spikes in each bin."""
    bins = np.minimum((times * frame_rate).astype(np.int64), n_bins - 1)
    return np.bincount(bins, minlength=n_bins)
