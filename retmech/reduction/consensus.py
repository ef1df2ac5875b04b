"""Channels and factors of several models, which have no names in common, matched by what they see and when they act."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from retmech.reduction.factors import cosine
from retmech.reduction.matrix import block_weights

FloatArray = NDArray[np.float64]
FRAMES = 20000  # times of a probe, over all its conditions, that a comparison looks at; of more, every second, third, ...


@dataclass(frozen=True)
class Profiles:
    """What tells the channels, or the factors, of one model.

    Attributes
    ----------
    courses
        Of each block, the responses of a cell to a probe, what they contribute over time, (item, time), all blocks with the same
        weight.
    filters : (item, lag)
        Temporal filters.
    """

    courses: tuple[FloatArray, ...]
    filters: FloatArray

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which of them contribute anything."""
        return np.any([block.any(axis=1) for block in self.courses], axis=0)


def profiles(contributions: Mapping[str, xr.DataArray], filters: FloatArray, over_cells: bool) -> Profiles:
    """Describe the items of one model.

    Parameters
    ----------
    contributions
        By probe, (condition, time, cell, item), Hz.
    over_cells
        Average over cells first, for models whose cells are not the same.
    """
    blocks = []
    for values in contributions.values():
        array = values.transpose("condition", "time", "cell", ...).values
        array = array[:, :: max(1, array.shape[0] * array.shape[1] // FRAMES)].astype(np.float64)
        array = array.reshape(-1, *array.shape[2:])
        array = array.mean(axis=1, keepdims=True) if over_cells else array
        blocks += [array[:, k].T for k in range(array.shape[1])]
    power = np.array([(block**2).sum(axis=0).mean() for block in blocks])
    weights = block_weights(power, np.array([block.shape[1] for block in blocks]))
    return Profiles(tuple(w * block for w, block in zip(weights, blocks, strict=True)), filters)


@dataclass(frozen=True)
class Products:
    """Inner products of two models' items, block by block: all that a comparison needs.

    Attributes
    ----------
    courses : (block, item, item)
    power_a, power_b : (block, item)
        Sums of squares.
    filters : (item, item)
        Cosines.
    """

    courses: FloatArray
    power_a: FloatArray
    power_b: FloatArray
    filters: FloatArray

    def similarity(self, blocks: NDArray[np.integer] | None = None) -> FloatArray:
        """Mean of the cosine of the time courses, over some or all blocks, and of the cosine of the temporal filters."""
        chosen = slice(None) if blocks is None else blocks
        norm = np.sqrt(self.power_a[chosen].sum(axis=0)[:, None] * self.power_b[chosen].sum(axis=0)[None])
        course = np.divide(self.courses[chosen].sum(axis=0), norm, out=np.zeros(norm.shape), where=norm > 0)
        return (course + self.filters) / 2

    def shuffled(self, rng: np.random.Generator) -> FloatArray:
        """Return the similarity when the second model's channels are shuffled, anew in every block and for the filters."""
        n_blocks, n = len(self.courses), self.filters.shape[1]
        order = rng.permuted(np.tile(np.arange(n), (n_blocks + 1, 1)), axis=1)
        courses = np.take_along_axis(self.courses, order[:-1, None], axis=2)
        power = np.take_along_axis(self.power_b, order[:-1], axis=1)
        return Products(courses, self.power_a, power, self.filters[:, order[-1]]).similarity()


def products(a: Profiles, b: Profiles) -> Products:
    """Return the inner products of two models' items."""
    return Products(
        courses=np.array([x @ y.T for x, y in zip(a.courses, b.courses, strict=True)]),
        power_a=np.array([(x**2).sum(axis=1) for x in a.courses]),
        power_b=np.array([(y**2).sum(axis=1) for y in b.courses]),
        filters=cosine(a.filters, b.filters),
    )


@dataclass(frozen=True)
class Match:
    """The best one-to-one matching (Hungarian) of a model's items with another's.

    Attributes
    ----------
    partner : (item,)
        Index in the other model; -1 for items left over.
    similarity : (item,)
        With the partner; NaN without one.
    null : (draw,)
        Mean similarity of the best matching after shuffling.
    """

    partner: NDArray[np.int64]
    similarity: FloatArray
    null: FloatArray

    @property
    def mean(self) -> float:
        """Mean similarity over the matched items; NaN if there are none."""
        found = self.similarity[np.isfinite(self.similarity)]
        return float(found.mean()) if found.size else float("nan")

    @property
    def p_value(self) -> float:
        """Share of matchings of shuffled channels that are as similar, at least one of all that were looked at."""
        return float((1 + (self.null >= self.mean).sum()) / (1 + len(self.null)))


def match(a: Profiles, b: Profiles, draws: int, rng: np.random.Generator) -> Match:
    """Match the items of two models that contribute anything, and say how well shuffled ones match."""
    both = np.flatnonzero(a.used), np.flatnonzero(b.used)
    n = len(a.filters)
    partner, similarity = np.full(n, -1, np.int64), np.full(n, np.nan)
    found = products(_only(a, both[0]), _only(b, both[1]))
    rows, columns, values = _best(found.similarity())
    partner[both[0][rows]], similarity[both[0][rows]] = both[1][columns], values
    null = np.array([_mean(_best(found.shuffled(rng))[2]) for _ in range(draws)])
    return Match(partner, similarity, null)


def _best(similarity: FloatArray) -> tuple[NDArray[np.integer], NDArray[np.integer], FloatArray]:
    rows, columns = linear_sum_assignment(-similarity)
    return rows, columns, similarity[rows, columns]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _only(items: Profiles, chosen: NDArray[np.integer]) -> Profiles:
    return Profiles(tuple(block[chosen] for block in items.courses), items.filters[chosen])


def pooled(runs: Sequence[Profiles]) -> Profiles:
    """All items of all models as if they were of one."""
    courses = tuple(np.concatenate(blocks) for blocks in zip(*(run.courses for run in runs), strict=True))
    return Profiles(courses, np.concatenate([run.filters for run in runs]))
