"""Measured times of frames and spikes: bins follow the frames that were on the screen, whatever the clock did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RecordingError, warn
from retmech.quality import smoothed_rate
from retmech.readers._raw import SAME_RATE, Movie, RawPart, RawRecording
from retmech.settings import IngestSettings

Times = NDArray[np.float64]

BREAK = 0.25  #: s; a longer gap between two frames ends a run: what was on the screen meanwhile is not known
DRIFT = 1e-4  # change of the frame rate over a session that is worth a word


class EventSettings(IngestSettings):
    """Settings of readers whose spikes and frames have times of their own."""

    frame_rate: float | None = Field(
        None, ge=10, le=1000, description="that movie and responses are brought to, Hz; the recording's own when omitted"
    )


@dataclass(frozen=True)
class Shown:
    """A movie and the onsets of its frames, s: (frame,), or (trial, frame) for one that was repeated."""

    movie: Movie
    onsets: Times
    place: str  # of the onsets, for errors


@dataclass(frozen=True)
class Bins:
    """Bins of responses, one for each frame that is kept.

    Attributes
    ----------
    edges : (bin, 2)
        Start and end of each, s.
    frame : (bin,)
        Number of the movie's frame that is on the screen.
    runs
        First bins of runs without a break.
    dropped
        Frames that were shown for longer than one.
    """

    edges: Times
    frame: NDArray[np.int64]
    runs: tuple[int, ...]
    dropped: int


def ordered(times: NDArray[np.generic], place: str) -> Times:
    """Return spike times as float64.

    Raises
    ------
    RecordingError
        If they are not numbers of at least 0 that do not decrease.
    """
    if times.ndim != 1 or times.dtype.kind not in "iuf":
        raise RecordingError(f"{place}: expected a list of times in s, found shape {times.shape} of type {times.dtype}.")
    found = times.astype(np.float64)
    if not np.isfinite(found).all():
        raise RecordingError(f"{place}: expected times in s, found {np.count_nonzero(~np.isfinite(found))} NaN or infinite.")
    if len(found) and found.min() < 0:
        raise RecordingError(f"{place}: expected times from 0 s on, found {found.min():.6g} s.")
    if (np.diff(found) < 0).any():
        at = int(np.flatnonzero(np.diff(found) < 0)[0])
        raise RecordingError(f"{place}: expected times in order, found {found[at + 1]:.6g} s after {found[at]:.6g} s.")
    return found


def onsets_of(times: NDArray[np.generic], n_frames: int, place: str) -> Times:
    """Return the onsets of a movie's frames as float64.

    Raises
    ------
    RecordingError
        If they do not increase or there is not one for each frame.
    """
    found = ordered(times, place)
    if len(found) != n_frames:
        raise RecordingError(f"{place}: expected one onset for each of the movie's {n_frames} frames, found {len(found)}.")
    if len(found) < 2 or np.diff(found).min() <= 0:
        raise RecordingError(f"{place}: expected at least two onsets in s that increase.")
    return found


def rate_of(onsets: Times) -> float:
    """Frames per second, Hz, from the median interval."""
    return float(round(1 / np.median(np.diff(onsets)), 6))


def plausible(rate: float, place: str) -> float:
    """Return a frame rate that a movie can have.

    Raises
    ------
    RecordingError
        If it has fewer than 1 or more than 1000 frames per second: times may then be in another unit.
    """
    if not 1 <= rate <= 1000:
        raise RecordingError(f"{place}: expected 1 to 1000 frames per second, found {rate:.4g}. Are the times in s?")
    return rate


def drift(onsets: Times) -> str:
    """How much the frame rate changes from the first half of a session to the second, in words."""
    interval = np.diff(onsets)
    usual = interval[interval < 1.5 * np.median(interval)]
    first, second = np.array_split(usual, 2)
    change = 0.0 if not len(second) else float(first.mean() / second.mean() - 1)
    return f"the frame rate drifts by {1e6 * change:.0f} ppm" if abs(change) > DRIFT else ""


def bins_of(onsets: Times, ratio: float = 1.0) -> Bins:
    """Cut the time of a movie into bins.

    Parameters
    ----------
    onsets : (frame,)
        Measured, s.
    ratio
        Bins per frame: 1 for the movie's own rate.

    Notes
    -----
    A frame that stays for k intervals is k frames, the same each time. Bins are equal in the time of these frames and follow
    their measured onsets in the time of the spikes. A frame that stays longer than :data:`BREAK` ends a run.
    """
    interval = np.diff(onsets)
    usual = float(np.median(interval))
    stays = np.append(np.maximum(1, np.rint(interval / usual)), 1).astype(np.int64)
    breaks = np.flatnonzero(np.append(interval, 0) > max(BREAK, 1.5 * usual))
    stays[breaks] = 1
    frame = np.repeat(np.arange(len(onsets)), stays)
    length = np.append(interval, usual)
    length[breaks] = usual
    part = np.arange(len(frame)) - np.repeat(np.cumsum(stays) - stays, stays)  # which of its intervals
    width = (length / stays)[frame]
    start = onsets[frame] + part * width
    dropped = int(np.count_nonzero(stays > 1))
    firsts = np.concatenate([[0], np.cumsum(stays)[breaks]]).astype(np.int64)
    pieces = [
        _resampled(start[a:b], width[a:b], frame[a:b], ratio) for a, b in zip(firsts, [*firsts[1:], len(frame)], strict=True)
    ]
    edges, frame = (np.concatenate(found) for found in zip(*pieces, strict=True))
    runs = np.cumsum([0, *(len(piece[1]) for piece in pieces[:-1])])
    return Bins(edges, frame, tuple(runs.tolist()), dropped)


def _resampled(start: Times, width: Times, frame: NDArray[np.int64], ratio: float) -> tuple[Times, NDArray[np.int64]]:
    """Bins of one run, ``ratio`` for each frame."""
    if abs(ratio - 1) < SAME_RATE:
        return np.stack([start, start + width], axis=1), frame
    onset = np.append(start, start[-1] + width[-1])
    n_bins = max(1, round(len(start) * ratio))
    place = np.arange(n_bins + 1) / ratio  # of the edges, in frames
    edges = np.interp(place, np.arange(len(onset)), onset)
    middle = np.minimum(((place[:-1] + place[1:]) / 2).astype(np.int64), len(start) - 1)
    return np.stack([edges[:-1], edges[1:]], axis=1), frame[middle]


def counted(times: Sequence[Times], edges: Times) -> NDArray[np.int32]:
    """Numbers of spikes (cell, bin) between the edges of each bin."""
    found = [np.searchsorted(cell, edges[:, 1]) - np.searchsorted(cell, edges[:, 0]) for cell in times]
    return np.array(found, np.int32).reshape(len(times), len(edges))


def from_events(train: Shown, test: Shown, spikes: Mapping[str, Times], settings: EventSettings) -> RawRecording:
    """Return the recording of cells whose spikes were timed on the same clock as the frames.

    Parameters
    ----------
    train
        Onsets (frame,).
    test
        Onsets (trial, frame).
    spikes
        Cell -> times, s, in order.
    """
    own = plausible(rate_of(train.onsets), train.place)
    rate = settings.frame_rate or own
    for name, shown in (("the training movie", train), ("the test movie", test)):
        found = rate_of(shown.onsets.reshape(-1, shown.onsets.shape[-1])[0])
        if settings.frame_rate is None and abs(found / own - 1) > SAME_RATE:
            raise RecordingError(
                f"{shown.place}: expected {own:g} frames per second as in training, found {found:g}. "
                "Set ingest.frame_rate to the rate that both are to have."
            )
        if abs(found / rate - 1) > SAME_RATE:
            warn(f"{name}: {found:g} frames per second become {rate:g}, each shown for as long as it lasts.")
    return _recording(train, test, spikes, rate, settings.rate_width)


def _recording(train: Shown, test: Shown, spikes: Mapping[str, Times], rate: float, width: float) -> RawRecording:
    times = tuple(spikes.values())
    bins = bins_of(train.onsets, rate / rate_of(train.onsets))
    said = drift(train.onsets)
    if bins.dropped:
        said = f"{bins.dropped} of {len(train.onsets)} frames stayed for longer than one" + (f"; {said}" if said else "")
    if said:
        warn(f"{train.place}: {said}. Bins follow the measured times.")
    count = counted(times, bins.edges)
    smooth = [smoothed_rate(run, width, rate) for run in np.split(count, bins.runs[1:], axis=1)]  # nothing of one in another
    part = RawPart(train.movie.shown(bins.frame), count, np.concatenate(smooth, axis=1), bins.runs, said)
    trials = []
    for onsets in test.onsets:
        # What is averaged over trials has one bin for each frame, whether or not a frame stayed for longer in one of them.
        own = bins_of(onsets)
        first = np.unique(own.frame, return_index=True)[1]
        edges, shown = _resampled(own.edges[first, 0], np.diff(own.edges[first])[:, 0], own.frame[first], rate / rate_of(onsets))
        trials.append(counted(times, edges))
    fewest = min(trial.shape[1] for trial in trials)
    count = np.stack([trial[:, :fewest] for trial in trials])
    average = count.mean(axis=0)
    tested = RawPart(test.movie.shown(shown[:fewest]), np.rint(average).astype(np.int32), smoothed_rate(average, width, rate))
    return RawRecording(rate, list(spikes), part, tested, smoothed_rate(count, width, rate), times)
