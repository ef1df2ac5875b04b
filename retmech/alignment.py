"""Do responses belong to the frames that they stand beside? A response that is late by one bin moves every filter by one bin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retmech.quality import pearson

FloatArray = NDArray[np.float64]

MOST = 4  # bins that a shift is looked for
BLOCKS = 10  # of time, for the standard error
SURE = 4.0  # standard errors


@dataclass(frozen=True)
class Alignment:
    """Correlations of responses with what a receptive field predicts, the responses shifted by some bins.

    Attributes
    ----------
    shifts : (shift,)
        Bins by which responses are taken later.
    correlation : (block, shift)
        In blocks of time, mean over cells.
    """

    shifts: NDArray[np.int64]
    correlation: FloatArray

    @property
    def best(self) -> int:
        """The shift with the largest correlation."""
        return int(self.shifts[self.correlation.mean(axis=0).argmax()])

    def better(self, one: int, other: int) -> float:
        """How many standard errors one shift is better than another."""
        a, b = (self.correlation[:, int(np.flatnonzero(self.shifts == shift)[0])] for shift in (one, other))
        difference = a - b
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        return float(difference.mean() / error) if error > 0 else 0.0


def align(
    kernel: FloatArray, trace: NDArray[np.floating], response: NDArray[np.floating], runs: Sequence[int]
) -> Alignment | None:
    """Compare responses with the prediction of each cell's temporal filter at one pixel.

    Parameters
    ----------
    kernel : (cell, lag)
        Newest frame first.
    trace : (cell, time)
        What each cell's pixel shows.
    response : (cell, time)
    runs
        First bins of the runs without a break.

    Returns
    -------
    alignment
        None if there are no cells or too few responses to judge by.
    """
    n_cells, history = kernel.shape
    clear = np.ones(response.shape[1], bool)
    for start in runs:
        clear[start : start + history + MOST] = False  # a part of what the cell saw belongs to another run
    clear[-MOST:] = False
    times = np.flatnonzero(clear)
    if not n_cells or len(times) < BLOCKS * history:
        return None
    centred = trace - trace.mean(axis=1, keepdims=True)
    predicted = np.stack([np.convolve(own, k)[: len(own)] for own, k in zip(centred, kernel, strict=True)])
    shifts = np.arange(-MOST, MOST + 1)
    found = [
        [np.nan_to_num(pearson(predicted[:, block], response[:, block + shift])).mean() for shift in shifts]
        for block in np.array_split(times, BLOCKS)
    ]
    return Alignment(shifts, np.array(found))
