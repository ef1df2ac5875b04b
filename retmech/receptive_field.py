"""What cells see: receptive fields by reverse correlation, of movies that are gone through once and never held."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, label
from scipy.special import ndtr

FloatArray = NDArray[np.float64]

BLOCKS = 32  # that are transformed together


class Moments:
    """Mean and standard deviation of all values that are added."""

    def __init__(self) -> None:
        self.offset: float | None = None  # subtracted from all values, so that rounding does not grow with their mean
        self.total = self.squares = 0.0
        self.n = 0

    def add(self, frames: NDArray[np.generic]) -> float:
        """Add frames (time, y, x) and return the offset."""
        values = frames.reshape(len(frames), -1)
        if self.offset is None:
            self.offset = float(np.rint(values.mean(dtype=np.float64)))  # whole, so that integers stay exact
        less = np.subtract(values, np.float32(self.offset), dtype=np.float32)
        self.n += less.size
        self.total += float(less.sum(axis=1).sum(dtype=np.float64))
        self.squares += float(np.einsum("tp,tp->t", less, less).sum(dtype=np.float64))
        return self.offset

    @property
    def rest(self) -> float:
        """Mean less the offset."""
        return self.total / max(self.n, 1)

    @property
    def mean(self) -> float:
        """Mean."""
        return (self.offset or 0.0) + self.rest

    @property
    def std(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(max(self.squares / max(self.n, 1) - self.rest**2, 0.0)))


class ReverseCorrelation:
    """Sums of stimulus frames before responses, over a movie that is added piece by piece.

    For every cell k and lag j, C(k, j) = sum_t r_k(t) s(t - j), over the t whose whole history lies within a run. Blocks of
    frames that overlap by the history are transformed; their cross-spectra are added up and transformed back once in the end.

    Parameters
    ----------
    history
        Lags, frames.
    shape
        Pixels (y, x).
    n_cells
        Number of responses.
    """

    def __init__(self, history: int, shape: tuple[int, int], n_cells: int) -> None:
        self.history, self.shape = history, shape
        self.length = 1 << max(6, (4 * history - 1).bit_length())  # of a block, frames
        self.step = self.length - history + 1  # responses in a block
        n_pixels = shape[0] * shape[1]
        self.spectrum = np.zeros((self.length // 2 + 1, n_cells, n_pixels), np.complex64)
        self.weight = np.zeros(n_cells)  # sum of the responses that count
        self.moments = Moments()
        self.seen = np.zeros((self.length, BLOCKS, n_pixels), np.float32)  # blocks of the movie, before they are transformed
        self.tail: NDArray[np.generic] = np.empty((0, n_pixels), np.uint8)  # frames of the run that the next piece needs

    def add(self, frames: NDArray[np.generic], response: NDArray[np.floating], new_run: bool) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        frames : (time, y, x)
        response : (cell, time)
        new_run
            Whether these frames do not follow those before without a break.
        """
        offset = self.moments.add(frames)
        if new_run:
            self.tail = self.tail[:0]
        movie = np.concatenate([self.tail, frames.reshape(len(frames), -1)])
        used = np.zeros((len(response), len(movie)), np.float32)
        used[:, self.history - 1 :] = response[:, max(self.history - 1 - len(self.tail), 0) :]
        self.weight += used.sum(axis=1, dtype=np.float64)
        self._transform(movie, offset, used)
        self.tail = movie[len(movie) - min(self.history - 1, len(movie)) :].copy()

    def average(self) -> NDArray[np.float32]:
        """Return the response-weighted mean of the frames, less the mean frame: (cell, lag, y, x); 0 for a silent cell."""
        sums = fft.irfft(self.spectrum.conj(), self.length, axis=0)[: self.history].transpose(1, 0, 2)
        weight = self.weight[:, None, None]
        average = np.divide(sums, weight, out=np.zeros(sums.shape), where=weight > 0)
        average -= np.where(weight > 0, self.moments.rest, 0)
        return average.reshape(len(average), self.history, *self.shape).astype(np.float32)

    def _transform(self, movie: NDArray[np.generic], offset: float, response: NDArray[np.float32]) -> None:
        """Add the cross-spectra of a movie (time, pixel), less an offset, and the responses (cell, time) to it.

        A block has ``history - 1`` frames more than responses, before them; where the movie begins they are zero.
        """
        starts = np.arange(0, len(movie), self.step)
        before = self.history - 1
        for first in range(0, len(starts), BLOCKS):
            own = starts[first : first + BLOCKS]
            seen, given = self.seen[:, : len(own)], np.zeros((self.length, len(own), len(response)), np.float32)
            for b, start in enumerate(own):
                begin, stop = max(start - before, 0), min(start + self.step, len(movie))
                place = slice(before - (start - begin), before + stop - start)
                seen[: place.start, b], seen[place.stop :, b] = 0, 0
                seen[place, b] = movie[begin:stop]
                seen[place, b] -= np.float32(offset)
                given[before : before + stop - start, b] = response[:, start:stop].T
            answers = fft.rfft(given, axis=0).conj().transpose(0, 2, 1)
            stimulus = fft.rfft(seen, axis=0, workers=-1)
            for f in range(len(answers)):  # one frequency at a time stays in the cache
                self.spectrum[f] += answers[f] @ stimulus[f]


