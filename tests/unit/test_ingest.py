"""The reader and ingest: both layouts, alignment, split, normalization, and clear errors."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech.errors import RecordingError
from retmech.quality import (
    pearson,
    pearson_interval,
    reliability,
    reliability_interval,
    smoothed_rate,
)
from retmech.readers import _raw, stanford
from retmech.receptive_field import receptive_field_centre, spike_triggered_average
from retmech.stages.ingest import ingest
from tests.conftest import INGEST


def part(recording: xr.DataTree, path: str) -> xr.Dataset:
    return recording[path].to_dataset(inherit=True)  # type: ignore[union-attr]


def test_responses_stand_at_the_newest_frame_that_drives_them(raw_files: dict[str, Path], recording: xr.DataTree) -> None:
    train = part(recording, "naturalscene/train")
    frames = np.rint(train["time"].values * 100).astype(int)
    with h5py.File(raw_files["naturalscene"]) as file:
        np.testing.assert_array_equal(train["stimulus"], file["train/stimulus"][...][frames])
        np.testing.assert_array_equal(train["spike_count"], file["train/response/binned"][...][:, frames + 1])


def test_parts_are_whole_spans_of_time_apart_from_each_other(recording: xr.DataTree) -> None:
    train, validation = (part(recording, f"naturalscene/{p}") for p in ("train", "validation"))
    for block in range(3):
        start = 6.0 * block
        inner = [p["time"].values[p["segment"].values == block] for p in (train, validation)]
        assert inner[0][0] == pytest.approx(start + 0.5), "the start of the block is left out"
        assert inner[1][0] - inner[0][-1] == pytest.approx(0.2 + 0.01), "a gap lies between training and validation"
        assert inner[1][-1] < start + 6
        for times in inner:
            np.testing.assert_allclose(np.diff(times), 0.01)


@pytest.mark.parametrize("unit", [None, "naturalscene", "whitenoise"])
def test_the_unit_of_contrast_is_that_of_one_training_movie(raw_files: dict[str, Path], unit: str | None) -> None:
    settings = INGEST.model_copy(update={"unit": unit})
    recording = ingest({name: stanford.read(path, settings) for name, path in raw_files.items()}, settings).gather()
    train = part(recording, f"{unit or 'naturalscene'}/train")["stimulus"].values
    assert float(recording["stimulus_mean"]) == pytest.approx(train.mean(), rel=1e-12)
    assert float(recording["stimulus_std"]) == pytest.approx(train.std(), rel=1e-6)


def test_the_unit_of_contrast_of_an_unknown_class_is_refused(raw_files: dict[str, Path]) -> None:
    settings = INGEST.model_copy(update={"unit": "films"})
    with pytest.raises(RecordingError, match=r"ingest\.unit = .films.: the recording has only naturalscene"):
        ingest({"naturalscene": stanford.read(raw_files["naturalscene"], settings)}, settings).gather()


def test_both_layouts_of_the_repeats_give_the_same_trials(raw_files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    shutil.copy(raw_files["naturalscene"], other)
    with h5py.File(other, "a") as file:
        repeats = file["test/repeats"]
        stacked = np.stack([repeats[cell][...] for cell in ("cell01", "cell02")], axis=1)
        del file["test/repeats"]
        file["test/repeats/firing_rate_10ms"] = smoothed_rate(stacked, 10, 100)
    a, b = (stanford.read(path, INGEST) for path in (raw_files["naturalscene"], other))
    assert a.cells == b.cells
    np.testing.assert_array_equal(a.trial_rate, b.trial_rate)


def test_cells_are_sorted_as_numbers_and_may_count_from_zero(raw_files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "zero.h5"
    shutil.copy(raw_files["naturalscene"], other)
    with h5py.File(other, "a") as file:
        second = file["test/repeats/cell02"][...]
        file.move("test/repeats/cell01", "test/repeats/cell2")
        file.move("test/repeats/cell02", "test/repeats/cell10")
    found = stanford.read(other, INGEST)
    assert found.cells == ["cell2", "cell10"]
    np.testing.assert_array_equal(found.trial_rate[:, 1], smoothed_rate(second, 10, 100))


def test_one_more_response_bin_than_frames_is_used_not_lost(raw_files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "longer.h5"
    shutil.copy(raw_files["naturalscene"], other)
    with h5py.File(other, "a") as file:
        for name in ("response/binned", "response/firing_rate_10ms", "repeats/cell01", "repeats/cell02"):
            values = file[f"test/{name}"][...]
            del file[f"test/{name}"]
            file[f"test/{name}"] = np.concatenate([values, values[:, -1:]], axis=1)
        n_frames = file["test/stimulus"].shape[0]
    recording = ingest({"naturalscene": stanford.read(other, INGEST)}, INGEST).gather()
    assert recording["naturalscene/test"].sizes["time"] == n_frames


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([1, 3, 28]), st.sampled_from([0, 1]), st.booleans(), st.integers(0, 2))
def test_public_files_of_every_kind_are_read_right(n_cells: int, first: int, stacked: bool, more: int) -> None:
    """Numbers of cells, names from 0 or 1, either layout of the repeats, and more bins of responses than frames."""
    rng = np.random.default_rng(n_cells)
    movies = {"train": rng.integers(0, 256, (300, 4, 4), np.uint8), "test": rng.integers(0, 256, (96, 4, 4), np.uint8)}
    counts = {"train": rng.poisson(0.3, (n_cells, 300 + more)), "test": rng.poisson(0.3, (5, n_cells, 96 + more))}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "noise.h5"
        with h5py.File(path, "w") as file:
            for name, count in (("train", counts["train"]), ("test", counts["test"].mean(axis=0))):
                file[f"{name}/stimulus"] = movies[name]
                file[f"{name}/time"] = 5 + np.arange(len(movies[name])) / 100
                file[f"{name}/response/binned"] = count
            if stacked:
                file["test/repeats/firing_rate_10ms"] = smoothed_rate(counts["test"], 10, 100)
            else:
                for i in rng.permutation(n_cells):
                    file[f"test/repeats/cell{i + first}"] = counts["test"][:, i]
        used = INGEST.model_copy(update={"blocks": 1, "response_lag": 1})
        recording = ingest({"noise": stanford.read(path, used)}, used).gather()
    names = [f"cell{i + 1:02d}" for i in range(n_cells)] if stacked else [f"cell{i + first}" for i in range(n_cells)]
    assert recording["cell"].values.tolist() == names
    n_frames = 96 if more else 95
    test = part(recording, "noise/test")
    np.testing.assert_array_equal(test["stimulus"], movies["test"][:n_frames])
    expected = smoothed_rate(counts["test"], 10, 100)[..., 1 : n_frames + 1]
    np.testing.assert_allclose(test["trial_rate"], expected, rtol=1e-6)
    train = part(recording, "noise/train")
    frames = np.rint(train["time"].values * 100).astype(int)
    np.testing.assert_array_equal(train["spike_count"], counts["train"][:, frames + 1])


BREAKS = {
    "test/response/binned": "test/response/binned: expected a dataset with 2 dimensions, found none",
    "train/time": "train/time: expected a dataset",
    "test/repeats": "test/repeats: expected cell01",
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_missing_dataset_is_named(name: str, raw_files: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    shutil.copy(raw_files["naturalscene"], broken)
    with h5py.File(broken, "a") as file:
        del file[name]
    with pytest.raises(RecordingError) as error:
        stanford.read(broken, INGEST)
    assert str(broken) in str(error.value)
    assert BREAKS[name] in str(error.value)


def test_nan_text_and_garbage_are_refused(raw_files: dict[str, Path], tmp_path: Path) -> None:
    for i, values in enumerate((np.full((2, 1800), np.nan), np.full((2, 1800), b"x"), np.full((2, 1800), -1.0))):
        broken = tmp_path / f"{i}.h5"
        shutil.copy(raw_files["naturalscene"], broken)
        with h5py.File(broken, "a") as file:
            del file["train/response/binned"]
            file["train/response/binned"] = values
        with pytest.raises(RecordingError, match=r"train/response/binned: expected"):
            stanford.read(broken, INGEST)
    garbage = tmp_path / "garbage.h5"
    garbage.write_bytes(b"not HDF5")
    with pytest.raises(RecordingError, match="cannot be read as HDF5"):
        stanford.read(garbage, INGEST)


def test_settings_that_do_not_fit_the_recording_are_explained(raw_files: dict[str, Path]) -> None:
    raw = {"naturalscene": stanford.read(raw_files["naturalscene"], INGEST)}
    for change, message in (
        ({"blocks": 7}, "1800 frames cannot be cut into ingest.blocks = 7"),
        ({"skip": 5.9}, "leave nothing to train on"),
        ({"cells": [0, 5]}, r"\[5\] asked for, but the recording has cells 0 to 1"),
    ):
        with pytest.raises(RecordingError, match=message):
            ingest(raw, INGEST.model_copy(update=change)).gather()


def test_reliability_is_that_of_signal_plus_noise() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(1, 1, 20000))
    trials = signal + 2 * rng.normal(size=(10, 1, 20000))  # the average of 10 has noise variance 0.4
    assert reliability(trials)[0] == pytest.approx(1 / 1.4, abs=0.01)
    assert np.isnan(reliability(trials[:1])).all()
    assert np.isnan(reliability(np.zeros((4, 1, 100)))).all()


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(60):
        signal = rng.normal(size=(1, 1, 3000))
        trials = signal + 2 * rng.normal(size=(10, 1, 3000))
        low, high = reliability_interval(trials, block=100, splits=20, draws=200)[:, 0]
        assert low < reliability(trials, splits=20)[0] < high
        r_low, r_high = pearson_interval(trials[0], signal[0], block=100, draws=200)[:, 0]
        covered.append([low < 1 / 1.4 < high, r_low < 1 / np.sqrt(5) < r_high])
    assert (np.mean(covered, axis=0) > 0.85).all()
    assert np.isnan(reliability_interval(np.zeros((1, 2, 50)), 10)).all()


def test_one_repeat_and_silent_cells_are_said_and_left_missing(raw_files: dict[str, Path], capsys) -> None:  # type: ignore[no-untyped-def]
    raw = stanford.read(raw_files["naturalscene"], INGEST)
    raw = replace(raw, trial_rate=raw.trial_rate[:1])
    raw.train.spike_count[1], raw.train.rate[1] = 0, 0
    recording = ingest({"naturalscene": raw}, INGEST).gather()
    test = part(recording, "naturalscene/test")
    assert np.isnan(test["noise_ceiling"]).all()
    assert np.isnan(test["noise_ceiling_interval"]).all()
    assert not recording["receptive_field"].values[1].any()
    said = capsys.readouterr().err
    assert "the test movie was shown 1 time(s)" in said
    assert "cell02 is left out of training: mean rate 0 Hz, below 0.05" in said
    assert recording["included"].values.tolist() == [1, 0]


def test_a_movie_is_read_once_and_in_pieces(raw_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with the recording's length. The frames that lags are judged by are read once more."""
    monkeypatch.setattr(_raw, "PIECE_BYTES", 200 * 12 * 12)
    raw = stanford.read(raw_files["naturalscene"], INGEST)
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> np.ndarray:
        asked.append((start, stop))
        return raw.train.stimulus.read(start, stop)

    watched = replace(raw, train=replace(raw.train, stimulus=replace(raw.train.stimulus, read=read)))
    whole = ingest({"naturalscene": raw}, INGEST).gather()
    pieces = ingest({"naturalscene": watched}, INGEST).gather()
    xr.testing.assert_identical(whole, pieces)
    assert max(stop - start for start, stop in asked) <= 200
    frames = np.concatenate([np.arange(*span) for span in asked])
    train = whole["naturalscene/train"].sizes["time"]
    assert len(frames) - len(np.unique(frames)) == train


