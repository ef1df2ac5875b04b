"""Other ways to summarize the same matrix, judged by the same score: what they make of times that they have not seen.

Principal axes are the reference that the paper names, clusters of attribution vectors (k-means) are what the field's notebooks
use, a sparse dictionary is the linear form of a sparse autoencoder.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode
from sklearn.exceptions import ConvergenceWarning

from retmech.reduction.factors import Matrix, activations, nonnegative, relative_error
from retmech.streams import random_state, stream

SPARSITY = 0.1  # penalty on a row's coefficients, of the root mean square of the rows' norms
FOLDS = 3
LEARNED = 1000  # rows that a dictionary is learned from: they are coded one by one
PASSES = 3  # over these


@dataclass(frozen=True)
class Method:
    """A way to summarize rows.

    Attributes
    ----------
    fit
        (matrix, rank, rng) -> loadings (rank, column).
    approximate
        (matrix, loadings) -> what the loadings can say of the rows, as large as the matrix.
    """

    fit: Callable[[Matrix, int, np.random.Generator], Matrix]
    approximate: Callable[[Matrix, Matrix], Matrix]


def principal(matrix: Matrix, count: int) -> Matrix:
    """Principal axes (component, column) through the origin.

    The matrix is not centred, since zero attribution has a meaning. Axes point to where their largest entry is positive.
    """
    axes = np.linalg.eigh(matrix.T @ matrix)[1][:, ::-1].T[:count]
    largest = np.abs(axes).argmax(axis=1)
    return np.asarray(axes * np.sign(axes[np.arange(len(axes)), largest])[:, None])


def _clusters(matrix: Matrix, rank: int, rng: np.random.Generator) -> Matrix:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters: some are the same
        centres: Matrix = KMeans(rank, n_init=4, random_state=random_state(rng)).fit(matrix).cluster_centers_
    return centres


def _nearest(matrix: Matrix, centres: Matrix) -> Matrix:
    distance = (centres**2).sum(axis=1) - 2 * matrix @ centres.T
    nearest: Matrix = centres[distance.argmin(axis=1)]
    return nearest


def _dictionary(matrix: Matrix, rank: int, rng: np.random.Generator) -> Matrix:
    if len(matrix) > LEARNED:
        matrix = matrix[np.sort(rng.choice(len(matrix), LEARNED, replace=False))]
    learner = MiniBatchDictionaryLearning(
        rank,
        alpha=_penalty(matrix),
        max_iter=PASSES,
        batch_size=256,
        fit_algorithm="cd",
        positive_code=True,
        random_state=random_state(rng),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        atoms: Matrix = learner.fit(matrix).components_
    return atoms


def _coded(matrix: Matrix, atoms: Matrix) -> Matrix:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        code = sparse_encode(matrix, atoms, algorithm="lasso_cd", alpha=_penalty(matrix), positive=True)
    return np.asarray(code @ atoms)


def _penalty(matrix: Matrix) -> float:
    return max(SPARSITY * float(np.sqrt((matrix**2).sum(axis=1).mean())), 1e-12)


METHODS = {
    "nmf": Method(lambda matrix, rank, rng: nonnegative(matrix, rank, rng).loading, lambda m, h: activations(m, h) @ h),
    "pca": Method(lambda matrix, rank, _: principal(matrix, rank), lambda m, axes: m @ axes.T @ axes),
    "kmeans": Method(_clusters, _nearest),
    "dictionary": Method(_dictionary, _coded),
}


def time_errors(matrix: Matrix, chunk: NDArray[np.int64], rank: int, seed: int) -> dict[str, Matrix]:
    """Relative error of each method on runs of time that were held out, (fold,); NaN where nothing is left to fit or to judge."""
    errors = {name: np.full(FOLDS, np.nan) for name in METHODS}
    for fold in range(FOLDS):
        seen, unseen = matrix[chunk % FOLDS != fold], matrix[chunk % FOLDS == fold]
        for name, method in METHODS.items():
            if len(seen) >= rank and unseen.any():
                rng = stream(seed, "fits to some of the time", rank, fold, name)
                errors[name][fold] = relative_error(unseen, method.approximate(unseen, method.fit(seen, rank, rng)))
    return errors
