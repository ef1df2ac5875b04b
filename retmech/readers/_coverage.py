"""What was recorded of what was shown: times without a recording, presentations that are not whole, spikes in another unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from retmech.errors import RecordingError, note, warn
from retmech.readers._clock import FrameClock, Times

Span = tuple[float, float]

SURE = 50.0  # spikes that are expected in a time without any before it counts as not recorded
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
        """Return this with what lies before the first and after the last spike of all cells, where that is no chance."""
        fired = np.sort(np.concatenate([*spikes, np.empty(0)]))
        if not len(fired):
            return self
        first, last = float(fired[0]), float(fired[-1])
        within = _inside(fired, movies)
        lasted = _overlap(movies, (first, last))
        rate = within / lasted if lasted > 0 else 0.0
        gaps = list(self.gaps)
        before, after = f"no cell fires before {first:.6g} s", f"no cell fires after {last:.6g} s"
        for gap, words in (((-np.inf, first), before), ((last, np.inf), after)):
            expected = rate * _overlap(movies, gap)
            if expected > SURE:
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
            missing = sum(b - a for a, b in movies) - sum(_overlap(movies, span) for span in spans)
            if missing > tolerance * len(movies):
                found[cell] = f"not observed for {missing:.4g} s of the movies"
        return found


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
            raise RecordingError(
                f"{place}: expected one movie at a time, found {after} at {other[0]:.6g} s, before {before} ends at {one[1]:.6g} "
                "s. Frames that are used as a test must not stand in the training movie too."
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


def _inside(times: Times, spans: Sequence[Span]) -> int:
    return int(sum(np.count_nonzero((times >= start) & (times < stop)) for start, stop in spans))


def _overlap(spans: Sequence[Span], other: Span) -> float:
    """Time of some spans that lies within another, s."""
    return float(sum(max(0.0, min(stop, other[1]) - max(start, other[0])) for start, stop in spans))
