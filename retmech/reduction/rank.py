"""How many factors there are: the error on entries that the fit has not seen, and whether the factors come back."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from retmech.reduction.factors import Matrix, matched_cosine, relative_error, restarts, stability
from retmech.streams import stream

DRAWS = 5  # of hidden entries
HIDDEN = 0.05  # share of the entries that is hidden: of more, too little is left of a row to tell its activations
INITIALIZATIONS = 2
SPLIT_RESTARTS = 3  # initializations in each half of the time
ROUNDS = 60  # of filling in the held-out entries
STEPS = 5  # of the factorization between two rounds
EQUAL = 2e-3  # difference of errors that is none
SETTLED = 1e-4  # relative change of the filled-in entries at which they are taken as found


@dataclass(frozen=True)
class Judged:
    """What speaks for and against some numbers of factors.

    Attributes
    ----------
    error, restart_stability, split_stability : (rank,)
        Relative error of the best fit, and the agreement of loadings between initializations and between halves of the time.
    held_out_error : (rank, draw)
        Relative error on hidden entries.
    null_error : (draw,)
        The same of each column's mean: what can be said without knowing the time.
    """

    ranks: Sequence[int]
    error: Matrix
    held_out_error: Matrix
    null_error: Matrix
    restart_stability: Matrix
    split_stability: Matrix

    def choose(self, threshold: float) -> "Choice":
        """Choose among them, see :func:`choose`."""
        return choose(self.ranks, self.held_out_error, np.minimum(self.restart_stability, self.split_stability), threshold)


@dataclass(frozen=True)
class Choice:
    """A number of factors, and why this one."""

    rank: int
    reason: str


def judge(matrix: Matrix, chunk: NDArray[np.int64], ranks: Sequence[int], count: int, seed: int) -> Judged:
    """Try some numbers of factors, each from so many initializations.

    Parameters
    ----------
    chunk : (row,)
        Run of time that a row is in.
    """
    runs = [restarts(matrix, rank, count, stream(seed, "fits of each rank", rank)) for rank in ranks]
    return Judged(
        ranks=ranks,
        error=np.array([run[0].error for run in runs]),
        held_out_error=held_out_errors(matrix, ranks, seed),
        null_error=np.array([_error_on(hidden, matrix, _mean_of_visible(matrix, hidden)) for hidden in _hidden(matrix, seed)]),
        restart_stability=np.array([stability(run) for run in runs]),
        split_stability=np.array([split_stability(matrix, chunk, rank, SPLIT_RESTARTS, seed) for rank in ranks]),
    )


def held_out_errors(matrix: Matrix, ranks: Sequence[int], seed: int) -> Matrix:
    """Relative error on random entries that the factorization has not seen, (rank, draw).

    What is left of a row says how strongly the factors act in it, and these predict what was hidden (Wold, Technometrics 1978).
    Neighbouring times are no leak: each row's activations are its own.
    """
    hidden = _hidden(matrix, seed)
    return np.array(
        [
            [
                _held_out_error(matrix, entries, rank, stream(seed, "fits beside hidden entries", rank, draw))
                for draw, entries in enumerate(hidden)
            ]
            for rank in ranks
        ]
    )


def _hidden(matrix: Matrix, seed: int) -> list[NDArray[np.bool_]]:
    """Entries that are hidden, of each draw."""
    return [stream(seed, "hidden entries", draw).uniform(size=matrix.shape) < HIDDEN for draw in range(DRAWS)]


def _held_out_error(matrix: Matrix, hidden: NDArray[np.bool_], rank: int, rng: np.random.Generator) -> float:
    """Error on the hidden entries of the fit, from a few initializations, that fits the visible ones best."""
    fits = [_fitted(matrix, hidden, rank, rng) for _ in range(INITIALIZATIONS)]
    best = min(fits, key=lambda fit: float(np.linalg.norm((matrix - fit)[~hidden])))
    return _error_on(hidden, matrix, best)


def _error_on(entries: NDArray[np.bool_], matrix: Matrix, predicted: Matrix) -> float:
    return relative_error(matrix[entries], np.broadcast_to(predicted, matrix.shape)[entries])


def _mean_of_visible(matrix: Matrix, hidden: NDArray[np.bool_]) -> Matrix:
    """Mean of each column (column,) over what is not hidden."""
    return np.asarray(np.where(hidden, 0.0, matrix).sum(axis=0) / np.maximum((~hidden).sum(axis=0), 1))


def _fitted(matrix: Matrix, hidden: NDArray[np.bool_], rank: int, rng: np.random.Generator) -> Matrix:
    """Fit the visible entries, the hidden ones filled in from the fit until they do not change (expectation maximization)."""
    filled = np.where(hidden, _mean_of_visible(matrix, hidden), matrix)
    scale = np.sqrt(max(filled.mean(), np.finfo(float).tiny) / rank)
    activation, loading = (scale * np.abs(rng.normal(size=shape)) for shape in ((len(matrix), rank), (rank, matrix.shape[1])))
    size = np.linalg.norm(filled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(ROUNDS):
            activation, loading, _ = non_negative_factorization(
                filled, activation, loading, n_components=rank, init="custom", max_iter=STEPS, tol=0
            )
            found = activation @ loading
            change = np.linalg.norm((filled - found)[hidden])
            filled[hidden] = found[hidden]
            if change <= SETTLED * size:
                break
    return np.asarray(found)


def split_stability(matrix: Matrix, chunk: NDArray[np.int64], rank: int, count: int, seed: int) -> float:
    """Cosine of the loadings found in the even and in the odd runs of time, each the best of some initializations."""
    halves = [matrix[chunk % 2 == half] for half in (0, 1)]
    if not all(half.any() for half in halves):
        return 0.0
    best = [restarts(half, rank, count, stream(seed, "fits of half the time", rank, i))[0] for i, half in enumerate(halves)]
    return matched_cosine(best[0].loading, best[1].loading)


def choose(ranks: Sequence[int], errors: Matrix, stability: Matrix, threshold: float) -> Choice:
    """Take the number of factors that predicts hidden entries best, among those whose factors come back.

    Parameters
    ----------
    errors : (rank, draw)
    stability : (rank,)
    threshold
        Stability below which a rank is not considered; if all are, the first is taken.
    """
    stable = [i for i in range(len(ranks)) if stability[i] >= threshold] or [0]
    lowest = min(errors[i].mean() for i in stable)
    best = next(i for i in stable if errors[i].mean() <= lowest + EQUAL)
    if stability[best] < threshold:
        return Choice(
            int(ranks[best]), f"{ranks[best]}: no number of factors comes back (agreement {stability[best]:.2f} at most)"
        )
    unstable = [str(rank) for i, rank in enumerate(ranks) if i not in stable]
    reason = (
        f"{ranks[best]} of {ranks[0]} to {ranks[-1]}: lowest error on held-out entries ({errors[best].mean():.3f}) of the "
        f"numbers whose factors come back (agreement {stability[best]:.2f}, at least {threshold:g} asked for)"
    )
    return Choice(int(ranks[best]), reason + (f"; not stable: {', '.join(unstable)}" if unstable else ""))
