"""Where in a recorded movie the movies of a probe were shown."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from retmech.probes._probe import Movies

PIXELS = 1024  # correlated together


def presentations(recorded: NDArray[np.floating], movies: Movies, tolerance: float, step: float) -> list[list[int]]:
    """Return the frames at which each movie of a probe begins in a recorded movie.

    A movie is there where the squared difference, summed over its frames and pixels, is below ``tolerance`` of its own sum of
    squares plus what rounding to a display's steps may add. Where several movies fit within one span, the best one is taken.

    Parameters
    ----------
    recorded : (time, y, x)
        Contrast, in the probe's unit.
    tolerance
        Relative to the movie's sum of squares.
    step
        Distance of the contrasts that the display could show; 0 if any.

    Returns
    -------
    onsets
        For each condition, in order of time.
    """
    n_conditions, n_frames = movies.shape[:2]
    onsets: list[list[int]] = [[] for _ in range(n_conditions)]
    if len(recorded) < n_frames or recorded.shape[1:] != movies.shape[2:]:
        return onsets
    difference, allowed = _differences(recorded, movies, tolerance, step)
    excess = difference / allowed[:, None]
    order = np.argsort(excess, axis=None)
    taken = np.zeros(len(recorded), bool)
    for place in order[: int((excess <= 1).sum())]:
        condition, onset = divmod(int(place), excess.shape[1])
        if not taken[onset : onset + n_frames].any():
            taken[onset : onset + n_frames] = True
            onsets[condition].append(onset)
    return [sorted(found) for found in onsets]


def _differences(
    recorded: NDArray[np.floating], movies: Movies, tolerance: float, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of squared differences (condition, onset), and how large they may be (condition,).

    sum (r - p)^2 = sum r^2 - 2 sum r p + sum p^2, whose middle part is a correlation along time, by Fourier transform.
    """
    n_conditions, n_frames = movies.shape[:2]
    flat = recorded.reshape(len(recorded), -1)
    length = next_fast_len(len(recorded), real=True)
    products = np.zeros((n_conditions, length // 2 + 1), np.complex128)
    power = np.zeros(n_conditions)
    for first in range(0, flat.shape[1], PIXELS):
        part = rfft(flat[:, first : first + PIXELS].astype(np.float64), length, axis=0)
        for condition in range(n_conditions):
            shown = movies[condition].reshape(n_frames, -1)[:, first : first + PIXELS].astype(np.float64)
            products[condition] += (part * rfft(shown, length, axis=0).conj()).sum(axis=1)
            power[condition] += (shown**2).sum()
    onsets = len(recorded) - n_frames + 1
    correlation = irfft(products, length, axis=1)[:, :onsets]
    frames = np.concatenate([[0.0], np.cumsum((flat.astype(np.float64) ** 2).sum(axis=1))])
    energy = frames[n_frames:] - frames[:-n_frames]
    rounding = n_frames * flat.shape[1] * (step / 2) ** 2
    return energy - 2 * correlation + power[:, None], tolerance * power + rounding


def cut(trials: NDArray[np.floating], onsets: Sequence[int], n_frames: int) -> NDArray[np.floating]:
    """All trials of all presentations of one movie, (trial, time, cell), of trials (trial, cell, time)."""
    return np.concatenate([trials[:, :, onset : onset + n_frames] for onset in onsets]).transpose(0, 2, 1)