def test_segments_shorter_than_the_history_have_no_windows() -> None:
    movie, rate = np.random.default_rng(0).integers(0, 255, (30, 2, 2)).astype(np.uint8), np.ones((1, 30), np.float32)
    segment = np.repeat([0, 1], [22, 8])
    whole = spike_triggered_average(movie, rate, segment, 10)
    kept = spike_triggered_average(movie[:22], rate[:, :22], segment[:22], 10)
    np.testing.assert_allclose(whole + movie.mean(), kept + movie[:22].mean(), rtol=1e-4)
    assert not spike_triggered_average(movie, rate, segment, 25).any()


def test_the_centre_of_a_receptive_field_is_found() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:20, :24]
    bump = np.exp(-((y - 5) ** 2 + (x - 17) ** 2) / 8)
    field = np.stack(
        [-np.sin(np.arange(10))[:, None, None] * bump + 0.05 * rng.normal(size=(10, 20, 24)), np.zeros((10, 20, 24))]
    )
    np.testing.assert_allclose(receptive_field_centre(field), [[5, 17], [9.5, 11.5]], atol=1)


def test_correlation_of_a_constant_is_not_a_number() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert np.isnan(pearson(a, np.ones(50)))


def test_spike_triggered_average_is_the_sum_over_spikes_within_segments() -> None:
    rng = np.random.default_rng(0)
    movie, segment = rng.integers(0, 255, (60, 3, 2)).astype(np.uint8), np.repeat([0, 1], 30)
    rate = rng.integers(0, 3, (2, 60)).astype(np.float32)
    history = 5
    windows = [(t, movie[t - 4 : t + 1][::-1].astype(float) - movie.mean()) for t in range(60) if t % 30 >= 4]
    for cell in range(2):
        expected = sum(rate[cell, t] * w for t, w in windows) / sum(rate[cell, t] for t, _ in windows)
        np.testing.assert_allclose(spike_triggered_average(movie, rate, segment, history)[cell], expected, atol=1e-3)
