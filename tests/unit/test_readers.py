"""Every format gives the same recording; measured times, hostile files and shifted responses are handled as the docs say."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import av
import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech import registry
from retmech.errors import RecordingError
from retmech.readers import arrays, nwb, openretina, phy, stanford
from retmech.readers._clock import frame_clock
from retmech.readers._files import movie
from retmech.readers._raw import RawRecording, problems
from retmech.readers._timing import bins_of, counted, ordered
from retmech.stages.ingest import ingest
from tests import formats
from tests.formats import RATE, Session

CUT = {"history": 200, "skip": 0.2, "guard_gap": 0.1, "validation_fraction": 0.2}
READ = {
    "stanford": lambda f, s: stanford.read(formats.stanford(f / "noise.h5", s), stanford.Config(blocks=1, **CUT)),
    "openretina": lambda f, s: openretina.read(
        formats.openretina(f / "session.h5", s), openretina.Config(frame_rate=RATE, responses="count", **CUT)
    ),
    "openretina, movies inside": lambda f, s: openretina.read(
        formats.openretina(f / "session.h5", s, inside=True), openretina.Config(frame_rate=RATE, responses="count", **CUT)
    ),
    "arrays": lambda f, s: arrays.read(formats.arrays(f / "plain", s), arrays.Config(**CUT)),
    "arrays, text": lambda f, s: arrays.read(formats.arrays(f / "text", s, text=True), arrays.Config(**CUT)),
    "phy": lambda f, s: phy.read(formats.phy(f / "sorted", s), phy.Config(**CUT)),
    "nwb": lambda f, s: nwb.read(formats.nwb(f / "session.nwb", s), nwb.Config(**CUT), "noise"),
    "nwb, index": lambda f, s: nwb.read(formats.nwb(f / "index.nwb", s, index=True), nwb.Config(**CUT), "noise"),
}


@pytest.fixture(scope="module")
def session() -> Session:
    return formats.session()


@pytest.mark.parametrize("form", READ)
def test_a_round_trip_through_every_format_gives_the_same_recording(form: str, session: Session, tmp_path: Path) -> None:
    raw = READ[form](tmp_path, session)
    assert raw.frame_rate == pytest.approx(RATE, rel=1e-6)
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, len(session.train)), session.train)
    np.testing.assert_array_equal(raw.test.stimulus.frames(0, len(session.test)), session.test)
    np.testing.assert_array_equal(raw.train.spike_count, session.count)
    # Runs that openretina's session consists of are two; nothing else of the recording differs.
    expected, found = (
        recording(r) for r in (READ["stanford"](tmp_path / "other", session), replace(raw, train=replace(raw.train, runs=(0,))))
    )
    for path in ("noise/train", "noise/validation", "noise/test"):
        one, other = (tree[path].to_dataset(inherit=False) for tree in (expected, found))
        # Rates are over the time that bins take: the pulses of some formats jitter.
        xr.testing.assert_allclose(one.drop_attrs(), other.drop_attrs(), rtol=3e-3)
    np.testing.assert_allclose(expected["receptive_field"], found["receptive_field"], rtol=3e-3, atol=1e-3)


def recording(raw: RawRecording, **changes: object) -> xr.DataTree:
    return ingest({"noise": replace(raw, cells=["a", "b", "c"])}, stanford.Config(blocks=1, **{**CUT, **changes})).gather()


def test_runs_that_a_format_has_do_not_share_windows(session: Session, tmp_path: Path) -> None:
    tree = ingest({"noise": READ["openretina"](tmp_path, session)}, openretina.Config(frame_rate=RATE, **CUT)).gather()
    train = tree["noise/train"].to_dataset()
    assert np.unique(train["segment"]).tolist() == [0, 1]
    assert float(train["time"][train["segment"] == 1][0]) == pytest.approx(len(session.train) // 2 / RATE + 0.2)


def test_rates_without_spikes_are_a_recording_too(session: Session, tmp_path: Path) -> None:
    path = formats.openretina(tmp_path / "session.h5", session)
    with h5py.File(path, "a") as file:
        del file["trials_test"]
    raw = openretina.read(path, openretina.Config(frame_rate=RATE))
    np.testing.assert_allclose(raw.train.rate, session.count)
    tree = recording(replace(raw, train=replace(raw.train, runs=(0,))))
    assert "spike_count" not in tree["noise/train"]
    assert np.isnan(tree["noise/test/noise_ceiling"]).all()


def test_openretinas_own_loader_gives_the_same_arrays(raw_files: dict[str, Path], tmp_path: Path) -> None:
    """Of the file that `simulate` writes; openretina comes from the package registry, beside this environment."""
    folder = tmp_path / "neural_code_data/ganglion_cell_data/15-10-07"
    folder.mkdir(parents=True)
    for name, path in raw_files.items():
        shutil.copy(path, folder / f"{name}.h5")
    out = tmp_path / "arrays.npz"
    program = f"""
