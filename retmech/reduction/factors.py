"""Nonnegative factors of the attribution matrix, in an order and scale that two runs share."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from retmech.streams import random_state

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """V ~ activation @ loading; each row of the loading sums to 1, so activations are in the unit of V."""

    activation: Matrix  # (row, factor)
    loading: Matrix  # (factor, column)
    error: float  # |V - activation @ loading| / |V|, Frobenius norms


def nonnegative(matrix: Matrix, rank: int, rng: np.random.Generator) -> Factors:
    """Factorize with scikit-learn's NMF from one random initialization, in canonical form.

    Canonical: loadings sum to 1, factors in falling order of their share of the total activation.
    """
    model = NMF(rank, init="random", solver="cd", max_iter=1000, tol=1e-4, random_state=random_state(rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the error curve shows how good the fit is
        activation = model.fit_transform(matrix)
    return canonical(activation, model.components_, relative_error(matrix, activation @ model.components_))


def canonical(activation: Matrix, loading: Matrix, error: float) -> Factors:
    """Give factors the scale and the order that two runs share."""
    scale = loading.sum(axis=1)
    loading = np.divide(loading, scale[:, None], out=np.zeros_like(loading), where=scale[:, None] > 0)
    activation = activation * scale
    order = np.argsort(-activation.sum(axis=0), kind="stable")
    activation, loading = activation[:, order], loading[order]
    return Factors(activation, loading, error)


def activations(matrix: Matrix, loading: Matrix) -> Matrix:
    """Nonnegative least-squares activations (row, factor) of given loadings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: Matrix = non_negative_factorization(
            matrix, H=np.ascontiguousarray(loading), n_components=len(loading), update_H=False, max_iter=300, tol=1e-4
        )[0]
    return found


def relative_error(matrix: Matrix, approximation: Matrix) -> float:
    """Frobenius norm of the residual relative to that of the matrix; 0 for a matrix of zeros."""
    norm = np.linalg.norm(matrix)
    return float(np.linalg.norm(matrix - approximation) / norm) if norm > 0 else 0.0


def restarts(matrix: Matrix, rank: int, count: int, rng: np.random.Generator) -> list[Factors]:
    """Factorizations from several initializations, the best first."""
    return sorted((nonnegative(matrix, rank, rng) for _ in range(count)), key=lambda factors: factors.error)


def stability(runs: list[Factors]) -> float:
    """Cosine between the loadings of the best run and those of the others, matched one to one (1: all the same).

    The median over the others: an initialization that ends in a poor fit is no factorization to be compared with.
    """
    best = runs[0].loading
    return float(np.median([matched_cosine(best, other.loading) for other in runs[1:]]))


def matched_cosine(a: Matrix, b: Matrix) -> float:
    """Mean cosine between the rows of two matrices under the best one-to-one matching (Hungarian)."""
    similarity = cosine(a, b)
    rows, columns = linear_sum_assignment(-similarity)
    return float(np.clip(similarity[rows, columns].mean(), 0, 1))


def cosine(a: Matrix, b: Matrix) -> Matrix:
    """Cosines between all rows of two matrices; 0 where one is zero."""
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return np.divide(a @ b.T, norms, out=np.zeros(norms.shape), where=norms > 0)
