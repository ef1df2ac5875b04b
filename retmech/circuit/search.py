"""Which channels a reduced circuit keeps."""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from retmech.circuit.faithfulness import Chosen, FloatArray, Moments, on_all_probes, score

EXHAUSTIVE = 16  #: channels up to which all choices are looked at

Score = Callable[[Chosen], FloatArray]  # (choice, channel) -> (choice,)


def scorer(probes: Mapping[str, Moments], cell: int | None = None) -> Score:
    """Return the score of choices: the worst probe's correlation, of one cell or as the mean over all."""
    if cell is not None:
        probes = {name: Moments(m.mean[cell : cell + 1], m.covariance[cell : cell + 1]) for name, m in probes.items()}
    return lambda chosen: score(on_all_probes(probes, chosen))


def by_importance(importance: FloatArray) -> NDArray[np.int64]:
    """Channels in falling order of the magnitude of their attributions."""
    return np.argsort(-importance, kind="stable")


def by_factor(loading: FloatArray, weight: FloatArray) -> NDArray[np.int64]:
    """Channels factor by factor, the strongest first; in each those that have their largest share in it, the largest first.

    Parameters
    ----------
    loading : (factor, channel)
    weight : (factor,)
        Mean activation, Hz.
    """
    own = loading.argmax(axis=0)
    rank_of_factor = np.argsort(np.argsort(-weight, kind="stable"))
    return np.lexsort((-loading.max(axis=0), rank_of_factor[own]))


def greedy(scored: Score, n_channels: int) -> NDArray[np.int64]:
    """Channels in the order in which each raises the score most when it joins those before it."""
    order: list[int] = []
    chosen = np.zeros(n_channels, bool)
    for _ in range(n_channels):
        left = np.flatnonzero(~chosen)
        tried = np.repeat(chosen[None], len(left), axis=0)
        tried[np.arange(len(left)), left] = True
        best = int(left[scored(tried).argmax()])
        chosen[best] = True
        order.append(best)
    return np.array(order)


def smallest(scored: Score, n_channels: int, target: float) -> Chosen:
    """Return the smallest set of channels whose score reaches a target; all channels if even these do not.

    Up to :data:`EXHAUSTIVE` channels all sets are looked at, so it is the smallest there is, and the best of its size; with more
    channels the greedy order is cut where it reaches the target, and every channel that is not needed is left out again.
    """
    if n_channels <= EXHAUSTIVE:
        for size in range(1, n_channels + 1):
            sets = _all_sets(n_channels, size)
            scores = scored(sets)
            if scores.max() >= target:
                return sets[scores.argmax()]
        return np.ones(n_channels, bool)
    order = greedy(scored, n_channels)
    chosen = np.zeros(n_channels, bool)
    for channel in order:
        chosen[channel] = True
        if scored(chosen[None])[0] >= target:
            break
    for channel in order[::-1]:
        fewer = chosen.copy()
        fewer[channel] = False
        if chosen[channel] and fewer.any() and scored(fewer[None])[0] >= target:
            chosen = fewer
    return chosen


def best_of_size(scored: Score, n_channels: int, size: int) -> Chosen:
    """Return the best set of a size, as far as :func:`smallest` would look."""
    if n_channels <= EXHAUSTIVE:
        sets = _all_sets(n_channels, size)
        return sets[scored(sets).argmax()]
    return np.isin(np.arange(n_channels), greedy(scored, n_channels)[:size])


def rival_of(scored: Score, chosen: Chosen) -> Chosen | None:
    """The best set of the same size that has one other channel."""
    sets = _exchanges(chosen)
    return sets[scored(sets).argmax()] if len(sets) else None


def _all_sets(n_channels: int, size: int) -> Chosen:
    members = np.array(list(combinations(range(n_channels), size)))
    sets = np.zeros((len(members), n_channels), bool)
    sets[np.arange(len(members))[:, None], members] = True
    return sets


def _exchanges(chosen: Chosen) -> Chosen:
    """All sets with one channel exchanged for another."""
    pairs = [(i, j) for i in np.flatnonzero(chosen) for j in np.flatnonzero(~chosen)]
    sets = np.repeat(chosen[None], len(pairs), axis=0)
    for row, (i, j) in zip(sets, pairs, strict=True):
        row[i], row[j] = False, True
    return sets
