"""Cell types: groups of the channels of all models, and how sure it is how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

from retmech.reduction.consensus import FloatArray, Products, Profiles, products
from retmech.streams import stream

BOOTSTRAPS = 200  # of the blocks, for the number of types


@dataclass(frozen=True)
class Types:
    """Groups of items.

    Attributes
    ----------
    label : (item,)
        1, 2, ...; 0 for what contributes nothing.
    counts : (count,)
        Numbers of types tried.
    silhouette : (count,)
        Mean silhouette with each (Rousseeuw 1987).
    probability : (count,)
        How often each is the best when the blocks, cells by probes, are drawn anew with replacement.
    """

    label: NDArray[np.int64]
    counts: NDArray[np.int64]
    silhouette: FloatArray
    probability: FloatArray


def group(items: Profiles, most: int, seed: int) -> Types:
    """Group items by average linkage of 1 - similarity into as many types as have the largest mean silhouette.

    Fewer than three items that contribute anything are a type each.
    """
    used = np.flatnonzero(items.used)
    label = np.zeros(len(items.filters), np.int64)
    found = products(*(Profiles(tuple(b[used] for b in items.courses), items.filters[used]),) * 2)
    counts = np.arange(2, min(most, len(used) - 1) + 1)
    if not len(counts):
        label[used] = np.arange(1, len(used) + 1)
        return Types(label, np.array([len(used)]), np.array([0.0]), np.array([1.0]))
    silhouettes = _silhouettes(found, counts)
    best = int(silhouettes.argmax())
    label[used] = _cut(_distance(found.similarity()), [int(counts[best])])[0]
    rng = stream(seed, "blocks that types are found in")
    n_blocks = len(found.courses)
    winners = [_silhouettes(found, counts, rng.integers(n_blocks, size=n_blocks)).argmax() for _ in range(BOOTSTRAPS)]
    probability = np.bincount(winners, minlength=len(counts)) / BOOTSTRAPS
    return Types(_by_size(label), counts, silhouettes, probability)


def _silhouettes(found: Products, counts: NDArray[np.int64], blocks: NDArray[np.integer] | None = None) -> FloatArray:
    distance = _distance(found.similarity(blocks))
    cuts = _cut(distance, counts.tolist())
    return np.array([silhouette_score(distance, c, metric="precomputed") if len(set(c)) > 1 else -1.0 for c in cuts])


def _distance(similarity: FloatArray) -> FloatArray:
    distance = np.clip(1 - (similarity + similarity.T) / 2, 0, 2)
    np.fill_diagonal(distance, 0)
    return distance


def _cut(distance: FloatArray, counts: Sequence[int]) -> list[NDArray[np.int64]]:
    tree = linkage(squareform(distance, checks=False), "average")
    return [fcluster(tree, count, "maxclust").astype(np.int64) for count in counts]


def _by_size(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number types in falling order of their size."""
    names, sizes = np.unique(label[label > 0], return_counts=True)
    order = names[np.argsort(-sizes, kind="stable")]
    return np.array([0 if t == 0 else 1 + int(np.flatnonzero(order == t)[0]) for t in label])
