"""What was recorded of what was shown: times without a recording, presentations that are not whole, spikes in another unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from retmech.errors import RecordingError, note, warn
from retmech.readers._clock import FrameClock, Times

Span = tuple[float, float]

SURE = 50.0  # spikes that are expected in a time without any before it counts as not recorded
FEW = 5  # silences that may be no chance; cells that fire in bursts are silent again and again
LONGER = 5.0  # times as long as all others
TWICE = 0.01  # of a cell's spikes, that come at the time of the one before them
APART = 3.0  # ratio of two firing rates that are not those of one retina
SLOW = 1.0  # Hz; no cell of a retina is as slow as all are whose times are in a smaller unit
UNITS = {
    "ms": 1e3,
    "us": 1e6,
    **{f"samples at {kilohertz:g} kHz": 1e3 * kilohertz for kilohertz in (10, 12.5, 20, 25, 30, 40, 50)},
}


@dataclass(frozen=True)
class Recorded:
    """What a file says of the times that it covers.

    Attributes
    ----------
    gaps
        Times without a recording, s, each with its reason.
    observed
        Cell -> the times that it was observed in, s; all others were observed throughout.
    """

    gaps: tuple[tuple[float, float, str], ...] = ()
    observed: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    def ended(self, spikes: Sequence[Times], movies: Sequence[Span], place: str) -> "Recorded":
        """Return this with what lies before the first and after the last spike of all cells, where that is no chance.

        Other silences of all cells are said.
        """
        fired = np.sort(np.concatenate([*spikes, np.empty(0)]))
        shown = _merged(movies)
        starts, stops = np.array(shown).T
        which = np.searchsorted(starts, fired, side="right") - 1
        seen = (which >= 0) & (fired < stops[which])
        at = (np.cumsum(stops - starts) - stops)[which[seen]] + fired[seen]  # s of movies
        gaps = list(self.gaps)
        for i, expected in silences(at, float((stops - starts).sum()), len(at)):
            start, stop = (float(edge) for edge in np.concatenate([starts[:1], fired[seen], stops[-1:]])[i : i + 2])
            if start <= fired[0] <= stop:
                gap, words = (-np.inf, float(fired[0])), f"no cell fires before {fired[0]:.6g} s"
            elif start <= fired[-1] <= stop:
                gap, words = (float(fired[-1]), np.inf), f"no cell fires after {fired[-1]:.6g} s"
            else:
                warn(
                    f"{place}: no cell fires from {start:.6g} to {stop:.6g} s, where {expected:.0f} spikes are expected. Was "
                    "that time recorded?"
                )
                continue
            warn(f"{place}: {words}, where {expected:.0f} spikes are expected: that time counts as not recorded.")
            gaps.append((*gap, words))
        return replace(self, gaps=tuple(gaps))

    def of(self, clock: FrameClock) -> FrameClock:
        """Return a clock whose runs are only of frames that were recorded."""
        known = np.ones(len(clock.onset), bool)
        for start, stop, _ in self.gaps:
            known &= (clock.ends <= start) | (clock.onset >= stop)
        runs: list[tuple[int, int]] = []
        for start, stop in clock.runs:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], known[start:stop], [False]]).astype(int)))
            runs += [(start + int(a), start + int(b)) for a, b in edges.reshape(-1, 2)]
        return replace(clock, runs=tuple(runs))

    def reason(self, span: Span) -> str:
        """Why a time was not recorded as a whole; empty if it was."""
        return next((words for start, stop, words in self.gaps if start < span[1] and stop > span[0]), "")

    def partly(self, movies: Sequence[Span], tolerance: float) -> dict[str, str]:
        """Cell -> why it cannot be used: it was not observed throughout the movies."""
        found = {}
        for cell, spans in self.observed.items():
            apart = _merged(spans)
            missing = np.array([stop - start - _overlap(apart, (start, stop)) for start, stop in movies])
            if (missing > tolerance).any():
                found[cell] = f"not observed for {missing[missing > tolerance].sum():.4g} s of the movies"
        return found


def silences(at: Times, total: float, spikes: float) -> list[tuple[int, float]]:
    """Return before which spikes there is a silence that is no chance, and how many spikes are expected in it.

    Parameters
    ----------
    at
        When there were spikes, in order, from 0 to ``total``.
    spikes
        How many there were.
    """
    lasted = np.diff(np.concatenate([[0.0], at, [total]]))
    rate = spikes / (total - lasted.max()) if lasted.max() < total else 0.0
    usual = np.sort(lasted)[-FEW] if len(lasted) >= FEW else 0.0
    return [(int(i), float(rate * lasted[i])) for i in np.flatnonzero((lasted * rate > SURE) & (lasted > LONGER * usual))]


def check_once(spikes: Mapping[str, Times], place: str) -> None:
    """Warn of cells with several spikes at one time: they were read twice, or their times were rounded."""
    for cell, times in spikes.items():
        twice = int(np.count_nonzero(np.diff(times) == 0))
        if twice > TWICE * len(times):
            warn(
                f"{place}: {cell}: {twice} of {len(times)} spikes come at the time of the one before them. Are the times "
                "rounded, or the spikes read twice?"
            )


def check_order(presentations: Sequence[Span], training: Sequence[Span], tolerance: float, place: str) -> None:
    """Refuse presentations that were on the screen at the same time, or beside the training movie.

    Raises
    ------
    RecordingError
        Naming the two.
    """
    named = [(span, "a presentation") for span in presentations] + [(span, "the training movie") for span in training]
    for (one, before), (other, after) in pairwise(sorted(named)):
        if other[0] < one[1] - tolerance:
            both = "" if before == after else " Frames that are used as a test must not stand in the training movie too."
            raise RecordingError(
                f"{place}: expected one movie at a time, found {after} at {other[0]:.6g} s, before {before} ends at {one[1]:.6g} "
                f"s.{both}"
            )


def check_unit(spikes: Sequence[Times], movies: Sequence[Span], frame_rate: float, place: str) -> None:
    """Say how many spikes lie outside the movies, and refuse times that are plainly in another unit than s.

    Raises
    ------
    RecordingError
        If most spikes come later than all movies, at the rates of a retina only in another unit.
    """
    fired = np.concatenate([*spikes, np.empty(0)])
    if not len(fired):
        return
    first, last = min(span[0] for span in movies), max(span[1] for span in movies)
    outside = int(np.count_nonzero((fired < first) | (fired > last)))
    said = f"{place}: {outside} of {len(fired)} spikes lie outside the movies' time, {first:.6g} to {last:.6g} s"
    unit = _unit(float(np.quantile(fired, 0.99)) / last, frame_rate)
    fastest = max(len(times) for times in spikes) / float(fired.max() or 1)
    if 2 * outside > len(fired) and unit:
        asked = f"{said}. Are the times in {unit}? They are expected in s, on the clock of the frames."
        if fastest < SLOW:
            raise RecordingError(asked)
        warn(asked)
        return
    lasted = sum(b - a for a, b in movies)
    within = _inside(fired, movies) / lasted
    beside = outside / max(float(fired.max() - fired.min()) - lasted, 1e-9)
    if 2 * outside > len(fired) and within * APART < beside:
        warn(f"{said}, and cells fire {beside / max(within, 1e-9):.1f} times as much there. Are both on one clock?")
    elif outside:
        note(f"{said}.")


def _unit(ratio: float, frame_rate: float) -> str:
    """The unit in which spikes end with the movies, if they end ``ratio`` times as late in s."""
    units = {**UNITS, "frames": frame_rate}
    near = {unit: abs(np.log(ratio / size)) for unit, size in units.items() if 0.4 < ratio / size < 1.5}
    return min(near, key=lambda unit: near[unit]) if near else ""


def _merged(spans: Sequence[Span]) -> list[Span]:
    """The same time in spans that follow each other."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _inside(times: Times, spans: Sequence[Span]) -> int:
    return int(sum(np.count_nonzero((times >= start) & (times < stop)) for start, stop in spans))


def _overlap(spans: Sequence[Span], other: Span) -> float:
    """Time of some spans that lies within another, s."""
    return float(sum(max(0.0, min(stop, other[1]) - max(start, other[0])) for start, stop in spans))
