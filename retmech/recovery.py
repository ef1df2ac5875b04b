"""Which of a model's channels or factors stand for which true pathway, and how well their parts in the responses agree.

Correlations are of time courses: over all conditions and times of one probe and one cell. They are computed from sums of
products, so that any grouping of channels is judged without going through the responses again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from retmech.streams import stream

FloatArray = NDArray[np.float64]
NONE = -1  #: stands for no pathway


@dataclass(frozen=True)
class Moments:
    """Second moments, about the mean over time, of true and found parts in the responses to one probe.

    Attributes
    ----------
    found : (cell, unit, unit)
        Of the channels or factors.
    true : (cell, pathway)
        Variances.
    between : (cell, unit, pathway)
    """

    found: FloatArray
    true: FloatArray
    between: FloatArray

    def correlation(self, groups: Sequence[int] | NDArray[np.integer]) -> FloatArray:
        """Correlation (cell, pathway) of each pathway's part with the sum of the units that stand for it; 0 where none does.

        NaN where the pathway does nothing in the cell.
        """
        with_true, power = (self.between * self._member(groups)).sum(axis=1), self._power(groups)
        norm = np.sqrt(np.maximum(power, 0) * self.true)
        r = np.divide(with_true, norm, out=np.zeros_like(norm), where=norm > 1e-12 * max(norm.max(initial=0.0), 1e-30))
        return np.where(self.true > 0, np.clip(r, -1, 1), np.nan)

    def amplitude(self, groups: Sequence[int] | NDArray[np.integer]) -> FloatArray:
        """Standard deviation (cell, pathway) of that sum over that of the pathway's part; NaN where the pathway does nothing."""
        known = self.true > 0
        return np.sqrt(np.divide(np.maximum(self._power(groups), 0), self.true, out=np.full(known.shape, np.nan), where=known))

    def _member(self, groups: Sequence[int] | NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which unit (unit, pathway) stands for which pathway."""
        return np.asarray(groups)[:, None] == np.arange(self.true.shape[1])

    def _power(self, groups: Sequence[int] | NDArray[np.integer]) -> FloatArray:
        """Variance (cell, pathway) of the sum of the units that stand for each pathway."""
        member = self._member(groups)
        return np.asarray(np.einsum("up,kuv,vp->kp", member, self.found, member))


def moments(found: NDArray[np.floating], true: NDArray[np.floating]) -> Moments:
    """Second moments of parts found (row, cell, unit) and true ones (row, cell, pathway), rows being conditions and times."""
    f = found - found.mean(axis=0, dtype=np.float64)
    t = true - true.mean(axis=0, dtype=np.float64)
    n = len(f)
    return Moments(
        np.einsum("rku,rkv->kuv", f, f, optimize=True) / n,
        (t**2).mean(axis=0),
        np.einsum("rku,rkp->kup", f, t, optimize=True) / n,
    )


def similarity(probes: Sequence[Moments]) -> FloatArray:
    """Correlation (unit, pathway) over all probes and cells together, each probe and cell counting the same."""
    between, unit, pathway = 0.0, 0.0, 0.0
    for m in probes:
        scale = m.true.sum(axis=1)  # (cell,)
        known = scale > 0
        weight = 1 / scale[known]
        between = between + np.einsum("k,kup->up", weight, m.between[known])
        unit = unit + np.einsum("k,kuu->u", weight, m.found[known])
        pathway = pathway + np.einsum("k,kp->p", weight, m.true[known])
    norm = np.sqrt(np.multiply.outer(unit, pathway))
    return np.asarray(np.divide(between, norm, out=np.zeros_like(norm), where=norm > 0))


def one_to_one(alike: FloatArray) -> NDArray[np.int64]:
    """Pathway (unit,) of each unit such that the sum of similarities is largest (Hungarian); :data:`NONE` for those left over."""
    groups = np.full(len(alike), NONE)
    units, pathways = linear_sum_assignment(-alike)
    groups[units] = pathways
    return groups


def grouped(probes: Sequence[Moments], alike: FloatArray) -> NDArray[np.int64]:
    """Pathway (unit,) of each unit, several of which may stand for one pathway, or :data:`NONE`.

    Begins with the pathway that each unit is most alike, and moves single units as long as the mean recovery grows.
    """
    groups = np.where(alike.max(axis=1) > 0, alike.argmax(axis=1), NONE)
    best = _score(probes, groups)
    while True:
        moves = [(u, p) for u in range(len(groups)) for p in range(NONE, alike.shape[1]) if p != groups[u]]
        scores = []
        for u, p in moves:
            other = groups.copy()
            other[u] = p
            scores.append(_score(probes, other))
        if not moves or max(scores) <= best + 1e-9:
            return groups
        u, p = moves[int(np.argmax(scores))]
        groups[u], best = p, max(scores)


def weighted_mean(correlation: FloatArray, share: FloatArray) -> FloatArray:
    """Mean (...,) over pathways of correlations (..., pathway), by the pathways' shares in the responses."""
    weight = np.where(np.isfinite(correlation), share, 0)
    total = weight.sum(axis=-1)
    summed = (weight * np.nan_to_num(correlation)).sum(axis=-1)
    return np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0)


def shares(true: NDArray[np.floating]) -> FloatArray:
    """Share (cell, pathway) of each pathway in the magnitude of all parts (row, cell, pathway)."""
    size = np.abs(true).mean(axis=0, dtype=np.float64)
    return np.asarray(size / np.maximum(size.sum(axis=1, keepdims=True), 1e-30))


def _score(probes: Sequence[Moments], groups: NDArray[np.integer]) -> float:
    """Mean recovery over probes and cells."""
    found = []
    for m in probes:
        share = np.sqrt(m.true)
        found.append(weighted_mean(m.correlation(groups), share))
    return float(np.nanmean(found))


def chance(probes: Sequence[tuple[Moments, FloatArray]], n_units: int, draws: int, seed: int) -> FloatArray:
    """Mean recovery (draw,) when units are given to pathways at random.

    Parameters
    ----------
    probes
        Moments, and shares of the pathways (cell, pathway).
    """
    rng = stream(seed, "channels given to pathways at random")
    n_pathways = probes[0][1].shape[1]
    drawn = []
    for _ in range(draws):
        groups = rng.integers(n_pathways, size=n_units)
        drawn.append(np.nanmean([weighted_mean(m.correlation(groups), share) for m, share in probes]))
    return np.array(drawn)
