"""Names stay the text that they are, labels are those that were given last, axes those that the movie has."""

import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from retmech.errors import RecordingError, warnings_heard
from retmech.readers import arrays, phy, stanford
from retmech.readers._files import safe_names
from tests import formats
from tests.formats import Session


@pytest.fixture(scope="module")
def session() -> Session:
    return formats.session()


# Names


@pytest.mark.parametrize("by_time", [True, False])
@pytest.mark.parametrize(
    ("names", "in_order"),
    [
        (["1.1", "1.10", "1.2"], ["1.1", "1.2", "1.10"]),
        (["01", "02", "10"], ["01", "02", "10"]),
        (["1e3", "1000", "2"], ["1e3", "2", "1000"]),
        (["1", "01", "001"], ["001", "01", "1"]),
        (["NA", "nan", "None"], ["NA", "None", "nan"]),
        (["0x10", "1_0", "inf"], ["0x10", "1_0", "inf"]),
    ],
)
def test_names_in_csv_stay_text(names: list[str], in_order: list[str], by_time: bool, session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "text", session, text=True)
    spikes = dict(zip(names, session.spikes().values(), strict=True))
    rows = [(time, name) for name, times in spikes.items() for time in times]
    lines = [f"{name},{time:.9f}" for time, name in (sorted(rows) if by_time else rows)]
    (folder / "spikes.csv").write_text("\n".join(["cell,time", *lines]) + "\n")
    raw = arrays.read(folder, arrays.Config())
    assert sorted(raw.cells) == sorted(in_order)
    for name, count in zip(raw.cells, raw.train.spike_count, strict=True):
        np.testing.assert_array_equal(count, session.count[names.index(name)])


@given(st.lists(st.text(max_size=80), min_size=1, max_size=8, unique=True))
@settings(max_examples=200, deadline=None)
def test_safe_names_can_stand_in_files_and_differ(names: list[str]) -> None:
    safe = safe_names(names, "here")
    assert len(set(safe)) == len(names)
    for one, name in zip(safe, names, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,69}", one)
        if re.fullmatch(r"[A-Za-z0-9]{1,40}", name) and not any(other.startswith(name) for other in names if other != name):
            assert one == name


def csv(folder: Path, text: str) -> Path:
    (folder / "spikes.csv").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,time\na,1,5\nb,2,5\n", "line 2: expected 2 values, found 3. Is there a decimal comma"),
        ("cell,time\na,1.5\nb,2.5\na,3,5\n", "line 4: expected 2 values, found 3"),
        ("cell,time,note\na,1.5\nb,2,5,,\n", "line 3: expected 3 values, found 5"),
        ("cell;time\na;1,5\n", "expected columns cell and time, found cell;time|line 2: expected 1 values"),
        ("cell,time\n,1.5\n", "expected a name and a time in s in every row"),
        ("cell,time\na,soon\n", "expected a name and a time in s in every row"),
    ],
)
def test_rows_that_cannot_be_are_refused_with_their_line(text: str, message: str, session: Session, tmp_path: Path) -> None:
    folder = csv(formats.arrays(tmp_path / "text", session, text=True), text)
    with pytest.raises(RecordingError, match=f"spikes.csv: .*({message})"):
        arrays.read(folder, arrays.Config())


# Labels of clusters


GROUPS = "cluster_id\tgroup\n1\tgood\n2\tmua\n4\tnoise\n10\tgood\n"
INFO = "cluster_id\tch\tgroup\n1\t1\tgood\n2\t1\tgood\n4\t1\tgood\n10\t1\tgood\n"


@pytest.mark.parametrize("newest", ["cluster_group.tsv", "cluster_info.tsv"])
def test_of_two_tables_that_disagree_the_newer_is_taken_and_said(newest: str, session: Session, tmp_path: Path) -> None:
    folder = formats.phy(tmp_path / "sorted", session)
    for name, text in (("cluster_group.tsv", GROUPS), ("cluster_info.tsv", INFO)):
        path = folder / "phy" / name
        path.write_text(text)
        os.utime(path, (2e9, 2e9) if name == newest else (1e9, 1e9))
    with warnings_heard() as warnings:
        raw = phy.read(folder, phy.Config())
    assert raw.cells == (["unit1", "unit10"] if newest == "cluster_group.tsv" else ["unit1", "unit2", "unit4", "unit10"])
    (said,) = (w for w in warnings if "clusters 2, 4 differ" in w)
    assert f"{newest}, which was written last" in said


@pytest.mark.parametrize("parted", ["\t", ","])
def test_tables_of_old_versions_are_read(parted: str, session: Session, tmp_path: Path) -> None:
    folder = formats.phy(tmp_path / "sorted", session)
    (folder / "phy/cluster_group.tsv").unlink()
    (folder / "phy/cluster_groups.csv").write_text(GROUPS.replace("\t", parted))
    assert phy.read(folder, phy.Config()).cells == ["unit1", "unit10"]
    assert phy.read(folder, phy.Config(groups=["mua"])).cells == ["unit2"]


