"""Nonnegative factors of single units: matrices too large to be held, factorized a few rows at a time."""

import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.errors import RetmechError
from retmech.reduction.factors import Factors, canonical
from retmech.reduction.matrix import Probes

Rows = NDArray[np.float32]

BATCH = 1024  # rows
PASSES = 60  # over all rows, at most
SWEEPS = 4  # over the factors, with what one pass has found
MIXED = 10  # random rows whose mean a factor begins with
SETTLED = 1e-4  # fall of the squared error from one pass to the next, of its size, at which it ends


def space_of(probes: Probes, names: Sequence[str]) -> tuple[str, ...]:
    """Return the axes of space that all of some probes' attributions have.

    Raises
    ------
    RetmechError
        If a probe is not there, or the probes do not have the same axes.
    """
    missing = [name for name in names if name not in probes]
    if missing:
        raise RetmechError(f"reduce.units: no such probe: {', '.join(missing)}; there are {', '.join(probes)}.")
    axes = {name: tuple(str(d) for d in probes[name]["attribution"].dims[4:]) for name in names}
    if len(set(axes.values())) > 1:
        listed = ", ".join(f"{name}: {' '.join(a) or 'none'}" for name, a in axes.items())
        raise RetmechError(f"reduce.units: the probes must have kept the same axes of space; they kept {listed}.")
    return next(iter(axes.values()))


def unit_matrix(probes: Probes, weight: NDArray[np.float64]) -> Rows:
    """Stack [A+ | A-] of single units, (row, 2 * unit), in a file without a name: memory is only borrowed for it.

    Parameters
    ----------
    weight : (row,)
        1/Hz, multiplied to the rows, which are ordered as those of :func:`retmech.reduction.matrix.signed_matrix`.
    """
    arrays = [attributions["attribution"] for attributions in probes.values()]
    n_units = int(np.prod(arrays[0].shape[3:]))
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file until it is forgotten itself
        matrix = np.memmap(file, np.float32, "w+", shape=(len(weight), 2 * n_units))
    start = 0
    for array in arrays:
        for rows in _pieces(array):
            units = rows.reshape(-1, n_units)
            stop = start + len(units)
            units = units * weight[start:stop, None].astype(np.float32)
            np.maximum(units, 0, out=matrix[start:stop, :n_units])
            np.maximum(-units, 0, out=matrix[start:stop, n_units:])
            start = stop
    return matrix


def _pieces(array: xr.DataArray) -> Iterator[NDArray[np.floating]]:
    """Read a few times of one condition after the other."""
    together = max(1, BATCH // array.sizes["cell"])
    for condition in range(array.sizes["condition"]):
        for start in range(0, array.sizes["time"], together):
            yield array[condition, start : start + together].values


def large_factors(matrix: Rows, rank: int, rng: np.random.Generator) -> Factors:
    """Factorize a matrix of which only some rows are held at a time, in canonical form.

    Hierarchical alternating least squares (Cichocki & Phan, IEICE Trans. 2009). Activations, and what the loadings need of them,
    summed over all rows, are made in the same pass: each pass reads the matrix once, and all else is as small as the factors.

    Parameters
    ----------
    matrix : (row, column)
        All at least 0; may be mapped from a file.
    """
    rank = min(rank, *matrix.shape)
    batches = [slice(i, i + BATCH) for i in range(0, len(matrix), BATCH)]
    squares = np.concatenate([np.einsum("ij,ij->i", matrix[b], matrix[b], dtype=np.float64) for b in batches])
    power, active = float(squares.sum()), np.flatnonzero(squares)
    if not len(active):
        return Factors(np.zeros((len(matrix), rank)), np.zeros((rank, matrix.shape[1])), 0.0)
    loading = np.stack([_mean_of_some(matrix, active, rng) for _ in range(rank)])
    activation = np.zeros((len(matrix), rank), np.float32)
    last = np.inf
    for _ in range(PASSES):
        product, gram = np.zeros_like(loading, np.float64), np.zeros((rank, rank))
        overlap = loading @ loading.T
        for batch in batches:
            rows = matrix[batch]
            _descend(activation[batch].T, (rows @ loading.T).T, overlap)
            product += activation[batch].T @ rows
            gram += activation[batch].T @ activation[batch]
        fitted = loading.copy()
        error = power - 2 * float(np.vdot(product, loading)) + float(np.vdot(gram, overlap))
        if error > (1 - SETTLED) * last:
            break
        last = error
        _descend(loading, product.astype(np.float32), gram.astype(np.float32))
        for k in np.flatnonzero(~loading.any(axis=1)):  # a factor that has lost all it had begins anew
            loading[k] = _mean_of_some(matrix, active, rng)
    return canonical(activation.astype(np.float64), fitted.astype(np.float64), float(np.sqrt(max(error, 0.0) / power)))


def _mean_of_some(matrix: Rows, active: NDArray[np.int64], rng: np.random.Generator) -> Rows:
    """Mean of a few random rows in which anything happens: factors that begin with it lie where the rows do."""
    return np.asarray(matrix[np.sort(rng.choice(active, MIXED))].mean(axis=0))


def _descend(factor: Rows, product: Rows, gram: Rows) -> None:
    """Sweep once or more over the rows of a factor F, each the best at least 0 given the others, to make |X - G^T F| smaller.

    Parameters
    ----------
    factor : (rank, n)
        Written.
    product, gram : (rank, n), (rank, rank)
        G X and G G^T.
    """
    for _ in range(SWEEPS):
        for k in range(len(factor)):
            if gram[k, k] > 0:
                factor[k] = np.maximum(factor[k] + (product[k] - gram[k] @ factor) / gram[k, k], 0)
