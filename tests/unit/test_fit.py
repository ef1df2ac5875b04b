"""Settings that cannot fit a recording are refused before anything runs."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from retmech import io, schemas
from retmech.config import validate
from retmech.errors import ConfigError, RecordingError
from retmech.fit import check_recordings
from retmech.readers import arrays, nwb, openretina, phy, stanford
from retmech.readers._raw import Header
from retmech.stages.ingest import ingest
from tests import formats
from tests.formats import RATE

HEADERS = {
    "stanford": (lambda f, s: stanford.header(formats.stanford(f / "noise.h5", s), stanford.Config()), 3),
    "openretina": (
        lambda f, s: openretina.header(formats.openretina(f / "session.h5", s), openretina.Config(frame_rate=RATE)),
        3,
    ),
    "arrays": (lambda f, s: arrays.header(formats.arrays(f / "plain", s), arrays.Config()), 3),
    "arrays, text": (lambda f, s: arrays.header(formats.arrays(f / "text", s, text=True), arrays.Config()), None),
    "matlab": (lambda f, s: arrays.header(formats.matlab(f / "mat", s, new=True), arrays.Config()), 3),
    "phy": (lambda f, s: phy.header(formats.phy(f / "sorted", s), phy.Config()), None),
    "nwb": (lambda f, s: nwb.header(formats.nwb(f / "session.nwb", s), nwb.Config(), "noise"), 3),
}


@pytest.mark.parametrize("form", HEADERS)
def test_the_head_of_every_format_says_how_large_it_is(form: str, tmp_path: Path) -> None:
    read, cells = HEADERS[form]
    found = read(tmp_path, formats.session())
    assert found == Header((8, 6), cells, pytest.approx(RATE, rel=1e-4), 900, 220)


def test_pauses_at_the_beginning_make_no_slower_movie(tmp_path: Path) -> None:
    """As where a test movie is shown between the parts of the training movie."""
    folder = formats.arrays(tmp_path / "plain", formats.session())
    onsets, _ = formats.session().onsets()
    np.save(folder / "train_frames.npy", onsets + 10 * np.repeat(np.arange(9), 100))
    assert arrays.header(folder, arrays.Config()).frame_rate == pytest.approx(RATE, rel=1e-3)


@pytest.mark.parametrize("times", [np.ones(900), np.full(900, np.nan), np.array([1.0])])
def test_times_of_no_movie_are_refused_by_name(times: np.ndarray, tmp_path: Path) -> None:
    path = formats.nwb(tmp_path / "session.nwb", formats.session())
    with h5py.File(path, "a") as file:
        del file["stimulus/presentation/noise_train/timestamps"]
        file["stimulus/presentation/noise_train/timestamps"] = times
    with pytest.raises(RecordingError, match=r"session\.nwb: noise_train: expected"):
        nwb.header(path, nwb.Config(), "noise")


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    """A config for one recording in a folder."""
    sections: dict[str, Any] = {
        "recordings": {"mine": {"noise": str(folder)}},
        "ingest": {"mine": {"reader": "arrays"}},
        "train": {"bn_cnn": {"stimulus": ["noise"], "history": 200, "kernels": [3, 3]}},
        "evaluate": {"baselines": []},
        "synthesize": {"step": {}},
    }
    return validate({**sections, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return formats.arrays(tmp_path / "plain", formats.session())


def model(**changes: Any) -> dict[str, Any]:
    return {"train": {"bn_cnn": {"stimulus": ["noise"], "history": 200, "kernels": [3, 3], **changes}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"ingest": {"mine": {"reader": "arrays", "cells": [0, 7]}}}, r"ingest.mine.cells = \[7\]: there are only cells 0 to 2"),
        (model(kernels=[5, 5]), "train.bn_cnn: kernels of 5 x 5, 5 x 5 pixels do not fit into frames of 8 x 6"),
        (model(kernels=[[5, 3], [4, 3]]), ""),
        (model(history=1000), "train.bn_cnn.history = 1000 ms, 100 frames: the validation part of noise has only 90"),
        (
            {**model(history=1000), "ingest": {"mine": {"reader": "arrays", "validation_fraction": 0.3}}},
            "",
        ),
        ({"ingest": {"mine": {"reader": "arrays", "blocks": 6}}}, "200 ms, 20 frames: the validation part of noise has only 15"),
        ({"synthesize": {"motion_reversal": {"speed": 50000}}}, "synthesize.motion_reversal: motion_reversal.speed"),
    ],
)
def test_settings_are_held_against_the_recording(changes: dict[str, Any], message: str, folder: Path) -> None:
    asked = config(folder, **changes)
    if not message:
        check_recordings(asked)
        return
    with pytest.raises(ConfigError, match=rf"config.yaml: .*{message}.*\(recording mine\)"):
        check_recordings(asked)


@pytest.mark.parametrize(
    "probe", ["motion_reversal", "motion_anticipation", "reversing_grating", "object_motion", "polarity_reversal"]
)
def test_probes_that_need_space_are_refused_by_name_where_there_is_none(probe: str, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", formats.session())
    for part, n in (("train", 900), ("test", 220)):
        np.save(folder / f"{part}_movie.npy", np.random.default_rng(0).normal(size=(n, 1, 1)).astype("f4"))
    asked = {**config(folder, **model(kernels=[1, 1])), "synthesize": validate_probe(probe, folder)}
    with pytest.raises(ConfigError, match=f"synthesize.{probe}: {probe} needs frames with space.*found 1 x 1 pixels"):
        check_recordings(asked)


def validate_probe(probe: str, folder: Path) -> dict[str, Any]:
    return config(folder, synthesize={probe: {}})["synthesize"]


def test_a_simulated_recording_is_known_before_it_is_made() -> None:
    sections = {
        "recordings": {"one": {"naturalscene": "results/raw/insilico/a/naturalscene.h5"}},
        "simulate": {"a": {"size": 12}},
        "train": {"bn_cnn": {}},
        "evaluate": {"baselines": []},
        "synthesize": {"step": {}},
    }
    with pytest.raises(ConfigError, match=r"train\.bn_cnn: kernels of 15 x 15, 11 x 11 pixels do not fit into frames of 12 x 12"):
        check_recordings(validate(sections))


def test_a_file_that_cannot_be_read_is_said_before_the_run(folder: Path) -> None:
    (folder / "train_frames.npy").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"train_frames\.npy: cannot be read as a NumPy array"):
        check_recordings(config(folder))


def test_frames_are_counted_at_the_rate_that_a_movie_is_brought_to(folder: Path) -> None:
    """A test movie of 2.2 s has 220 frames of 10 ms, and 22 of 100 ms."""
    slow = {**model(history=400), "ingest": {"mine": {"reader": "arrays", "frame_rate": 10}}}
    check_recordings(config(folder, **slow))
    with pytest.raises(ConfigError, match="2000 ms, 20 frames: the validation part of noise has only 9"):
        check_recordings(config(folder, **{**slow, **model(history=2000)}))


def test_what_heads_do_not_say_a_recording_that_was_read_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = formats.session(3000)
    path = formats.nwb(tmp_path / "session.nwb", session, index=True)
    settings = {"reader": "nwb", "history": 200, "guard_gap": 0.2}
    asked = validate(
        {
            "recordings": {"mine": {"noise": str(path)}},
            "ingest": {"mine": settings},
            **model(kernels=[7, 7]),
            "evaluate": {"baselines": []},
            "synthesize": {"step": {}},
        }
    )
    monkeypatch.chdir(tmp_path)
    check_recordings(asked)  # nothing is known yet
    own = nwb.Config(**settings)  # type: ignore[arg-type]
    recording = ingest({"noise": nwb.read(path, own, "noise")}, own)
    io.write_pieces(recording, schemas.RECORDING, Path("results/mine/recording.nc"), io.Provenance())
    with pytest.raises(ConfigError, match="kernels of 7 x 7, 7 x 7 pixels do not fit into frames of 8 x 6"):
        check_recordings(asked)


def test_a_problem_of_many_recordings_is_said_once(folder: Path) -> None:
    names = [f"r{i}" for i in range(5)]
    asked = config(
        folder,
        **model(kernels=[5, 5]),
        recordings={name: {"noise": str(folder)} for name in names},
        ingest={name: {"reader": "arrays"} for name in names},
    )
    with pytest.raises(ConfigError, match=r"^[^\n]*\(recording r0, r1, r2 and 2 more\)$"):
        check_recordings(asked)
