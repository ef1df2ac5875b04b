"""What every reader returns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retmech.errors import RecordingError

PIECE_BYTES = 16 * 2**20  # of a movie that is read at once
LARGEST = 2**30  # bytes of an array that has to be held as a whole
LAST = "last"  # ingest.test: the last part of the training movie
NO_TEST = (
    "If none was repeated, as in most white noise, set ingest.test to last: the last part of the training movie is held out."
)
HEAD = 1000  # onsets that tell about how fast a movie is
SAME_RATE = 1e-3  # relative difference of two frame rates that are one


@dataclass(frozen=True)
class Movie:
    """A movie that stays in its file and is read piece by piece.

    Attributes
    ----------
    place
        File and variable, for error messages.
    shape
        (time, y, x).
    dtype
        uint8, or float32 for all other numbers.
    read
        Frames from one to before another; numbers of any type.
    """

    place: str
    shape: tuple[int, int, int]
    dtype: np.dtype[np.generic]
    read: Callable[[int, int], NDArray[np.generic]]

    @classmethod
    def of(cls, frames: NDArray[np.generic], place: str) -> "Movie":
        """Return the movie that an array (time, y, x) is.

        Raises
        ------
        RecordingError
            If it is not an array of numbers with three dimensions, none of them empty.
        """
        return checked_movie(place, frames.shape, frames.dtype, lambda start, stop: frames[start:stop])

    def __len__(self) -> int:
        return self.shape[0]

    def frames(self, start: int, stop: int) -> NDArray[np.generic]:
        """Return frames ``start`` to before ``stop``, all finite.

        Raises
        ------
        RecordingError
            If a value is NaN or infinite, or there are fewer frames than the file says.
        """
        frames = np.ascontiguousarray(self.read(start, stop), self.dtype)
        if frames.shape != (stop - start, *self.shape[1:]):
            raise RecordingError(
                f"{self.place}: expected frames {start} to {stop - 1}, found {len(frames)}. Is the file complete?"
            )
        if self.dtype.kind == "f" and not np.isfinite(frames).all():
            at = start + int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2)))[0])
            raise RecordingError(f"{self.place}: expected finite values, found NaN or infinite ones in frame {at}.")
        return frames

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.generic]]]:
        """Yield frames ``start`` to before ``stop`` in pieces, each with the number of its first frame."""
        step = max(1, PIECE_BYTES // (self.dtype.itemsize * self.shape[1] * self.shape[2]))
        for first in range(start, stop, step):
            yield first, self.frames(first, min(first + step, stop))

    def scaled(self, factor: float) -> "Movie":
        """Return the movie with its luminance multiplied."""
        return replace(
            self, dtype=np.dtype(np.float32), read=lambda start, stop: self.frames(start, stop).astype(np.float32) * factor
        )

    def shown(self, index: NDArray[np.int64]) -> "Movie":
        """Return the movie whose frame i is frame ``index[i]`` of this one; the index must not decrease."""
        if len(index) == len(self) and (index == np.arange(len(self))).all():
            return self

        most = 4 * max(1, PIECE_BYTES // (self.dtype.itemsize * self.shape[1] * self.shape[2]))  # frames read at once

        def read(start: int, stop: int) -> NDArray[np.generic]:
            wanted, parts = index[start:stop], []
            while len(wanted):
                n = int(np.searchsorted(wanted, wanted[0] + most))
                parts.append(self.read(int(wanted[0]), int(wanted[n - 1]) + 1)[wanted[:n] - wanted[0]])
                wanted = wanted[n:]
            return np.concatenate(parts)

        return replace(self, shape=(len(index), *self.shape[1:]), read=read)


def checked_movie(
    place: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], read: Callable[[int, int], NDArray[np.generic]]
) -> Movie:
    """Return a movie after a look at its shape and type, which no frame has to be read for.

    Raises
    ------
    RecordingError
        If it does not have three dimensions, is empty, or is not of numbers.
    """
    if len(shape) != 3 or 0 in shape:
        raise RecordingError(f"{place}: expected frames (time, y, x), none of them empty, found shape {shape}.")
    if dtype.kind not in "iufb":
        raise RecordingError(f"{place}: expected numbers, found type {dtype}.")
    if shape[1] * shape[2] * 4 > PIECE_BYTES:
        raise RecordingError(
            f"{place}: expected frames of at most {PIECE_BYTES // 4} pixels, found {shape[1]} x {shape[2]}. "
            "Bin its pixels to the size of the smallest receptive field's features."
        )
    return Movie(place, (shape[0], shape[1], shape[2]), np.dtype(np.uint8 if dtype == np.uint8 else np.float32), read)


@dataclass(frozen=True)
class RawPart:
    """A movie and the responses to it. Responses may have more or fewer bins than the movie has frames.

    Attributes
    ----------
    spike_count : (cell, time)
        None where responses are no spikes.
    rate : (cell, time)
        Hz, or the unit of what was recorded instead of spikes.
    runs
        First frames of the runs that follow each other without a break; the whole movie is one run by default.
    timing
        What is worth knowing of the frames' times, for a reader's eyes.
    """

    stimulus: Movie
    spike_count: NDArray[np.int32] | None
    rate: NDArray[np.float32]
    runs: tuple[int, ...] = (0,)
    timing: str = ""

    def scaled(self, factor: float) -> "RawPart":
        """Return this with the luminance of its movie multiplied."""
        return replace(self, stimulus=self.stimulus.scaled(factor))


@dataclass(frozen=True)
class RawRecording:
    """One stimulus class of one session, as it stands in the file: not yet cut, aligned or normalized.

    Attributes
    ----------
    test
        None where no movie was repeated: a part of the training movie stands in its place.
    trial_rate : (trial, cell, time)
        Single responses to the test movie, Hz; none where only averages were kept.
    spike_times
        Of each cell, s, in order; None where the file has no times.
    names
        Of the cells as they stand in the file, where they differ from ``cells``, which can stand in tables and file names.
    excluded
        Cell -> why it cannot be used, for those that were not observed throughout.
    """

    frame_rate: float  # Hz
    cells: list[str]
    train: RawPart
    test: RawPart | None
    trial_rate: NDArray[np.float32]
    spike_times: tuple[NDArray[np.float64], ...] | None = None
    names: Sequence[str] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """What the head of a raw file says without the responses being read.

    Attributes
    ----------
    shape
        Pixels (y, x).
    cells
        None where all spikes would have to be read to know.
    frame_rate
        Hz, about.
    train, test
        Frames; no test movie where none was repeated.
    """

    shape: tuple[int, int]
    cells: int | None
    frame_rate: float
    train: int
    test: int | None


Check = Callable[[], object]


def problems(checks: Iterable[Check]) -> list[str]:
    """Make all checks and return what they say is wrong."""
    found = []
    for check in checks:
        try:
            check()
        except RecordingError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def unreadable(path: Path, form: str, error: BaseException) -> RecordingError:
    """Return the error that says that a file is not what it should be or is damaged."""
    said = " ".join(str(error).split()) or type(error).__name__
    return RecordingError(f"{path}: cannot be read as {form} ({said[:200]}). Is it complete? Try copying it again.")
