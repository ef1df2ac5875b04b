"""When each frame of a movie was on the screen, from pulses or onsets as they were stored.

Stored onsets lie. They stand on the grid of a file (whole milliseconds, float32) or of a screen (24 frames/s on a 60 Hz screen),
pulses are late and queued, frames are dropped or held, the movie pauses, clocks drift. The frame clock is the simplest account of
them: frames that follow each other at one slowly drifting rate, with as few jumps as explain the onsets. A jump is a frame
that stayed longer than the others; a pulse that is late while its followers are not is no jump, and loses no time.

The frame rate is the number of frames over the time that they took, not a median of intervals: at 60 Hz and in whole milliseconds
the median interval is 17 ms, which would be 59 Hz.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.signal import find_peaks

from retmech.errors import RecordingError

Times = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

BREAK = 0.25  #: s; a frame that stayed longer ends a run: what was on the screen meanwhile is not known

HALF = 0.5  # frame: an onset that is farther from the clock is none of its
TRUSTED = 0.4  # frame: an onset that is nearer is taken as it stands
REACH = 12  # frames before and after one whose onsets may be those of its level; longer queues end a run
# What an account of the onsets costs, in onsets that are off the clock by more than half a frame.
JUMP = 2.5  # two late frames are late; three that stay late are a jump
WANDER = 4.0  # a change of the level, per frame, up to the cost of a jump
SCATTER = 0.5  # an onset's distance from the level, per frame

SMOOTH = 32  # onsets over which scatter is averaged
LINE = 8  # onsets that a line is laid through
WHOLE = 0.2  # frames; a jump nearer to a whole number of frames is one
SAMPLE = 1500  # onsets by which rates are judged
WINDOW = 64  # onsets over which coherence is taken
LEAST = 3  # onsets of a run
NO_CLOCK = 0.5  # cost for each onset above which there is none
SPREAD = 0.3  # frames; onsets at random times scatter as much around any clock
BROKEN = 0.02  # breaks for each frame, likewise, if they are more than ten


@dataclass(frozen=True)
class FrameClock:
    """The clock of one presentation of a movie.

    Attributes
    ----------
    onset : (frame,)
        As stored where that is near the clock, else the clock's, s.
    even : (frame,)
        The clock's, s.
    stay : (frame,)
        Frame intervals for which each frame stayed: 1, or more for one that was held.
    runs
        First frame of each run without a break, and the one after its last. Frames in none of them have no sure time.
    period
        Frame interval, s.
    late : (frame,)
        Whether a stored onset was more than half a frame late or early, and was set right.
    scatter
        Standard deviation of the other onsets around the clock, frames.
    """

    onset: Times
    even: Times
    stay: Index
    runs: tuple[tuple[int, int], ...]
    period: float
    late: Flags
    scatter: float

    @property
    def shown(self) -> int:
        """Frame intervals in all runs."""
        return int(sum(self.stay[start:stop].sum() for start, stop in self.runs))

    @property
    def lasted(self) -> float:
        """Time of all runs by the clock, s."""
        return sum(float(self.even[stop - 1] - self.even[start]) + self.period for start, stop in self.runs)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """When each run begins and ends, s."""
        return [(float(self.onset[start]), float(self.ends[stop - 1])) for start, stop in self.runs]

    @property
    def ends(self) -> Times:
        """When each frame (frame,) left the screen, s."""
        ends = np.append(self.onset[1:], np.inf)
        for _, stop in self.runs:
            ends[stop - 1] = self.onset[stop - 1] + self.period
        return ends

    @property
    def drift(self) -> float:
        """Relative change of the rate from the first half to the second; 0 if it moves no frame by more than one."""
        inner = np.concatenate([np.arange(start, stop - 1) for start, stop in self.runs])
        steps = np.diff(self.even)
        halves = [(self.stay[half].sum(), steps[half].sum()) for half in np.array_split(inner, 2)]
        (shown, lasted), (shown_later, lasted_later) = halves
        if not shown_later:
            return 0.0
        change = float(shown_later / lasted_later * lasted / shown - 1)
        return change if abs(change) * shown_later > 1 else 0.0


def frame_period(presentations: Sequence[Times], place: str) -> float:
    """Return the frame interval that presentations of one movie share, s.

    Parameters
    ----------
    presentations
        Stored onsets (frame,) of each, s, which do not decrease.

    Raises
    ------
    RecordingError
        If the onsets follow no clock.
    """
    samples = _samples(presentations)
    costs = {period: _cost(samples, period) for period in _candidates(samples)}
    best = min(costs, key=lambda period: costs[period], default=0.0)
    clocks = [frame_clock(onsets, best) for onsets in samples] if best else []
    frames, broken = sum(map(len, samples)), sum(len(clock.runs) for clock in clocks) - len(clocks)
    scatter = max((clock.scatter for clock in clocks), default=0.0)
    if not best or costs[best] > NO_CLOCK or scatter > SPREAD or broken > max(BROKEN * frames, 10):
        raise RecordingError(
            f"{place}: expected frames that follow each other at one rate, found onsets at uneven times. If frames stayed for "
            "times of their own, repeat each in the movie for every refresh of the screen, and give the onset of each."
        )
    return sum(clock.lasted for clock in clocks) / sum(clock.shown for clock in clocks)


def frame_clock(onsets: Times, period: float) -> FrameClock:
    """Return the clock of one presentation.

    Parameters
    ----------
    onsets : (frame,)
        As they were stored, s; they do not decrease.
    period
        Frame interval to about a percent, s.
    """
    offset = onsets / period - np.arange(len(onsets))
    even = _smooth(offset, np.ones(len(offset), bool))
    clean = np.abs(offset - even).max() <= HALF / 2  # most are, and need no search for jumps
    level = even if clean else _levels(offset)[0]
    near = np.abs(offset - level) <= HALF
    spans, jumps = _runs(offset, level, near, period)
    onset, even = onsets.copy(), onsets.copy()
    residual, stay = np.full(len(onsets), np.nan), np.ones(len(onsets), np.int64)
    for start, stop in spans:
        run = slice(start, stop)
        moved = np.cumsum(jumps[run]) - jumps[start]
        smooth = _smooth(offset[run] - moved, near[run])
        even[run] = (np.arange(start, stop) + moved + smooth) * period
        off = np.minimum(np.abs(onsets[run] - even[run]) / period, np.abs(offset[run] - level[run]))
        trusted = (off <= TRUSTED) | _between(offset[run], level[run], near[run])
        onset[run] = np.where(trusted, onsets[run], even[run])
        stay[run] = 1 + np.diff(np.rint(moved), append=np.rint(moved[-1])).astype(np.int64)
        residual[run] = np.where(near[run], offset[run] - moved - smooth, np.nan)
    known = residual[np.isfinite(residual)]
    late = (onset != onsets) & ~near & _inside(spans, len(onsets))
    return FrameClock(onset, even, stay, spans, period, late, float(known.std()) if len(known) else 0.0)


def _runs(offset: Times, level: Times, near: Flags, period: float) -> tuple[tuple[tuple[int, int], ...], Times]:
    """Runs without a break, and by how many intervals the frame before each onset stayed too long."""
    n = len(offset)
    jumps, breaks = np.zeros(n), [0]
    edges = [0, *(np.flatnonzero(np.abs(np.diff(level)) >= HALF) + 1).tolist(), n]
    for start, at, stop in zip(edges, edges[1:], edges[2:], strict=False):
        before, after = (offset[a:b][near[a:b]] for a, b in ((start, at), (at, stop)))
        jump = float(np.median(after[: 2 * SMOOTH]) - np.median(before[-2 * SMOOTH :])) if len(before) and len(after) else np.inf
        jump = round(jump) if np.isfinite(jump) and abs(jump - round(jump)) < WHOLE else jump
        if jump < 0 or (1 + jump) * period > max(BREAK, 1.5 * period) or _unsure(offset, level, near, at):
            breaks.append(at)
        else:
            jumps[at] = jump
    spans: list[tuple[int, int]] = []
    for start, stop in zip(breaks, [*breaks[1:], n], strict=True):
        inside = start + np.flatnonzero(near[start:stop])  # at its ends nothing says whether a frame was late or held
        if len(inside) and inside[-1] - inside[0] + 1 >= min(n, LEAST):
            spans.append((int(inside[0]), int(inside[-1]) + 1))
    return _apart(spans, offset), jumps


def _between(offset: Times, level: Times, near: Flags) -> Flags:
    """Whether onsets lie between the levels before and after a jump: they are of frames between two that were held."""
    index = np.arange(len(offset))
    before = np.maximum.accumulate(np.where(near, index, 0))
    after = np.minimum.accumulate(np.where(near, index, len(index) - 1)[::-1])[::-1]
    return np.asarray(~near & (offset >= level[before]) & (offset <= level[after]))


def _unsure(offset: Times, level: Times, near: Flags, at: int) -> bool:
    """Whether onsets beside a jump are far from its levels and not between them: they may belong to either."""
    first, last = at, at
    while first > 0 and not near[first - 1]:
        first -= 1
    while last < len(near) and not near[last]:
        last += 1
    beside, (low, high) = offset[first:last], sorted(level[at - 1 : at + 1])
    return bool(((beside < low - 1) | (beside > high + 1)).any())


def _apart(spans: list[tuple[int, int]], offset: Times) -> tuple[tuple[int, int], ...]:
    """Runs of which none begins before the one before it has ended."""
    found: list[tuple[int, int]] = []
    for start, stop in spans:
        if found:
            first, last = found[-1]
            early = (
                np.arange(first, last) + np.median(offset[max(first, last - SMOOTH) : last]) <= start + offset[start] - 1 + HALF
            )
            found[-1] = (first, first + int(np.count_nonzero(early)))
        found.append((start, stop))
    return tuple((start, stop) for start, stop in found if stop - start >= min(LEAST, len(offset)))


def _smooth(offset: Times, near: Flags) -> Times:
    """The slow part of offsets without jumps: means over :data:`SMOOTH` onsets, joined by lines."""
    at, values = np.flatnonzero(near), offset[near]
    if len(at) < 2 * SMOOTH:
        return np.polynomial.Polynomial.fit(at, values, int(len(at) >= LINE))(np.arange(len(offset)))
    parts = np.array_split(np.arange(len(at)), len(at) // SMOOTH)
    x, y = (np.array([v[part].mean() for part in parts]) for v in (at, values))
    smooth = np.interp(np.arange(len(offset)), x, y)
    for side, inner, outer in ((slice(0, int(x[0])), 1, 0), (slice(int(x[-1]) + 1, None), -2, -1)):
        slope = (y[outer] - y[inner]) / (x[outer] - x[inner])
        smooth[side] = y[outer] + slope * (np.arange(len(offset))[side] - x[outer])
    return smooth


def _inside(spans: Sequence[tuple[int, int]], n: int) -> Flags:
    inside = np.zeros(n, bool)
    for start, stop in spans:
        inside[start:stop] = True
    return inside


def _samples(presentations: Sequence[Times]) -> list[Times]:
    """Stretches of onsets from beginning, middle and end."""
    found = []
    for onsets in presentations[:: max(1, len(presentations) // 8)]:
        starts = {0, (len(onsets) - SAMPLE) // 2, len(onsets) - SAMPLE} if len(onsets) > SAMPLE else {0}
        found += [onsets[start : start + SAMPLE] for start in sorted(starts)]
    return found


def _cost(samples: Sequence[Times], period: float) -> float:
    """Cost of a frame interval, for each onset."""
    return sum(_levels(s / period - np.arange(len(s)))[1] for s in samples) / sum(map(len, samples))


def _candidates(samples: Sequence[Times]) -> list[float]:
    """Frame intervals that may be the true one, s: means over some frames, and those at which onsets are coherent."""
    steps = np.concatenate([np.diff(s) for s in samples])
    if not (steps > 0).any():
        return []
    usual = float(np.median(steps[steps > 0]))
    found = []
    for n in 2 ** np.arange(8):
        means = np.concatenate([(s[n:] - s[:-n]) / n for s in samples])
        if (means < 2 * usual).any():
            found += [np.median(means), np.quantile(means, 0.25), np.mean(means[means < 2 * usual])]
    frequency = np.arange(0.5, 2.0, 1 / (8 * WINDOW)) / usual
    windows = [s[start : start + WINDOW] for s in samples for start in range(0, max(1, len(s) - WINDOW + 1), WINDOW)]
    coherence = np.mean([np.abs(np.exp(2j * np.pi * np.outer(frequency, w - w[0])).mean(axis=1)) ** 2 for w in windows], axis=0)
    peaks = find_peaks(coherence)[0]
    found += list(1 / frequency[peaks[np.argsort(-coherence[peaks])][:6]])
    return list({round(np.log(period), 3): float(period) for period in found if period > 0}.values())  # to a tenth of a percent


@njit(cache=True, nogil=True)
def _levels(offset: Times) -> tuple[Times, float]:
    """Explain offsets (frame,) by levels that are constant but for few jumps, at the least cost.

    Viterbi's algorithm: the level at a frame is the offset of a frame at most :data:`REACH` from it.
    """
    n, k = len(offset), 2 * REACH + 1
    cost, best, source = np.full(k, np.inf), np.empty(k), np.zeros((n, k), np.int8)
    for i in range(n):
        for j in range(k):
            best[j] = np.inf
            at = i - REACH + j
            if at < 0 or at >= n:
                continue
            if i == 0:
                best[j] = 0.0
            for p in range(k):
                if i > 0 and cost[p] < np.inf:
                    change = cost[p] + min(JUMP, WANDER * abs(offset[at] - offset[i - 1 - REACH + p]))
                    if change < best[j]:
                        best[j], source[i, j] = change, p
            away = abs(offset[i] - offset[at])
            best[j] += SCATTER * away if away <= HALF else 1 + 0.02 * min(away, 8.0)
        cost[:] = best
    j, level = int(np.argmin(cost)), np.empty(n)
    total = cost[j]
    for i in range(n - 1, -1, -1):
        level[i] = offset[i - REACH + j]
        j = source[i, j]
    return level, total
