"""The frame clock is right to half a frame, or the onsets are refused, whatever became of them on their way into a file."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech.errors import RecordingError
from retmech.readers._clock import FrameClock, frame_clock, frame_period

APART = 16  # frames between two events
ENDS = 20  # frames at either end without one


@dataclass(frozen=True)
class Screen:
    """What became of a movie's frames, and of their onsets."""

    rate: float  # Hz
    n: int
    grid: float = 0.0  # s, of the file
    refresh: float = 0.0  # refreshes of the screen for each frame; 0: as many as frames
    jitter: float = 0.0  # frames, largest
    drift: float = 0.0  # relative change of the rate over the recording
    held: dict[int, int] = field(default_factory=dict)  # frame -> intervals too long
    queued: dict[int, tuple[int, float]] = field(default_factory=dict)  # first frame -> pulses, frames too late
    paused: dict[int, float] = field(default_factory=dict)  # frame -> s
    seed: int = 0

    def onsets(self) -> tuple[np.ndarray, np.ndarray]:
        """When each frame came on, and what was stored, s."""
        stay = np.ones(self.n)
        for frame, more in self.held.items():
            stay[frame] += more
        interval = (1 + self.drift * np.linspace(-0.5, 0.5, self.n)) / self.rate
        length = stay * interval
        for frame, pause in self.paused.items():
            length[frame] += pause
        true = 1.5 + np.concatenate([[0], np.cumsum(length[:-1])])
        if self.refresh:
            screen = self.rate * self.refresh
            true = np.ceil(true * screen - 1e-6) / screen
        stored = true + np.random.default_rng(self.seed).uniform(-self.jitter, self.jitter, self.n) / self.rate
        for first, (pulses, late) in self.queued.items():
            sent = stored[first] + late / self.rate + 4e-4 * np.arange(pulses)
            stored[first : first + pulses] = np.maximum(stored[first : first + pulses], sent)
        stored = np.maximum.accumulate(stored)
        return true, np.round(stored / self.grid) * self.grid if self.grid else stored


