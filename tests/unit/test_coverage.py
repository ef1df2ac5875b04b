"""What was recorded of what was shown: no time without a recording is read as silence, no other movie as a presentation."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from pynwb.image import ImageSeries

from retmech import cli
from retmech.errors import RecordingError, warnings_heard
from retmech.readers import arrays, nwb, openretina, stanford
from retmech.readers._raw import RawRecording
from retmech.stages.ingest import ingest
from tests import formats
from tests.formats import RATE, Session

CUT = {"history": 200, "guard_gap": 0.2, "validation_fraction": 0.2}
Edit = Callable[[pynwb.NWBFile], None]


@pytest.fixture(scope="module")
def session() -> Session:
    return formats.session()


@pytest.fixture
def folder(session: Session, tmp_path: Path) -> Path:
    return formats.arrays(tmp_path / "plain", session)


def heard(read: Callable[[], RawRecording]) -> tuple[RawRecording, str]:
    with warnings_heard() as warnings:
        raw = read()
    return raw, "\n".join(warnings)


def write_spikes(folder: Path, spikes: dict[str, np.ndarray]) -> None:
    for cell, times in spikes.items():
        np.save(folder / "spikes" / f"{cell}.npy", times)


# Presentations


@pytest.mark.parametrize("frame_rate", [None, 250.0, 50.0])
def test_a_presentation_that_paused_is_left_out(frame_rate: float | None, session: Session, folder: Path, tmp_path: Path) -> None:
    """Spikes of the pause would all fall into one bin."""
    _, test = session.onsets()
    spikes = session.spikes()
    whole = arrays.read(folder, arrays.Config(frame_rate=frame_rate))
    np.save(
        folder / "test_frames.npy",
        late := test + 30 * (np.arange(4)[:, None] > 1) + 30 * ((np.arange(4) == 1)[:, None] & (np.arange(220) > 100)),
    )
    for cell, times in spikes.items():
        moved = times + 30 * (times >= test[1, 101])
        spikes[cell] = np.sort(np.concatenate([moved, np.linspace(test[1, 100] + 0.02, late[1, 101], 300)]))
    write_spikes(folder, spikes)
    raw, said = heard(lambda: arrays.read(folder, arrays.Config(frame_rate=frame_rate)))
    np.testing.assert_allclose(raw.trial_rate, whole.trial_rate[[0, 2, 3]], rtol=1e-5, atol=1e-4)
    assert "paused for 30 s after frame 100" in said
    assert raw.test is not None
    assert raw.test.timing == "1 of 4 presentations are left out"


def test_bins_of_a_frame_that_stayed_in_a_presentation_count_the_time_that_they_cover(session: Session, folder: Path) -> None:
    """A cell that fires 100 times a second does so in a frame that stayed for four."""
    _, test = session.onsets()
    np.save(folder / "test_frames.npy", late := test + 0.03 * (np.arange(220) > 100) + 0.03 * np.arange(4)[:, None])
    write_spikes(folder, {cell: np.arange(0.005, late[-1, -1] + 1, 0.01) for cell in session.cells})
    raw, said = heard(lambda: arrays.read(folder, arrays.Config()))
    np.testing.assert_allclose(raw.trial_rate, 100, rtol=1e-3)
    assert "4 of 880 frames stayed for longer than one" in said


def test_presentations_may_stand_in_any_order_among_training(session: Session, folder: Path) -> None:
    """As in frozen noise: a part that repeats after each part that runs on."""
    train, test = session.onsets()
    order = np.array([2, 0, 3, 1])
    start = np.array([10.0, 20.0, 30.0, 40.0])
    test = start[order][:, None] + np.arange(220) / RATE
    later = np.repeat([0, 5, 12], 300)
    train = 5 + later + np.arange(900) / RATE
    np.save(folder / "train_frames.npy", train)
    np.save(folder / "test_frames.npy", test)
    write_spikes(
        folder,
        {
            cell: np.sort(
                np.concatenate(
                    [formats.spread(train, session.count[i])]
                    + [formats.spread(on, trial[i]) for on, trial in zip(test, session.trials, strict=True)]
                )
            )
            for i, cell in enumerate(session.cells)
        },
    )
    raw, said = heard(lambda: arrays.read(folder, arrays.Config()))
    assert raw.train.runs == (0, 300, 600)
    np.testing.assert_array_equal(raw.train.spike_count, session.count)
    np.testing.assert_allclose(raw.trial_rate.sum(axis=-1), session.trials.sum(axis=-1) * RATE, rtol=2e-3)
    assert said == ""
    assert raw.train.timing == "2 break(s), the first after frame 299"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda train, test: (train, test - 10), "one movie at a time, found the training movie at"),
        (lambda train, test: (train, test[[0, 1, 1, 2]] + np.array([0, 0, 0.5, 0])[:, None]), "one movie at a time"),
        (lambda train, test: (train, np.where(np.arange(220) > 100, np.nan, test)), "a presentation of all frames, found none"),
        (lambda train, test: (train, test.T), "axes are reversed"),
        (lambda train, test: (train, test[:, :1] + 1.25 * (test - test[:, :1])), "expected 100 frames per second"),
    ],
)
def test_presentations_that_cannot_be_are_refused(
    change: Callable[..., tuple[np.ndarray, np.ndarray]], message: str, session: Session, folder: Path
) -> None:
    train, test = change(*session.onsets())
    np.save(folder / "train_frames.npy", train)
    np.save(folder / "test_frames.npy", test)
    with pytest.raises(RecordingError, match=f"test_frames.npy: expected .*{message}|{message}"):
        arrays.read(folder, arrays.Config())


def test_an_aborted_presentation_has_nan_for_what_was_not_shown(session: Session, folder: Path) -> None:
    _, test = session.onsets()
    test[2, 60:] = np.nan
    np.save(folder / "test_frames.npy", test)
    raw, said = heard(lambda: arrays.read(folder, arrays.Config()))
    assert len(raw.trial_rate) == 3
    assert "presentation 3 is left out: it ended after 60 of 220 frames" in said


# NWB


def nwb_file(path: Path, one: Session, **changes: Any) -> Path:
    """A file with a table of trials: its ``rows`` (start, stop, name), its ``column``; ``edit`` adds to the file."""
    file = pynwb.NWBFile("noise", "one", formats.datetime(2020, 1, 1, tzinfo=formats.UTC))
    train, test = one.onsets()
    about = {"unit": "n.a."}
    file.add_stimulus(ImageSeries(name="noise_train", data=one.train.transpose(0, 2, 1), timestamps=train, **about))
    frames = one.test.transpose(0, 2, 1)
    file.add_stimulus(ImageSeries(name="noise_test", data=frames, rate=RATE, starting_time=test[0, 0], **about))
    column = changes.get("column", "stimulus")
    if column:
        file.add_trial_column(column, "movie")
    for start, stop, name in changes.get("rows", presentations(one)):
        file.add_trial(start_time=start, stop_time=stop, **({column: name} if column else {}))
    file.add_unit_column("unit_name", "name")
    observed: dict[str, Any] = changes.get("observed", {})
    for cell, times in one.spikes().items():
        file.add_unit(spike_times=times, unit_name=changes.get("names", {}).get(cell, cell), **observed.get(cell, {}))
    changes.get("edit", lambda _: None)(file)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def presentations(one: Session) -> list[tuple[float, float, str]]:
    return [(on[0], on[-1] + 1 / RATE, "noise_test") for on in one.onsets()[1]]


def read_nwb(path: Path, **settings: Any) -> tuple[RawRecording, str]:
    return heard(lambda: nwb.read(path, nwb.Config(**CUT, **settings), "noise"))


def other_movies(file: pynwb.NWBFile) -> None:
    data = np.zeros((50, 6, 8), np.uint8)
    file.add_stimulus(ImageSeries(name="scene_test", data=data, unit="n.a.", rate=RATE, starting_time=100.0))


def epochs(file: pynwb.NWBFile) -> None:
    for start, stop in ((0.0, 1.0), (1.0, 12.0), (12.0, 24.0)):
        file.add_epoch(start, stop, ["a"])


def test_rows_that_say_which_movie_are_its_presentations(session: Session, tmp_path: Path) -> None:
    rows = [*presentations(session), (0.0, 1.0, "gratings"), (100.0, 102.2, "gratings")]
    for column in ("stimulus", "stimulus_name"):
        raw, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, rows=rows[::-1], column=column), column=column)
        assert len(raw.trial_rate) == 4
        assert said == ""


def test_rows_without_a_movie_count_if_all_are_as_long_as_the_only_one(session: Session, tmp_path: Path) -> None:
    raw, _ = read_nwb(nwb_file(tmp_path / "a.nwb", session, column=None))
    assert len(raw.trial_rate) == 4


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"column": "stimulus_name", "rows": [(1.5, 10.5, "noise_train"), (11.5, 13.7, "noise_test")]}, "rows of 2.2 to 9 s"),
        ({"column": None, "edit": other_movies}, "movies scene_test beside it"),
        ({"column": None, "rows": [], "edit": epochs}, "rows of 1 to 12 s"),
    ],
)
def test_rows_that_do_not_say_which_movie_are_refused(
    changes: dict[str, Any], found: str, session: Session, tmp_path: Path
) -> None:
    with pytest.raises(
        RecordingError, match=rf"expected a column 'stimulus' .*found {found}. Columns: start_time.*ingest.column"
    ):
        read_nwb(nwb_file(tmp_path / "a.nwb", session, **changes))


def test_a_presentation_whose_row_stops_early_is_left_out(session: Session, tmp_path: Path) -> None:
    rows = [(start, stop - 1.5 * (i == 2), name) for i, (start, stop, name) in enumerate(presentations(session))]
    raw, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, rows=rows))
    assert len(raw.trial_rate) == 3
    assert "ended after 70 of 220 frames" in said


def test_a_row_that_stops_when_the_last_frame_comes_on_is_whole(session: Session, tmp_path: Path) -> None:
    """As files have it whose ``stop_time`` is the last of the timestamps."""
    rows = [(start, stop - 1 / RATE, name) for start, stop, name in presentations(session)]
    raw, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, rows=rows))
    assert len(raw.trial_rate) == 4
    assert said == ""


def test_rows_that_are_longer_than_the_movie_are_said(session: Session, tmp_path: Path) -> None:
    """They may begin before the movie does: nothing says when."""
    rows = [(start - 0.05, stop, name) for start, stop, name in presentations(session)]
    _, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, rows=rows))
    assert "last up to 2.25 s, the movie 2.2 s. It is taken to begin with the row." in said


def test_a_table_of_presentations_that_is_not_looked_at_is_said(session: Session, tmp_path: Path) -> None:
    def edit(file: pynwb.NWBFile) -> None:
        table = pynwb.epoch.TimeIntervals(name="shown", description="movies")
        table.add_column("stimulus", "movie")
        for start, stop, name in presentations(session):
            table.add_interval(start_time=start, stop_time=stop, stimulus=name)
        file.add_time_intervals(table)

    path = nwb_file(tmp_path / "a.nwb", session, column=None, rows=[], edit=edit)
    raw, said = read_nwb(path)
    assert len(raw.trial_rate) == 1
    assert "shown has rows of 'noise_test'. Set ingest.repeats to take them." in said
    raw, said = read_nwb(path, repeats="shown")
    assert len(raw.trial_rate) == 4
    assert said == ""


def test_invalid_times_that_stop_before_they_start_are_refused(session: Session, tmp_path: Path) -> None:
    for stop in (2.0, np.nan):
        path = nwb_file(tmp_path / "a.nwb", session, edit=lambda file, stop=stop: file.add_invalid_time_interval(3.5, stop))
        with pytest.raises(RecordingError, match=r"invalid_times: expected start before stop, found 3\.5, "):
            read_nwb(path)


def test_invalid_times_are_no_silence(session: Session, tmp_path: Path) -> None:
    def edit(file: pynwb.NWBFile) -> None:
        file.add_invalid_time_interval(start_time=3.5, stop_time=5.5, tags=["amplifier off"])
        file.add_invalid_time_interval(start_time=14.5, stop_time=15.0, tags=["light leak"])

    raw, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, edit=edit))
    assert raw.train.runs == (0, 200)
    np.testing.assert_array_equal(raw.train.spike_count, np.delete(session.count, np.arange(200, 400), axis=1))
    assert len(raw.trial_rate) == 3
    assert "invalid_times has 3.5 to 5.5 s (amplifier off): that time is left out" in said


def test_a_cell_that_was_observed_in_part_is_left_out_with_that_reason(session: Session, tmp_path: Path) -> None:
    end = 30.0
    observed = {cell: {"obs_intervals": [[0.0, 6.5 if cell == "cell02" else end]]} for cell in session.cells}
    raw, _ = read_nwb(nwb_file(tmp_path / "a.nwb", session, observed=observed))
    assert list(raw.excluded) == ["cell02"]
    tree = ingest({"noise": raw}, nwb.Config(**CUT)).gather()
    assert tree["included"].values.tolist() == [1, 0, 1]
    # 4 s of the training movie, and all presentations
    assert tree["exclusion"].values.tolist()[1] == "noise: not observed for 12.8 s of the movies"


def test_observed_times_that_overlap_count_once(session: Session, tmp_path: Path) -> None:
    observed = {cell: {"obs_intervals": [[0.0, 30.0]] if i else [[0.0, 6.5]] * 9} for i, cell in enumerate(session.cells)}
    raw, _ = read_nwb(nwb_file(tmp_path / "a.nwb", session, observed=observed))
    assert raw.excluded == {"cell01": "not observed for 12.8 s of the movies"}


def test_names_of_nwb_units_get_safe_and_are_kept(session: Session, tmp_path: Path) -> None:
    names = {"cell01": "Zelle 細 1", "cell02": "é/2", "cell03": "é 2"}
    raw, said = read_nwb(nwb_file(tmp_path / "a.nwb", session, names=names))
    assert raw.cells == ["Zelle_1", "e_2", "e_2_2"]
    tree = ingest({"noise": raw}, nwb.Config(**CUT)).gather()
    assert tree["raw_name"].values.tolist() == list(names.values())
    assert "'Zelle 細 1' is Zelle_1" in said


# Spikes and movies


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("ms", 1e3), ("samples at 20 kHz", 2e4), ("samples at 30 kHz", 3e4), ("us", 1e6), ("frames", RATE)],
)
def test_spike_times_in_another_unit_are_refused_with_its_name(unit: str, factor: float, session: Session, folder: Path) -> None:
    write_spikes(folder, {cell: times * factor for cell, times in session.spikes().items()})
    with pytest.raises(RecordingError, match=rf"\d+ of \d+ spikes lie outside the movies' time.*Are the times in {unit}\?"):
        arrays.read(folder, arrays.Config())


def test_spikes_of_a_whole_session_are_no_fault(session: Session, folder: Path) -> None:
    """Other stimuli were shown for ten times as long."""
    rng = np.random.default_rng(0)
    others = {cell: np.concatenate([times, np.sort(rng.uniform(30, 330, 4000))]) for cell, times in session.spikes().items()}
    write_spikes(folder, others)
    raw, said = heard(lambda: arrays.read(folder, arrays.Config()))
    np.testing.assert_array_equal(raw.train.spike_count, session.count)
    assert said == ""


def test_a_recording_that_ended_early_is_no_silence(session: Session, folder: Path) -> None:
    _, test = session.onsets()
    end = test[2, 40]
    write_spikes(folder, {cell: times[times < end] for cell, times in session.spikes().items()})
    raw, said = heard(lambda: arrays.read(folder, arrays.Config()))
    np.testing.assert_allclose(raw.trial_rate.mean(), (session.trials[:2].mean() * RATE), rtol=1e-2)
    assert len(raw.trial_rate) == 2
    assert "no cell fires after 17." in said


def test_a_training_movie_of_which_only_the_beginning_was_recorded_is_refused_without_a_test(
    session: Session, folder: Path
) -> None:
    write_spikes(folder, {cell: times[times < 6] for cell, times in session.spikes().items()})
    with pytest.raises(
        RecordingError, match=r"expected a presentation shown and recorded as a whole, .* no cell fires after 5\.9"
    ):
        arrays.read(folder, arrays.Config())
    raw, said = heard(lambda: arrays.read(folder, arrays.Config(test="last")))
    assert 440 <= raw.train.rate.shape[1] <= 450
    assert "that time counts as not recorded" in said


def test_a_pause_of_the_recording_is_said(session: Session, folder: Path) -> None:
    """No cell fires for three seconds of training, or in one presentation."""
    _, test = session.onsets()
    for start, stop in ((4.0, 7.0), (test[1, 0], test[1, -1])):
        kept = {cell: times[(times < start) | (times > stop)] for cell, times in session.spikes().items()}
        write_spikes(folder, kept)
        _, said = heard(lambda: arrays.read(folder, arrays.Config()))
        found = re.search(r"no cell fires from ([\d.]+) to ([\d.]+) s, .* Was that time recorded\?", said)
        assert found is not None
        np.testing.assert_allclose([float(found[1]), float(found[2])], [start, stop], atol=0.9)


def test_a_cell_that_fires_in_bursts_has_no_silence(session: Session, folder: Path) -> None:
    """Many spikes are expected between two of its bursts, and after the last one."""
    one = formats.session(6000)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        bursts = np.cumsum(rng.uniform(1, 7, 30))
        times = np.sort((bursts[:, None] + 0.01 * np.arange(25)).ravel())
        formats.arrays(folder, one)
        write_spikes(folder, dict.fromkeys(one.cells, times))
        _, said = heard(lambda: arrays.read(folder, arrays.Config(test="last")))
        assert "no cell fires" not in said


def test_spikes_that_were_read_twice_are_said(session: Session, folder: Path) -> None:
    spikes = session.spikes()
    write_spikes(folder, spikes | {"cell02": np.repeat(spikes["cell02"], 2)})
    _, said = heard(lambda: arrays.read(folder, arrays.Config()))
    n = len(spikes["cell02"])
    assert f"cell02: {n} of {2 * n} spikes come at the time of the one before them" in said


def test_presentations_too_short_to_have_a_rate_have_that_of_training(session: Session, folder: Path) -> None:
    """In whole milliseconds five frames of 60 Hz last 0.084 s or 0.083."""
    frames = np.arange(900) / 60
    np.save(folder / "train_frames.npy", 1.5 + frames)
    np.save(folder / "test_movie.npy", session.test[:5])
    np.save(folder / "test_frames.npy", np.round(20 + np.arange(30)[:, None] + frames[:5], 3))
    write_spikes(folder, dict.fromkeys(session.cells, np.arange(1.5, 50, 0.05)))
    raw, _ = heard(lambda: arrays.read(folder, arrays.Config()))
    assert raw.frame_rate == pytest.approx(60)
    assert raw.trial_rate.shape == (30, 3, 5)
    assert raw.test is not None
    np.testing.assert_array_equal(raw.test.stimulus.frames(0, 5), session.test[:5])


@pytest.mark.parametrize("reader", ["stanford", "openretina"])
def test_counts_that_end_early_are_said(reader: str, tmp_path: Path) -> None:
    one = formats.session(2000)
    one.count[:, 1500:] = 0
    if reader == "stanford":
        settings = stanford.Config(blocks=1, skip=0, check_lag=False, **CUT)
        raw = stanford.read(formats.stanford(tmp_path / "noise.h5", one), settings)
    else:
        settings = openretina.Config(frame_rate=RATE, responses="count", train=["a", "b"], **CUT)
        raw = openretina.read(formats.openretina(tmp_path / "session.h5", one), settings)
    with warnings_heard() as warnings:
        ingest({"noise": raw}, settings)
    assert any("noise, training: no cell fires after 15 of 20 s" in said for said in warnings)


def test_a_cell_that_was_lost_is_said(session: Session, folder: Path) -> None:
    one = formats.session(2000)
    one.count[1, 1000:] = 0
    raw = arrays.read(formats.arrays(folder, one), arrays.Config())
    with warnings_heard() as warnings:
        ingest({"noise": raw}, arrays.Config(**CUT))
    assert any("noise, training: cell02 does not fire after" in said and "Was it lost?" in said for said in warnings)
    one.count[1] = one.count[1, ::-1]
    raw = arrays.read(formats.arrays(folder, one), arrays.Config())
    with warnings_heard() as warnings:
        ingest({"noise": raw}, arrays.Config(**CUT))
    assert any("noise, training: cell02 does not fire before" in said for said in warnings)


def test_onsets_that_are_numbers_of_frames_are_said(session: Session, folder: Path) -> None:
    np.save(folder / "train_frames.npy", np.arange(900))
    np.save(folder / "test_frames.npy", 1000 + 300 * np.arange(4)[:, None] + np.arange(220))
    write_spikes(folder, {cell: times * RATE for cell, times in session.spikes().items()})
    _, said = heard(lambda: arrays.read(folder, arrays.Config()))
    assert "onsets rise by exactly 1 s. Are they times, or numbers of frames?" in said


# Validation says it


def test_strict_validation_fails_on_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = formats.session(3000)
    folder = formats.arrays(tmp_path / "plain", one)
    assert cli.main(["validate", "--strict", str(folder)]) == 0
    train, test = one.onsets()
    np.save(folder / "train_frames.npy", train + 0.01 * (np.arange(3000) > 500))
    np.save(folder / "test_frames.npy", test + 0.01)
    assert cli.main(["validate", str(folder)]) == 0
    assert "with 1 warning(s)" in capsys.readouterr().out
    assert cli.main(["validate", "--strict", str(folder)]) == 1
    assert "1 of 3000 frames stayed for longer than one" in capsys.readouterr().err