def spike_triggered_average(
    stimulus: NDArray[np.generic], rate: NDArray[np.float32], segment: NDArray[np.integer], history: int
) -> NDArray[np.float32]:
    """Rate-weighted average of the stimulus before each bin, minus the mean stimulus.

    Parameters
    ----------
    stimulus : (time, y, x)
    rate : (cell, time)
    segment : (time,)
        Windows stay within runs of the same number.
    history
        Frames.

    Returns
    -------
    average : (cell, lag, y, x)
        In the stimulus's unit; lag 0 is the newest frame. Zero for a cell that never fires.
    """
    found = ReverseCorrelation(history, (stimulus.shape[1], stimulus.shape[2]), len(rate))
    edges = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist(), len(segment)]
    for start, stop in pairwise(edges):
        found.add(stimulus[start:stop], rate[:, start:stop], new_run=True)
    return found.average()


def receptive_field_centre(field: NDArray[np.floating], blur: float = 1.0) -> NDArray[np.float32]:
    """Row and column (cell, 2) in pixels where a receptive field (cell, lag, y, x) has most energy after a blur over pixels.

    The middle of the field for a cell without one, i.e. that never fires.
    """
    energy = gaussian_filter((field.astype(np.float64) ** 2).sum(axis=1), (0, blur, blur), mode="constant")
    peaks = np.stack([np.unravel_index(e.argmax(), e.shape) for e in energy]).astype(np.float32)
    middle = (np.array(field.shape[2:], np.float32) - 1) / 2
    return np.where(energy.max(axis=(1, 2))[:, None] > 0, peaks, middle)


@dataclass(frozen=True)
class FieldQuality:
    """How sure receptive fields are, and how large.

    Attributes
    ----------
    strength : (cell,)
        Largest magnitude over the standard deviation of the null's.
    p_value : (cell,)
        Probability of a value as large anywhere in a field without signal.
    diameter : (cell,)
        Pixels, of the disc as large as the part around the peak that has half of its height.
    """

    strength: FloatArray
    p_value: FloatArray
    diameter: FloatArray


def field_quality(field: NDArray[np.floating], null: NDArray[np.floating]) -> FieldQuality:
    """Judge receptive fields (cell, lag, y, x) by those of the same responses shifted far in time.

    The null distribution is normal with the standard deviation of the shifted field; the p-value is Bonferroni's over all lags
    and pixels. Neighbours in space and time are not independent, in natural movies least of all: it is then too careful.
    """
    spread = null.std(axis=(1, 2, 3), dtype=np.float64)
    peak = np.abs(field).max(axis=(1, 2, 3)).astype(np.float64)
    strength = np.divide(peak, spread, out=np.zeros(peak.shape), where=spread > 0)
    n = int(np.prod(field.shape[1:]))
    p_value = np.minimum(1.0, 2 * n * ndtr(-strength))
    return FieldQuality(strength, np.where(spread > 0, p_value, 1.0), np.array([_diameter(own) for own in field]))


def _diameter(field: NDArray[np.floating]) -> float:
    """Diameter of the disc as large as the centre: what lies around the peak and has half of its height; NaN without a field."""
    lag, y, x = np.unravel_index(int(np.abs(field).argmax()), field.shape)
    peak = float(field[lag, y, x])
    if peak == 0:
        return float("nan")
    regions, _ = label(field[lag] / peak >= 0.5)
    return float(2 * np.sqrt(np.count_nonzero(regions == regions[y, x]) / np.pi))
