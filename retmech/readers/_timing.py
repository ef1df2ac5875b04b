"""Recordings of cells whose spikes were timed on the clock of the frames: bins follow the frames that were on the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RecordingError, note, warn
from retmech.quality import smoothed_rate
from retmech.readers._clock import FrameClock, Times, frame_clock, frame_period
from retmech.readers._coverage import Recorded, check_once, check_order, check_unit
from retmech.readers._files import safe_names
from retmech.readers._raw import SAME_RATE, Movie, RawPart, RawRecording
from retmech.settings import IngestSettings

DRIFT = 1e-4  # change of the frame rate over a session that is worth a word
THROUGHOUT = Recorded()  # as far as is known
SCATTER = 0.05  # frames; likewise
ENDS = 2  # frames at the ends of a presentation that need no sure time


class EventSettings(IngestSettings):
    """Settings of readers whose spikes and frames have times of their own."""

    frame_rate: float | None = Field(
        None, ge=10, le=1000, description="that movie and responses are brought to, Hz; the recording's own when omitted"
    )


@dataclass(frozen=True)
class Shown:
    """A movie and the onsets of its frames, s: (frame,), or (trial, frame) for one that was repeated.

    A presentation that was aborted has NaN for the frames that it did not come to.
    """

    movie: Movie
    onsets: Times
    place: str  # of the onsets, for errors


@dataclass(frozen=True)
class Bins:
    """Bins of responses.

    Attributes
    ----------
    edges : (bin, 2)
        Start and end of each, s.
    frame : (bin,)
        Number of the movie's frame that is on the screen in its middle.
    runs
        First bins of runs without a break.
    """

    edges: Times
    frame: NDArray[np.int64]
    runs: tuple[int, ...] = (0,)

    @classmethod
    def joined(cls, pieces: Sequence["Bins"]) -> "Bins":
        """Return runs one after the other."""
        firsts = np.cumsum([0, *(len(piece.frame) for piece in pieces[:-1])])
        return cls(np.concatenate([p.edges for p in pieces]), np.concatenate([p.frame for p in pieces]), tuple(firsts.tolist()))


def ordered(times: NDArray[np.generic], place: str) -> Times:
    """Return times as float64; (n, 1) and (1, n) are lists too, as MATLAB writes them.

    Raises
    ------
    RecordingError
        If they are not numbers of at least 0 that do not decrease.
    """
    if times.ndim == 2 and 1 in times.shape:
        times = times.ravel()
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
    """Return the onsets of a movie's frames as float64; NaN at the end of a presentation that was aborted.

    Raises
    ------
    RecordingError
        If they decrease or there is not one for each frame.
    """
    if len(times) != n_frames:
        raise RecordingError(f"{place}: expected one onset for each of the movie's {n_frames} frames, found {len(times)}.")
    known = len(times)
    while known and np.isnan(times[known - 1]):
        known -= 1
    found = np.full(n_frames, np.nan)
    found[:known] = ordered(times[:known], place)
    if n_frames < 2 or (known > 1 and found[known - 1] <= found[0]):
        raise RecordingError(f"{place}: expected at least two onsets in s that increase.")
    return found


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


def rate_about(onsets: NDArray[np.generic], place: str) -> float:
    """Return the frame rate that the first onsets of a movie say, whose pauses are no frames, Hz.

    Raises
    ------
    RecordingError
        If they follow no clock, or one that no movie has.
    """
    known = ordered(onsets[np.isfinite(onsets)], place)
    return plausible(1 / frame_period([known], place), place)


def rate_of(clocks: Sequence[FrameClock]) -> float:
    """Frames per second, Hz: frame intervals over the time that they took."""
    return float(round(sum(clock.shown for clock in clocks) / sum(clock.lasted for clock in clocks), 6))


def in_words(clocks: Sequence[FrameClock]) -> str:
    """What is worth knowing of some clocks: frames that stayed, late pulses, drift, breaks, scatter."""
    return "; ".join([*_faults(clocks), *_circumstances(clocks)])


def say(clocks: Sequence[FrameClock], place: str) -> None:
    """Print what :func:`in_words` says, as a warning where it may be a fault of the set-up."""
    if said := in_words(clocks):
        (warn if _faults(clocks) else note)(f"{place}: {said}. Bins follow the frames.")


def _faults(clocks: Sequence[FrameClock]) -> list[str]:
    frames = sum(len(clock.stay) for clock in clocks)
    held = sum(int(np.count_nonzero(clock.stay > 1)) for clock in clocks)
    late = sum(int(np.count_nonzero(clock.late)) for clock in clocks)
    lost = frames - sum(stop - start for clock in clocks for start, stop in clock.runs)
    drift = max((clock.drift for clock in clocks), key=abs, default=0.0)
    said = [
        (held, f"{held} of {frames} frames stayed for longer than one"),
        (late, f"{late} onset(s) more than half a frame late or early were set right"),
        (lost, f"{lost} frame(s) without a sure time, or not recorded, are left out"),
        (abs(drift) > DRIFT, f"the frame rate drifts by {1e6 * drift:.0f} ppm"),
    ]
    return [words for found, words in said if found]


def _circumstances(clocks: Sequence[FrameClock]) -> list[str]:
    breaks = [stop for clock in clocks for _, stop in clock.runs[:-1]]
    scatter = max(clock.scatter for clock in clocks)
    said = [f"{len(breaks)} break(s), the first after frame {breaks[0] - 1}"] if breaks else []
    return said + ([f"onsets scatter around the clock by {scatter:.2g} frame (sd)"] if scatter > SCATTER else [])


def bins_of(clock: FrameClock, ratio: float = 1.0) -> Bins:
    """Cut the time of a movie into bins of one frame interval each: a frame that stayed for k intervals has k bins.

    Parameters
    ----------
    ratio
        Bins per frame interval: 1 for the movie's own rate.
    """
    pieces = []
    for start, stop in clock.runs:
        place = np.concatenate([[0], np.cumsum(clock.stay[start:stop])])
        onset = np.append(clock.onset[start:stop], clock.onset[stop - 1] + clock.stay[stop - 1] * clock.period)
        pieces.append(_cut(place.astype(float), onset, np.arange(start, stop), ratio))
    return Bins.joined(pieces)


def bins_of_frames(clock: FrameClock, start: int, stop: int, ratio: float = 1.0) -> Bins:
    """Cut the time of some frames of a run into bins of one frame each, however long it stayed: the same in each presentation."""
    onset = np.append(clock.onset[start:stop], clock.ends[stop - 1])
    return _cut(np.arange(stop - start + 1.0), onset, np.arange(start, stop), ratio)


def _cut(place: Times, onset: Times, frame: NDArray[np.int64], ratio: float) -> Bins:
    """Cut time where the number of frames that have been shown is a multiple of 1 / ratio; ``place`` is that number at onsets."""
    edges = np.arange(max(1, round(place[-1] * ratio)) + 1) / ratio
    times = np.interp(edges, place, onset)
    middle = np.searchsorted(place, (edges[:-1] + edges[1:]) / 2, side="right") - 1
    return Bins(np.stack([times[:-1], times[1:]], axis=1), frame[np.minimum(middle, len(frame) - 1)])


def counted(times: Sequence[Times], edges: Times) -> NDArray[np.int32]:
    """Numbers of spikes (cell, bin) between the edges of each bin."""
    found = [np.searchsorted(cell, edges[:, 1]) - np.searchsorted(cell, edges[:, 0]) for cell in times]
    return np.array(found, np.int32).reshape(len(times), len(edges))


def from_events(
    train: Shown,
    test: Shown | None,
    spikes: Mapping[str, Times],
    place: str,
    settings: EventSettings,
    recorded: Recorded = THROUGHOUT,
) -> RawRecording:
    """Return the recording of cells whose spikes were timed on the same clock as the frames.

    Parameters
    ----------
    train
        Onsets (frame,).
    test
        Onsets (trial, frame); None where no movie was repeated.
    spikes
        Cell -> times, s, in order.
    place
        Of the spikes, for errors.
    recorded
        When the amplifier was on and the cells were observed, as far as the file says it.
    """
    onsets = _begun(train)
    if (np.diff(onsets) == 1).all():
        warn(f"{train.place}: onsets rise by exactly 1 s. Are they times, or numbers of frames?")
    clock = frame_clock(onsets, frame_period([onsets], train.place))
    own = plausible(rate_of([clock]), train.place)
    whole = [] if test is None else _whole(test)
    movies = [*clock.spans, *(span for row in whole for span in row.spans)]
    check_unit(list(spikes.values()), movies, own, place)
    check_once(spikes, place)
    recorded = recorded.ended(list(spikes.values()), movies, place)
    clock = recorded.of(clock)
    if not clock.runs:
        raise RecordingError(
            f"{train.place}: expected a training movie that was recorded, found none: {recorded.reason(movies[0])}."
        )
    kept = [] if test is None else _presented(test, whole, recorded)
    if test is not None:
        check_order([row.spans[0] for row in kept], clock.spans, clock.period / 2, test.place)
        tested_at = _test_rate(test, rate_of(kept), own, settings)
    rate = settings.frame_rate or own
    names = list(spikes)
    cells = safe_names(names, place)
    partly = recorded.partly([*clock.spans, *(row.spans[0] for row in kept)], 2 * clock.period)
    excluded = {cell: partly[name] for cell, name in zip(cells, names, strict=True) if name in partly}
    times = tuple(spikes.values())
    part = _trained(train, clock, times, rate, settings.rate_width)
    tested, trials = None, np.empty((0, len(times), 0), np.float32)
    if test is not None:
        tested, trials = _tested(test, kept, times, rate, settings.rate_width, _ratio(rate, tested_at))
    return RawRecording(rate, cells, part, tested, trials, times, names, excluded)


def _begun(train: Shown) -> Times:
    """Onsets of the frames that a training movie came to."""
    known = np.isfinite(train.onsets)
    if not known.all():
        warn(f"{train.place}: the movie ended after {np.count_nonzero(known)} of {len(known)} frames; the others are left out.")
    return train.onsets[known]


def _trained(train: Shown, clock: FrameClock, times: Sequence[Times], rate: float, width: float) -> RawPart:
    say([clock], train.place)
    bins = bins_of(clock, _ratio(rate, rate_of([clock])))
    count, duration = counted(times, bins.edges), np.diff(bins.edges)[:, 0]
    smooth = [  # nothing of one run in another
        smoothed_rate(count[:, start:stop], width, rate, duration[start:stop])
        for start, stop in pairwise([*bins.runs, len(duration)])
    ]
    return RawPart(train.movie.shown(bins.frame), count, np.concatenate(smooth, axis=1), bins.runs, in_words([clock]))


def _tested(
    test: Shown, clocks: Sequence[FrameClock], times: Sequence[Times], rate: float, width: float, ratio: float
) -> tuple[RawPart, NDArray[np.float32]]:
    """The test movie, and the rates (trial, cell, time) in each presentation."""
    say(clocks, test.place)
    left_out = len(test.onsets) - len(clocks)
    start, stop = max(c.runs[0][0] for c in clocks), min(c.runs[0][1] for c in clocks)
    bins = [bins_of_frames(clock, start, stop, ratio) for clock in clocks]
    count = np.stack([counted(times, own.edges) for own in bins])
    duration = np.stack([np.diff(own.edges)[:, 0] for own in bins])
    trials = smoothed_rate(count, width, rate, duration[:, None])
    average = smoothed_rate(count.sum(axis=0), width, rate, duration.sum(axis=0))
    some = f"{left_out} of {len(test.onsets)} presentations are left out" if left_out else ""
    said = "; ".join(filter(None, [some, in_words(clocks)]))
    movie = test.movie.shown(bins[0].frame)
    return RawPart(movie, np.rint(count.mean(axis=0)).astype(np.int32), average, timing=said), trials


def _whole(test: Shown) -> list[FrameClock]:
    """The clock of each presentation that came to its end."""
    rows = [row for row in test.onsets if np.isfinite(row).all()]
    for i in np.flatnonzero(~np.isfinite(test.onsets).all(axis=1)):
        known = int(np.count_nonzero(np.isfinite(test.onsets[i])))
        warn(f"{test.place}: presentation {i + 1} is left out: it ended after {known} of {len(test.onsets[i])} frames.")
    if not rows:
        raise RecordingError(f"{test.place}: expected a presentation of all frames, found none.")
    period = frame_period(rows, test.place)
    return [frame_clock(row, period) for row in rows]


def _presented(test: Shown, whole: Sequence[FrameClock], recorded: Recorded) -> list[FrameClock]:
    """The presentations that were shown without a break and recorded to their end."""
    kept, reasons = [], []
    for clock in whole:
        known = sum(stop - start for start, stop in clock.runs)
        words = recorded.reason((clock.onset[0], clock.ends[-2]))
        if len(clock.runs) > 1:
            stop, start = clock.runs[0][1], clock.runs[1][0]
            words = f"it paused for {clock.onset[start] - clock.onset[stop - 1] - clock.period:.3g} s after frame {stop - 1}"
        elif known < len(clock.stay) - max(ENDS, 0.02 * len(clock.stay)):
            words = f"only {known} of {len(clock.stay)} frames have a sure time"
        reasons.append(words)
        if words:
            warn(f"{test.place}: the presentation at {clock.onset[0]:.6g} s is left out: {words}.")
        else:
            kept.append(clock)
    if not kept:
        raise RecordingError(f"{test.place}: expected a presentation shown and recorded as a whole, found none: {reasons[0]}.")
    return kept


def _test_rate(test: Shown, found: float, own: float, settings: EventSettings) -> float:
    """Return the rate of a test movie: the training movie's, where a presentation is too short to tell them apart.

    Raises
    ------
    RecordingError
        If it has another rate than the training movie, unless both are brought to one.
    """
    off = abs(found / own - 1)
    if off <= SAME_RATE or off * test.onsets.shape[1] < 1:
        return own
    if settings.frame_rate is None:
        raise RecordingError(
            f"{test.place}: expected {own:g} frames per second as in training, found {found:g}. "
            "Set ingest.frame_rate to the rate that both are to have."
        )
    return found


def _ratio(rate: float, own: float) -> float:
    """Bins per frame interval."""
    if abs(rate / own - 1) <= SAME_RATE:
        return 1.0
    note(f"{own:g} frames per second become {rate:g}, each shown for as long as it lasts.")
    return rate / own