@st.composite
def screens(draw: st.DrawFn) -> Screen:
    rate = float(np.exp(draw(st.floats(np.log(20), np.log(500)))))
    n = draw(st.integers(100, 2500))
    events = draw(st.lists(st.sampled_from(["held", "queued", "paused"]), max_size=max(0, (n - 2 * ENDS) // APART)))
    places = ENDS + APART * np.sort(
        np.random.default_rng(draw(st.integers(0, 2**31))).permutation((n - 2 * ENDS) // APART)[: len(events)]
    )
    found: dict[str, dict] = {"held": {}, "queued": {}, "paused": {}}
    for kind, place in zip(events, places.tolist(), strict=True):
        value = {
            "held": st.integers(1, 2),
            "queued": st.tuples(st.integers(1, 4), st.floats(1, 4)),
            "paused": st.floats(0.5, 100),
        }[kind]
        found[kind][place] = draw(value)
    kind = draw(st.sampled_from(["grid", "screen", "jitter"]))
    refresh = draw(st.sampled_from([1.2, 1.25, 4 / 3, 1.5, 2, 2.4, 2.5, 3, 5]))
    if kind == "screen":  # frames are up to 0.4 late by themselves, which nobody can tell from pulses that are late too
        found["queued"] = {}
    if kind == "screen" and refresh < 2:  # nor, in a few seconds, from frames that were held
        found["held"] = {}
    found["held"] = {frame: more for frame, more in found["held"].items() if (1 + more) / rate < 0.2}
    stored = {
        "grid": {"grid": draw(st.floats(1 / 25000, 1e-3)), "jitter": draw(st.floats(0, 0.1))},
        "screen": {"refresh": refresh},
        "jitter": {"jitter": draw(st.floats(0, 0.249))},
    }[kind]
    return Screen(rate, n, drift=draw(st.floats(-5e-4, 5e-4)), seed=draw(st.integers(0, 2**31)), **found, **stored)


def clock_of(stored: np.ndarray) -> FrameClock:
    return frame_clock(stored, frame_period([stored], "here"))


def error(clock: FrameClock, true: np.ndarray) -> float:
    """Largest distance of the clock from the truth, frames."""
    return max(float(np.abs(clock.onset[a:b] - true[a:b]).max()) for a, b in clock.runs) / clock.period


@settings(max_examples=150, deadline=None)
@given(screens())
def test_the_clock_is_never_off_by_more_than_half_a_frame(screen: Screen) -> None:
    true, stored = screen.onsets()
    clock = clock_of(stored)  # none of these is refused
    assert error(clock, true) <= 0.5
    # Nothing is lost but frames at the ends and beside breaks, and time neither comes nor goes.
    assert sum(b - a for a, b in clock.runs) >= screen.n - 4 * (1 + len(screen.paused)) - 2
    assert len(clock.runs) <= 1 + len(screen.paused)
    for start, stop in clock.runs:
        held = sum(more for frame, more in screen.held.items() if start <= frame < stop - 1)
        assert clock.stay[start : stop - 1].sum() == stop - 1 - start + held


@pytest.mark.parametrize(
    ("screen", "rate"),
    [
        (Screen(60, 3600, grid=1e-3), 60),
        (Screen(60000 / 1001, 3600, grid=1e-3), 60000 / 1001),
        (Screen(75, 4500, grid=1e-3), 75),
        (Screen(120, 7200, grid=1e-3), 120),
        (Screen(450, 9000, grid=1e-3), 450),
        (Screen(74.963, 9000, grid=4e-5, jitter=0.004), 74.963),
        (Screen(24, 1440, refresh=2.5), 24),
        (Screen(25, 1500, refresh=2.4), 25),
        (Screen(30, 1800, refresh=2.5), 30),
        (Screen(50, 3000, refresh=1.2), 50),
        (Screen(60, 3600, drift=5e-4), 60),
        (Screen(60, 3600, held={100 * i: 1 for i in range(1, 30)}), 60),
    ],
)
def test_the_rate_is_frames_over_time(screen: Screen, rate: float) -> None:
    _, stored = screen.onsets()
    clock = clock_of(stored)
    assert clock.shown / clock.lasted == pytest.approx(rate, abs=0.5 * rate / screen.n)
    assert (clock.stay > 1).sum() == len(screen.held)
    assert clock.drift == 0 or screen.drift


def test_float32_onsets_late_in_a_session_have_the_rate_of_their_frames() -> None:
    stored = (5000 + np.arange(3600) / 60).astype(np.float32).astype(np.float64)
    clock = clock_of(stored)
    assert clock.shown / clock.lasted == pytest.approx(60, abs=0.5 / 60)
    assert clock.drift == 0


def test_queued_pulses_lose_no_time_and_add_none() -> None:
    """38.6, 1.2 and 0.4 ms for three intervals of 13.3."""
    true = 2 + np.arange(9000) * 0.0134
    stored = true.copy()
    for i in range(1000, 9000, 2000):
        stored[i + 1 : i + 4] = stored[i] + np.array([0.0386, 0.0398, 0.0402])
    clock = clock_of(stored)
    assert clock.runs == ((0, 9000),)
    assert (clock.stay == 1).all()
    assert np.flatnonzero(clock.late).tolist() == [i + k for i in range(1000, 9000, 2000) for k in (1, 2)]
    np.testing.assert_allclose(clock.onset, true, atol=1e-4)


@pytest.mark.parametrize("apart", [1, 2, 3])
def test_frames_between_two_that_were_held_stay_where_they_are(apart: int) -> None:
    true, stored = Screen(
        60, 1200, grid=4e-5, held={frame: 1 for i in range(100, 1100, 100) for frame in (i, i + apart)}
    ).onsets()
    clock = clock_of(stored)
    assert clock.runs == ((0, 1200),)
    assert clock.stay.sum() == 1200 + 20
    np.testing.assert_allclose(clock.onset, true, atol=1e-4)


def test_a_clock_drifts_as_much_as_it_does() -> None:
    true, stored = Screen(100, 20000, drift=4e-4, jitter=0.1).onsets()
    # From the middle of one half to that of the other the interval grows by half of the drift.
    assert clock_of(stored).drift == pytest.approx(-2e-4, rel=0.1)
    assert error(clock_of(stored), true) < 0.1


def test_a_pulse_too_many_ends_a_run() -> None:
    """Nothing says whether it is a pulse too many or a frame that was not shown: what follows may be other frames."""
    stored = np.sort(np.append(np.arange(2000) / 75, 1000.04 / 75))
    clock = clock_of(stored)
    assert len(clock.runs) == 2
    assert abs(clock.runs[0][1] - 1001) <= 1


def test_presentations_share_one_interval() -> None:
    rows = [10 * i + np.round(np.arange(40) / 60, 3) for i in range(12)]
    assert 1 / frame_period(rows, "here") == pytest.approx(60, rel=1e-3)


@pytest.mark.parametrize(
    "stored",
    [
        np.cumsum(np.random.default_rng(0).exponential(0.02, 1000)),  # frames at random times
        np.cumsum(np.random.default_rng(1).integers(5, 16, 1000) / 60),  # each for 5 to 15 refreshes
        np.full(50, 3.0),
    ],
)
def test_onsets_without_a_clock_are_refused(stored: np.ndarray) -> None:
    with pytest.raises(RecordingError, match=r"here: expected .*frames that follow each other"):
        clock_of(stored)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("rate", [24, 60, 75, 120])
def test_frames_dropped_at_random_do_not_make_a_slower_clock(share: float, rate: float) -> None:
    """The rate is right, or there is none: every tenth frame that stays for two is no clock that is ten percent slower."""
    for seed in range(3):
        dropped = np.random.default_rng(seed).random(3000) < share
        stored = 10 + (np.arange(3000) + np.cumsum(dropped)) / rate
        try:
            clock = clock_of(stored)
        except RecordingError:
            assert share >= 0.1
        else:
            assert clock.shown / clock.lasted == pytest.approx(rate, rel=2e-4)
