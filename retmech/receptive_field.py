"""What cells see: receptive fields by reverse correlation, of movies that are gone through once and never held."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.linalg import solve_toeplitz
from scipy.ndimage import gaussian_filter, label
from scipy.special import ndtr

from retmech.geometry import diameter

FloatArray = NDArray[np.float64]

CERTAIN = 1e-3  # p-value of a receptive field that other responses are held against
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

    @classmethod
    def of(cls, parts: Sequence["Moments"]) -> "Moments":
        """Return the moments of all values of some parts together."""
        whole = cls()
        whole.offset = parts[0].offset or 0.0
        for part in parts:
            shift = (part.offset or 0.0) - whole.offset
            whole.n += part.n
            whole.total += part.total + part.n * shift
            whole.squares += part.squares + 2 * shift * part.total + part.n * shift**2
        return whole

    @property
    def mean(self) -> float:
        """Mean."""
        return (self.offset or 0.0) + self.total / max(self.n, 1)

    @property
    def std(self) -> float:
        """Standard deviation."""
        n = max(self.n, 1)
        return float(np.sqrt(max(self.squares / n - (self.total / n) ** 2, 0.0)))


class ReverseCorrelation:
    """Sums of stimulus frames before responses, over a movie that is added piece by piece.

    Parameters
    ----------
    history
        Lags, frames.
    shape
        Pixels (y, x).
    n_cells
        Number of responses.
    bands
        Bands of rows, each worked on by a thread of its own.
    """

    def __init__(self, history: int, shape: tuple[int, int], n_cells: int, bands: int = 1) -> None:
        self.history, self.shape = history, shape
        edges = np.linspace(0, shape[0], min(bands, shape[0]) + 1).astype(int).tolist()
        self.bands = [_Band(history, slice(a, b), shape[1], n_cells) for a, b in pairwise(edges)]
        self.threads = ThreadPoolExecutor(len(self.bands)) if len(self.bands) > 1 else None

    def add(self, frames: NDArray[np.generic], response: NDArray[np.floating], new_run: bool) -> None:
        """Add consecutive frames.

        Parameters
        ----------
        frames : (time, y, x)
        response : (cell, time)
        new_run
            Whether these frames do not follow those before without a break.
        """
        if self.threads is None:
            self.bands[0].add(frames, response, new_run)
        else:
            list(self.threads.map(lambda band: band.add(frames, response, new_run), self.bands))

    @property
    def moments(self) -> Moments:
        """Of all pixels of all frames."""
        return Moments.of([band.moments for band in self.bands])

    def average(self) -> NDArray[np.float32]:
        """Return the response-weighted mean of the frames, less the mean of all: (cell, lag, y, x); 0 for a silent cell.

        Nothing can be added afterwards.
        """
        if self.threads is not None:
            self.threads.shutdown()
        mean, weight = self.moments.mean, self.bands[0].weight[:, None, None]
        found = []
        for band in self.bands:
            average = np.divide(band.sums(), weight, out=np.zeros((len(weight), self.history, band.n_pixels)), where=weight > 0)
            average += np.where(weight > 0, (band.moments.offset or 0.0) - mean, 0)
            found.append(average.reshape(len(weight), self.history, -1, self.shape[1]))
        return np.concatenate(found, axis=2).astype(np.float32)


class _Band:
    """Some rows of the movie.

    For every cell k and lag j, C(k, j) = sum_t r_k(t) s(t - j), over the t whose whole history lies within a run. Blocks of
    frames that overlap by the history are transformed; their cross-spectra are added up and transformed back once in the end.
    """

    def __init__(self, history: int, rows: slice, width: int, n_cells: int) -> None:
        self.history, self.rows = history, rows
        self.n_pixels = (rows.stop - rows.start) * width
        self.length = 1 << max(6, (4 * history - 1).bit_length())  # of a block, frames
        self.step = self.length - history + 1  # responses in a block
        self.spectrum = np.zeros((self.length // 2 + 1, n_cells, self.n_pixels), np.complex64)
        self.weight = np.zeros(n_cells)  # sum of the responses that count
        self.moments = Moments()
        self.seen = np.zeros((self.length, BLOCKS, self.n_pixels), np.float32)  # blocks, before they are transformed
        self.tail: NDArray[np.generic] = np.empty((0, self.n_pixels), np.uint8)  # frames of the run that the next piece needs

    def add(self, frames: NDArray[np.generic], response: NDArray[np.floating], new_run: bool) -> None:
        """Add consecutive frames, as :meth:`ReverseCorrelation.add` does."""
        own = np.ascontiguousarray(frames[:, self.rows])
        offset = self.moments.add(own)
        if new_run:
            self.tail = self.tail[:0]
        movie = np.concatenate([self.tail, own.reshape(len(own), -1)])
        used = np.zeros((len(response), len(movie)), np.float32)
        used[:, self.history - 1 :] = response[:, max(self.history - 1 - len(self.tail), 0) :]
        self.weight += used.sum(axis=1, dtype=np.float64)
        self._transform(movie, offset, used)
        self.tail = movie[len(movie) - min(self.history - 1, len(movie)) :].copy()

    def sums(self) -> NDArray[np.floating]:
        """Sums (cell, lag, pixel) of the frames, less the offset, before the responses."""
        found: NDArray[np.floating] = fft.irfft(self.spectrum.conj(), self.length, axis=0)[: self.history].transpose(1, 0, 2)
        return found

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
            stimulus = fft.rfft(seen, axis=0)
            self.spectrum += answers @ stimulus


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


def temporal_kernels(
    trace: NDArray[np.floating], response: NDArray[np.floating], before: int, after: int, ridge: float = 0.01
) -> FloatArray:
    """Linear filters by which traces drive responses, correlations within the traces taken out.

    The least-squares solution of r(t) = sum_j k(j) s(t - j), with a penalty of ``ridge`` times the variance of s on k's squares.

    Parameters
    ----------
    trace : (cell, time)
        What one pixel shows.
    response : (cell, time)
    before, after
        Lags j from ``-before`` to before ``after``, frames.

    Returns
    -------
    kernel : (cell, lag)
    """
    n_lags, n = before + after, trace.shape[1]
    length = fft.next_fast_len(n + n_lags, real=True)
    seen = fft.rfft(trace - trace.mean(axis=1, keepdims=True), length)
    given = fft.rfft(response - response.mean(axis=1, keepdims=True), length)
    auto = fft.irfft(np.abs(seen) ** 2, length)[:, :n_lags]
    cross = np.roll(fft.irfft(given * seen.conj(), length), before, axis=1)[:, :n_lags]
    auto[:, 0] *= 1 + ridge
    return np.stack([solve_toeplitz(a, c) if a[0] > 0 else np.zeros(n_lags) for a, c in zip(auto, cross, strict=True)])


def receptive_field_centre(field: NDArray[np.floating], blur: float = 1.0) -> NDArray[np.float32]:
    """Row and column (cell, 2) in pixels where a receptive field (cell, lag, y, x) has most energy after a blur over pixels.

    The middle of the field for a cell without one, i.e. that never fires.
    """
    energy = gaussian_filter((field.astype(np.float64) ** 2).sum(axis=1), (0, blur, blur), mode="constant")
    peaks = np.stack([np.unravel_index(e.argmax(), e.shape) for e in energy]).astype(np.float32)
    middle = (np.array(field.shape[2:], np.float32) - 1) / 2
    return np.where(energy.max(axis=(1, 2))[:, None] > 0, peaks, middle)


def field_place(field: NDArray[np.floating]) -> FloatArray:
    """Where a receptive field has most energy, (cell, 2) in pixels down and right of the middle.

    NaN along an axis of one pixel, which says nothing of space, and for a cell without a field.
    """
    shape = np.array(field.shape[2:])
    known = (shape > 1) & field.reshape(len(field), -1).any(axis=1, keepdims=True)
    return np.where(known, receptive_field_centre(field) - (shape - 1) / 2, np.nan)


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
        Pixels, of the part around the peak that has half of its height: see :func:`retmech.geometry.diameter`.
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
    """Diameter of the centre, what lies around the peak and has half of its height; NaN without a field."""
    lag, y, x = np.unravel_index(int(np.abs(field).argmax()), field.shape)
    peak = float(field[lag, y, x])
    if peak == 0:
        return float("nan")
    regions, _ = label(field[lag] / peak >= 0.5)
    return diameter(float(np.count_nonzero(regions == regions[y, x])), regions.shape)


def peaks(field: NDArray[np.floating]) -> NDArray[np.int64]:
    """Row and column (2, cell) of the pixel with the largest value of each receptive field (cell, lag, y, x)."""
    places = [np.unravel_index(int(np.abs(own).argmax()), own.shape)[1:] for own in field]
    return np.array(places, np.int64).reshape(-1, 2).T


@dataclass(frozen=True)
class Fields:
    """Receptive fields; the temporal filters of the cells that have one, and the pixels where they are.

    Attributes
    ----------
    field : (cell, lag, y, x)
    cells : (used,)
    kernel : (used, lag)
    y, x : (used,)
    """

    field: NDArray[np.float32]
    quality: FieldQuality
    cells: NDArray[np.int64]
    kernel: NDArray[np.float64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]

    @classmethod
    def of(cls, field: NDArray[np.float32], quality: FieldQuality) -> "Fields":
        """The filters at the pixel of the largest value."""
        cells = np.flatnonzero(quality.p_value < CERTAIN)
        y, x = peaks(field[cells])
        return cls(field, quality, cells, field[cells, :, y, x].astype(np.float64), y, x)

    def seen(self, frames: NDArray[np.generic]) -> NDArray[np.float32]:
        """What the cells' pixels show (used, time)."""
        return frames[:, self.y, self.x].T.astype(np.float32)
