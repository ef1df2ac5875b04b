"""Matrices with planted factors: signed, noisy, of unequal sizes."""

import numpy as np
from numpy.typing import NDArray

NOISE = 0.1  # sd, of the standard deviation of the matrix without it


def planted(
    rank: int, seed: int, columns: int = 20, rows: int = 1500, noise: float = NOISE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a nonnegative matrix (row, column) and its loadings (rank, column), which sum to 1.

    Columns stand for the excitation and the suppression of half as many channels. Each factor has three to six of them, that
    others may have too, acts in two of five rows, and the last is four times as large as the first.
    """
    rng = np.random.default_rng(seed)
    loading = np.zeros((rank, columns))
    for k in range(rank):
        own = rng.choice(columns, rng.integers(3, 7), replace=False)
        loading[k, own] = rng.uniform(0.3, 1, len(own))
    loading /= loading.sum(axis=1, keepdims=True)
    size = np.linspace(1, 4, rank)
    activation = rng.exponential(size=(rows, rank)) * (rng.uniform(size=(rows, rank)) < 0.4) * size
    matrix = activation @ loading
    matrix = np.maximum(matrix + noise * matrix.std() * rng.normal(size=matrix.shape), 0)
    return matrix / np.sqrt((matrix**2).mean()), loading