from benchmarks import peers
peers.install("openretina")
peers.use("openretina")
import numpy as np
from openretina.data_io.maheswaranathan_2023.responses import load_all_responses
from openretina.data_io.maheswaranathan_2023.stimuli import load_all_stimuli
base = {str(tmp_path / "neural_code_data")!r}
r = load_all_responses(base, "firing_rate_10ms", "naturalscene")["15-10-07"]
s = load_all_stimuli(base, "naturalscene", normalize_stimuli=False)["15-10-07"]
np.savez({str(out)!r}, train=r.train, test=r.test_response, trials=r.get_test_by_trial(), movie=s.train[0], shown=s.test_movie[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    if "peers.install" in done.stderr and "pip" in done.stderr:
        pytest.skip("openretina cannot be installed here")
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = np.load(out)
    ours = stanford.read(raw_files["naturalscene"], stanford.Config())
    np.testing.assert_array_equal(theirs["train"].astype(np.float32), ours.train.rate)
    np.testing.assert_array_equal(theirs["test"].astype(np.float32), ours.test.rate)
    np.testing.assert_array_equal(theirs["movie"], ours.train.stimulus.frames(0, len(ours.train.stimulus)))
    np.testing.assert_array_equal(theirs["shown"], ours.test.stimulus.frames(0, len(ours.test.stimulus)))
    # openretina leaves counts as counts; the reader smooths them, so sums over time stay.
    np.testing.assert_allclose(theirs["trials"].sum(axis=-1) * 100, ours.trial_rate.sum(axis=-1), rtol=1e-3)


def test_openretinas_own_reader_takes_our_openretina_files(session: Session, tmp_path: Path) -> None:
    formats.openretina(tmp_path / "data/session.h5", session)
    out = tmp_path / "arrays.npz"
    program = f"""
from benchmarks import peers
peers.install("openretina")
peers.use("openretina")
import numpy as np
from openretina.data_io.h5_dataset_reader import load_responses, load_stimuli
base = {str(tmp_path / "data")!r}
r, s = load_responses(base, ["test"])["session"], load_stimuli(base, ["test"], [1, 8, 6], 0.0, 1.0)["session"]
np.savez({str(out)!r}, train=r.train, test=r.test_response, movie=s.train[0], shown=s.test_movie[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    if "peers.install" in done.stderr and "pip" in done.stderr:
        pytest.skip("openretina cannot be installed here")
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = np.load(out)
    raw = openretina.read(tmp_path / "data/session.h5", openretina.Config(frame_rate=RATE))
    np.testing.assert_array_equal(theirs["train"], raw.train.rate)
    np.testing.assert_array_equal(theirs["movie"], raw.train.stimulus.frames(0, len(session.train)))
    np.testing.assert_array_equal(theirs["shown"], raw.test.stimulus.frames(0, len(session.test)))


@pytest.mark.parametrize("index", [False, True])
def test_nwb_files_pass_the_inspector(index: bool, session: Session, tmp_path: Path) -> None:
    from nwbinspector import Importance, inspect_nwbfile

    path = formats.nwb(tmp_path / "session.nwb", session, index)
    serious = [
        m for m in inspect_nwbfile(nwbfile_path=str(path)) if m.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value
    ]
    assert [f"{m.check_function_name}: {m.message}" for m in serious] == []


@pytest.mark.parametrize("suffix", [".npy", ".mp4"])
def test_movies_are_read_in_pieces_in_any_order(suffix: str, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, 16, 32), np.uint8)
    frames = np.repeat(np.repeat(frames[:, ::8, ::8], 8, 1), 8, 2)  # a video codec keeps large squares
    path = tmp_path / f"movie{suffix}"
    if suffix == ".npy":
        np.save(path, frames)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("h264", rate=100, options={"crf": "0"})
            stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, 2), format="rgb24")))
            container.mux(stream.encode())
    found = movie(path)
    assert found.shape == frames.shape
    for start, stop in ((0, 7), (7, 40), (3, 5)):
        np.testing.assert_allclose(
            found.frames(start, stop).astype(float), frames[start:stop], atol=0 if suffix == ".npy" else 24
        )


def test_dropped_frames_are_held_and_said(session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame that stayed for three intervals is three frames, with the spikes of each."""
    train, _ = session.onsets()
    late = train + np.where(np.arange(len(train)) > 300, 2 / RATE, 0)
    folder = formats.arrays(tmp_path / "plain", session)
    np.save(folder / "train_frames.npy", late)
    raw = arrays.read(folder, arrays.Config())
    frames = raw.train.stimulus.frames(0, len(raw.train.stimulus))
    index = np.concatenate([np.arange(301), [300, 300], np.arange(301, len(train))])
    np.testing.assert_array_equal(frames, session.train[index])
    times = session.spikes()["cell01"]
    edges = formats.START + np.arange(len(index) + 1) / RATE
    np.testing.assert_array_equal(raw.train.spike_count[0], np.histogram(times, edges)[0])
    assert "1 of 900 frames stayed for longer than one" in capsys.readouterr().err
    assert "1 of 900 frames" in raw.train.timing


def paused(folder: Path, session: Session) -> np.ndarray:
    """Write onsets of a training movie that paused for 7 s after frame 499, and of all that follows, and return the former."""
    train, test = session.onsets()
    np.save(folder / "train_frames.npy", late := train + np.where(np.arange(len(train)) >= 500, 7.0, 0))
    np.save(folder / "test_frames.npy", test + 7)
    return late


def test_a_break_ends_a_run(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    paused(folder, session)
    raw = arrays.read(folder, arrays.Config())
    assert raw.train.runs == (0, 500)
    assert len(raw.train.stimulus) == 900


def test_a_drifting_clock_moves_bins_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a minute a bin of the nominal clock would be off by five frames."""
    session = formats.session(6000)
    train, _ = session.onsets()
    stretched = formats.START + (train - formats.START) * (1 + 8e-4 * np.linspace(0, 1, len(train)))
    folder = formats.arrays(tmp_path / "plain", session)
    np.save(folder / "train_frames.npy", stretched)
    for i, cell in enumerate(session.cells):
        width = np.diff(stretched, append=stretched[-1] + 1 / RATE)
        index = np.repeat(np.arange(len(train)), session.count[i])
        times = np.concatenate([stretched[index] + 0.3 * width[index], session.spikes()[cell][session.count[i].sum() :]])
        np.save(folder / "spikes" / f"{cell}.npy", np.sort(times))
    raw = arrays.read(folder, arrays.Config())
    np.testing.assert_array_equal(raw.train.spike_count, session.count)
    assert "drifts by" in capsys.readouterr().err


def test_a_movie_at_another_rate_is_brought_to_the_models(session: Session, tmp_path: Path) -> None:
    raw = arrays.read(formats.arrays(tmp_path / "plain", session), arrays.Config(frame_rate=50))
    assert raw.frame_rate == 50
    assert len(raw.train.stimulus) == 450
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, 450), session.train[1::2])
    np.testing.assert_array_equal(raw.train.spike_count, session.count.reshape(3, -1, 2).sum(axis=2))
    assert raw.trial_rate.shape == (4, 3, 110)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 60]), min_size=3, max_size=12),
    st.sampled_from([1.0, 0.5, 2.0, 0.7]),
    st.integers(0, 2**31 - 1),
)
def test_bins_cover_what_was_shown_once(stays: list[int], ratio: float, seed: int) -> None:
    """Whatever was dropped: bins of a run touch each other, and every spike outside breaks is counted once."""
    stays = [stay for event in stays for stay in (1, 1, 1, 1, 1, 1, 1, 1, event)] + [1] * 8
    onsets = 5 + np.concatenate([[0], np.cumsum(stays[:-1])]) / RATE
    bins = bins_of(frame_clock(onsets, 1 / RATE), ratio)
    assert (bins.edges[:, 0] < bins.edges[:, 1]).all()
    assert (np.diff(bins.frame) >= 0).all()
    inner = np.setdiff1d(np.arange(1, len(bins.edges)), bins.runs)
    np.testing.assert_allclose(bins.edges[inner, 0], bins.edges[inner - 1, 1], atol=1e-9)
    times = np.sort(np.random.default_rng(seed).uniform(4, onsets[-1] + 2, 200))
    shown = np.zeros(len(times), bool)
    for start, stop in zip(bins.runs, [*bins.runs[1:], len(bins.edges)], strict=True):
        shown |= (times >= bins.edges[start, 0]) & (times < bins.edges[stop - 1, 1])
    assert counted([times], bins.edges).sum() == np.count_nonzero(shown)
    assert len(bins.runs) == 1 + sum(stay == 60 for stay in stays[:-1])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1.0, np.nan], "1 NaN or infinite"),
        ([-0.5, 1.0], "from 0 s on, found -0.5 s"),
        ([2.0, 1.0], "in order, found 1 s after 2 s"),
        ([[1.0, 2.0], [3.0, 4.0]], "a list of times"),
    ],
)
def test_times_that_cannot_be_are_refused(times: list[float], message: str) -> None:
    with pytest.raises(RecordingError, match=f"here: expected .*{message}"):
        ordered(np.array(times), "here")


def shifted(path: Path, bins: int, *names: str) -> Path:
    with h5py.File(path, "a") as file:
        for name in names:
            file[name][...] = np.roll(file[name][...], bins, axis=-1)
    return path


@pytest.mark.parametrize("bins", [-1, 1])
def test_counts_in_other_bins_than_the_spikes_are_refused(bins: int, session: Session, tmp_path: Path) -> None:
    path = shifted(formats.stanford(tmp_path / "noise.h5", session), bins, "train/response/binned")
    side = "late" if bins > 0 else "early"
    with pytest.raises(RecordingError, match=rf"train/response/binned: expected the counts .* found them 1 bin\(s\) {side}"):
        stanford.read(path, stanford.Config())
    stanford.read(path, stanford.Config(check_lag=False))


@pytest.mark.parametrize("bins", [-1, 1])
def test_a_test_movie_whose_responses_are_shifted_is_refused(bins: int, tmp_path: Path) -> None:
    session = formats.session(6000, 2000)
    path = formats.stanford(tmp_path / "noise.h5", session)
    right = recording(stanford.read(path, stanford.Config()))
    assert float(right["noise"]["response_shift"].sel(part="test")) == 0
    repeats = [f"test/repeats/{cell}" for cell in session.cells]
    raw = stanford.read(shifted(path, bins, "test/response/binned", *repeats), stanford.Config())
    with pytest.raises(RecordingError, match=f"noise: the responses to the test movie are {'[+]' if bins > 0 else ''}{bins} bin"):
        recording(raw)
    found = recording(raw, check_lag=False)
    assert float(found["noise"]["response_shift"].sel(part="test")) == bins


def test_each_reader_has_settings_and_says_so() -> None:
    for name in registry.names("reader"):
        module = registry.load("reader", name)
        assert module.Config().reader == name
        assert module.Config.__doc__


def test_the_reader_of_the_guide_is_a_reader(session: Session, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    code = guide.split("`retmech/readers/npz.py`:\n\n```python\n")[1].split("```")[0]
    module = ModuleType("npz")
    sys.modules["npz"] = module  # pydantic looks types up there
    exec(code, module.__dict__)
    arrays = {"frame_rate": RATE, "train_movie": session.train, "test_movie": session.test, "train_count": session.count}
    np.savez(tmp_path / "noise.npz", **arrays, trial_count=session.trials)
    expected, found = (
        recording(raw) for raw in (READ["stanford"](tmp_path, session), module.read(tmp_path / "noise.npz", module.Config()))
    )
    xr.testing.assert_allclose(expected["noise/train"].to_dataset(), found["noise/train"].to_dataset())
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(RecordingError, match="cannot be read as a NumPy archive"):
        module.read(tmp_path / "bad.npz", module.Config())


def test_the_raw_file_of_the_guide_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs/recordings.md").read_text()
    code = guide.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    raw = stanford.read(tmp_path / "whitenoise.h5", stanford.Config())
    assert raw.frame_rate == 60
    assert raw.trial_rate.shape == (10, 3, 1200)


def test_classes_on_one_measured_clock_are_one_recording(session: Session, tmp_path: Path) -> None:
    """Their median intervals differ in the last digits."""
    raws = {}
    for i, name in enumerate(("naturalscene", "whitenoise")):
        folder = formats.arrays(tmp_path / name, session)
        train, test = session.onsets()
        np.save(folder / "train_frames.npy", train * (1 + 2e-5 * i))
        np.save(folder / "test_frames.npy", test * (1 + 2e-5 * i))
        raws[name] = arrays.read(folder, arrays.Config(**CUT))
    assert raws["naturalscene"].frame_rate != raws["whitenoise"].frame_rate
    tree = ingest(raws, arrays.Config(**CUT)).gather()
    assert set(tree.children) == {"naturalscene", "whitenoise"}
    with_rate = {name: arrays.read(tmp_path / name, arrays.Config(frame_rate=100.0)) for name in raws}
    assert {raw.frame_rate for raw in with_rate.values()} == {100.0}
    slow = arrays.read(tmp_path / "whitenoise", arrays.Config(frame_rate=50.0, **CUT))
    with pytest.raises(RecordingError, match=r"whitenoise: frame rate 50 differs .* can be brought to one rate"):
        ingest({"naturalscene": raws["naturalscene"], "whitenoise": slow}, arrays.Config(**CUT))


def test_times_in_milliseconds_are_refused(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    for name in ("train_frames", "test_frames"):
        np.save(folder / f"{name}.npy", 1000 * np.load(folder / f"{name}.npy"))
    with pytest.raises(
        RecordingError, match=r"train_frames.npy: expected 1 to 1000 frames per second, found 0.1. Are the times in s"
    ):
        arrays.read(folder, arrays.Config())
    path = formats.stanford(tmp_path / "noise.h5", session)
    with h5py.File(path, "a") as file:
        file["train/time"][...] *= 1000
    with pytest.raises(RecordingError, match="train/time: expected 1 to 1000 frames per second"):
        stanford.read(path, stanford.Config())


def test_rates_do_not_leak_over_a_break(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    train = paused(folder, session)
    for cell in session.cells:
        np.save(folder / "spikes" / f"{cell}.npy", np.array([train[499] + 0.001]))
    raw = arrays.read(folder, arrays.Config())
    assert raw.train.rate[0, 499] > 0
    assert not raw.train.rate[:, 500:].any()


@pytest.mark.parametrize(
    "name", ["units/spike_times", "intervals/trials/start_time", "stimulus/presentation/noise_train/timestamps"]
)
def test_what_an_nwb_file_keeps_elsewhere_is_not_read(name: str, session: Session, tmp_path: Path) -> None:
    path = formats.nwb(tmp_path / "session.nwb", session)
    secret = tmp_path / "secret.bin"
    with h5py.File(path, "a") as file:
        values, attributes = file[name][()], dict(file[name].attrs)
        secret.write_bytes(values.astype("<f8").tobytes())
        del file[name]
        file.create_dataset(name, values.shape, "<f8", external=[(str(secret), 0, values.nbytes)])
        for key, value in attributes.items():
            file[name].attrs[key] = value
    with pytest.raises(RecordingError, match="data in another file, which is not opened"):
        nwb.read(path, nwb.Config(**CUT), "noise")
    assert len(problems(nwb.checks(path, nwb.Config(**CUT), "noise"))) == 1


def test_an_nwb_file_that_claims_to_be_huge_is_refused_before_it_is_read(session: Session, tmp_path: Path) -> None:
    path = formats.nwb(tmp_path / "session.nwb", session)
    with h5py.File(path, "a") as file:
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", (10**9,), "f8", chunks=(10**6,), compression="gzip")
    with pytest.raises(RecordingError, match=r"units/spike_times: expected the data of shape \(1000000000,\), found 0 bytes"):
        nwb.read(path, nwb.Config(**CUT), "noise")


def video(path: Path, frames: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=100)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path


def test_an_nwb_file_may_have_its_movies_beside_it_and_repeats_in_epochs(session: Session, tmp_path: Path) -> None:
    path = formats.nwb(tmp_path / "session.nwb", session)
    video(tmp_path / "train.mkv", session.train)
    with h5py.File(path, "a") as file:
        group = file["stimulus/presentation/noise_train"]
        del group["data"]
        group.create_dataset("data", (0, 0, 0), np.uint8).attrs.update({"unit": "n.a.", "conversion": 1.0, "resolution": -1.0})
        text = h5py.string_dtype()
        group.create_dataset("external_file", data=np.array(["train.mkv"], dtype=object), dtype=text)
        group["external_file"].attrs["starting_frame"] = np.array([0])
        group.create_dataset("format", data="external", dtype=text)
        file.move("intervals/trials", "intervals/epochs")
    raw = nwb.read(path, nwb.Config(**CUT), "noise")
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, 900), session.train)
    np.testing.assert_array_equal(raw.train.spike_count, session.count)
    assert len(raw.trial_rate) == 4
    assert [file.name for file in nwb.files(path)] == ["session.nwb", "train.mkv"]
    with pytest.raises(RecordingError, match="presentations: expected a table of presentations, found epochs"):
        nwb.read(path, nwb.Config(repeats="presentations"), "noise")
    with h5py.File(path, "a") as file:
        file["stimulus/presentation/noise_train/external_file"][0] = "../../etc/passwd"
    with pytest.raises(RecordingError, match="leads out of"):
        nwb.read(path, nwb.Config(**CUT), "noise")


def test_axes_of_nwb_frames_can_be_the_other_way_round(session: Session, tmp_path: Path) -> None:
    raw = nwb.read(formats.nwb(tmp_path / "session.nwb", session), nwb.Config(axes="yx", **CUT), "noise")
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, 9), session.train[:9].transpose(0, 2, 1))


def test_only_what_is_opened_counts_as_input(session: Session, tmp_path: Path) -> None:
    """Not the raw voltages that lie beside sorted spikes, wherever they are."""
    folder = formats.phy(tmp_path / "sorted", session)
    (tmp_path / "huge.dat").write_bytes(b"volts")
    (folder / "phy/recording.dat").symlink_to(tmp_path / "huge.dat")
    found = {str(file.relative_to(folder)) for file in phy.files(folder)}
    movies = {f"{part}_{what}.npy" for part in ("train", "test") for what in ("movie", "frames")}
    assert found == movies | {
        f"phy/{name}" for name in ("params.py", "spike_times.npy", "spike_clusters.npy", "cluster_group.tsv")
    }
    session_file = formats.openretina(tmp_path / "o/session.h5", session)
    (tmp_path / "o/stimuli/zz.npy").symlink_to("/dev/zero")
    assert [file.name for file in openretina.files(session_file)] == ["session.h5", "a.npy", "b.npy", "test.npy"]


def test_kilosorts_own_labels_stand_in_for_a_persons(session: Session, tmp_path: Path) -> None:
    folder = formats.phy(tmp_path / "sorted", session)
    table = folder / "phy/cluster_group.tsv"
    table.rename(folder / "phy/cluster_KSLabel.tsv").write_text(
        table.name and "cluster_id\tKSLabel\n1\tgood\n2\tgood\n10\tmua\n4\tmua\n"
    )
    assert phy.read(folder, phy.Config()).cells == ["unit1", "unit2"]


def test_a_held_frame_of_a_video_is_not_decoded_again(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    found = movie(video(tmp_path / "movie.mkv", frames))
    decoder = found.read
    index = np.repeat(np.arange(60), 3)
    shown = found.shown(index)
    for start in range(0, 180, 7):
        np.testing.assert_array_equal(shown.frames(start, min(start + 7, 180)), frames[index[start : start + 7]])
    starts = []
    original = decoder._frames  # type: ignore[attr-defined]
    decoder._frames = lambda: starts.append(1) or original()  # type: ignore[attr-defined]
    for start in range(0, 180, 7):
        shown.frames(start, min(start + 7, 180))
    assert len(starts) == 1


def test_names_that_are_no_text_are_passed_over(session: Session, tmp_path: Path) -> None:
    path = formats.openretina(tmp_path / "session.h5", session)
    with h5py.File(path, "a") as file:
        file[b"\xff\xfe"] = np.zeros(3)
    assert len(openretina.read(path, openretina.Config(frame_rate=RATE)).cells) == 3