# MATLAB


def save_73(path: Path, **values: np.ndarray) -> None:
    """As MATLAB's version 7.3 does: HDF5 with the axes in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            file[name] = value.T


def save_5(path: Path, **values: np.ndarray) -> None:
    savemat(path, values, do_compression=True)


@pytest.mark.parametrize("save", [save_5, save_73])
@pytest.mark.parametrize("time", ["last", "first"])
def test_matlab_files_are_read(save: Any, time: str, session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "mat"
    (folder / "spikes").mkdir(parents=True)
    for part, movie, onsets in zip(("train", "test"), (session.train, session.test), session.onsets(), strict=True):
        save(folder / f"{part}_movie.mat", movie=np.moveaxis(movie, 0, -1) if time == "last" else movie)
        save(folder / f"{part}_frames.mat", onsets=onsets[:, None] if part == "train" else onsets, **{})
    for i, (cell, times) in enumerate(session.spikes().items()):
        save(folder / "spikes" / f"{cell}.mat", times=times[:, None] if i else times[None])
    raw = arrays.read(folder, arrays.Config())
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, 900), session.train)
    np.testing.assert_array_equal(raw.test.stimulus.frames(3, 220), session.test[3:])
    np.testing.assert_array_equal(raw.train.spike_count, session.count)


@pytest.mark.parametrize("save", [save_5, save_73])
def test_one_pixel_from_matlab_is_a_movie(save: Any, tmp_path: Path) -> None:
    one = formats.session(shape=(8, 6))
    folder = formats.arrays(tmp_path / "plain", one)
    for part, movie in (("train", one.train), ("test", one.test)):
        (folder / f"{part}_movie.npy").unlink()
        save(folder / f"{part}_movie.mat", **{f"{part}_movie": movie[:, 2, 2][:, None], "comment": np.zeros((2, 2))})
    raw = arrays.read(folder, arrays.Config())
    np.testing.assert_array_equal(raw.train.stimulus.frames(0, 900)[:, 0, 0], one.train[:, 2, 2])


@pytest.mark.parametrize("save", [save_5, save_73])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": np.zeros((3, 3, 7))}, r"expected 900 frames, \(y, x, time\) or \(time, y, x\), found shape \(3, 3, 7\)"),
        ({"a": np.zeros((3, 3, 900)), "b": np.zeros(3)}, "expected one array, or one called train_movie, found a, b"),
    ],
)
def test_matlab_movies_that_cannot_be_are_refused(
    save: Any, values: dict[str, np.ndarray], message: str, session: Session, tmp_path: Path
) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    (folder / "train_movie.npy").unlink()
    save(folder / "train_movie.mat", **values)
    with pytest.raises(RecordingError, match=f"train_movie.mat: {message}"):
        arrays.read(folder, arrays.Config())


def test_what_is_no_array_of_numbers_in_matlab_is_refused(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    (folder / "train_movie.npy").unlink()
    for value, kind in (({"x": 1}, "struct"), (np.array([[1, "a"]], object), "cell"), ("hello", "char")):
        savemat(folder / "train_movie.mat", {"movie": value})
        with pytest.raises(RecordingError, match=f"expected an array of numbers, found a {kind}"):
            arrays.read(folder, arrays.Config())
    (folder / "train_movie.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(300))
    with pytest.raises(RecordingError, match=r"train_movie\.mat: "):
        arrays.read(folder, arrays.Config())


# Axes


def test_a_numpy_movie_with_time_last_is_named_as_such(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    np.save(folder / "train_movie.npy", np.moveaxis(session.train, 0, -1))
    with pytest.raises(
        RecordingError, match=r"expected \(time, y, x\) with 900 frames, found \(8, 6, 900\): time is the last axis"
    ):
        arrays.read(folder, arrays.Config())


@pytest.mark.parametrize("name", ["train/stimulus", "train/response/binned"])
def test_hdf5_with_reversed_axes_is_named_as_such(name: str, session: Session, tmp_path: Path) -> None:
    path = formats.stanford(tmp_path / "noise.h5", session)
    with h5py.File(path, "a") as file:
        values = file[name][...]
        del file[name]
        file[name] = values.T
    with pytest.raises(RecordingError, match=f"{name}: expected .*the axes are reversed"):
        stanford.read(path, stanford.Config())


def test_columns_and_rows_of_hdf5_are_lists(session: Session, tmp_path: Path) -> None:
    path = formats.stanford(tmp_path / "noise.h5", session)
    with h5py.File(path, "a") as file:
        for cell, shape in (("cell01", (-1, 1)), ("cell02", (1, -1))):
            times = file[f"spikes/{cell}"][...]
            del file[f"spikes/{cell}"]
            file[f"spikes/{cell}"] = times.reshape(shape)
    raw = stanford.read(path, stanford.Config())
    np.testing.assert_array_equal(raw.spike_times[1], session.spikes()["cell02"])
