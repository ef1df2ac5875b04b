"""What is in a file is printed, and everything that is wrong with it is said at once."""

from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

from retmech import cli, io, schemas
from retmech.io import Provenance
from retmech.readers import arrays
from retmech.stages.ingest import ingest
from tests import formats
from tests.conftest import INGEST

WRITE = {
    "stanford": lambda f, s: formats.stanford(f / "noise.h5", s),
    "openretina": lambda f, s: formats.openretina(f / "session.h5", s),
    "arrays": lambda f, s: formats.arrays(f / "plain", s),
    "phy": lambda f, s: formats.phy(f / "sorted", s),
    "nwb": lambda f, s: formats.nwb(f / "session.nwb", s),
}


@pytest.mark.parametrize("reader", WRITE)
def test_raw_files_are_recognized_and_summed_up(reader: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = WRITE[reader](tmp_path, formats.session())
    assert cli.main(["inspect", str(path), "--stimulus", "noise"]) == 0
    out = capsys.readouterr().out
    assert f"as {reader}: " in out
    assert "3 cells, 4 trials" in out
    assert "900" in out
    assert cli.main(["validate", str(path), "--stimulus", "noise"]) in {0, 1}
    # A short session: whether it can be cut with the default settings is another matter than whether it can be read.
    said = capsys.readouterr()
    assert "a valid raw recording" in said.out or "leave nothing to train on" in said.err


def test_all_that_is_wrong_with_a_raw_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = formats.stanford(tmp_path / "noise.h5", formats.session())
    with h5py.File(path, "a") as file:
        del file["train/time"]
        file["test/response/binned"][0, 0] = -3
        file["spikes/cell02"][5] = np.nan
        del file["test/repeats/cell03"]
        file["test/repeats/cell03"] = np.zeros((4, 7))
    assert cli.main(["validate", str(path)]) == 1
    said = capsys.readouterr().err
    assert "4 problem(s)" in said
    for what in (
        "train/time: expected",
        "test/response/binned: expected counts",
        "spikes/cell02: expected finite",
        "test/repeats: expected",
    ):
        assert what in said, what


def test_all_that_is_wrong_with_a_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = formats.arrays(tmp_path / "plain", formats.session())
    np.save(folder / "train_frames.npy", np.arange(10.0))
    np.save(folder / "spikes/cell01.npy", np.array([3.0, 1.0]))
    np.save(folder / "spikes/cell03.npy", np.array([-1.0]))
    assert cli.main(["validate", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "3 problem(s)" in said
    for name in ("train_frames.npy", "cell01.npy", "cell03.npy"):
        assert name in said


def test_files_of_stages_are_printed_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recording.nc"
    raw = arrays.read(formats.arrays(tmp_path / "plain", formats.session()), arrays.Config())
    settings = INGEST.model_copy(update={"blocks": 1})
    io.write_pieces(ingest({"noise": raw}, settings), schemas.RECORDING, path, Provenance({"blocks": 1}))
    assert cli.main(["validate", str(path)]) == 0
    assert "a valid recording" in capsys.readouterr().out
    assert cli.main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "recording, version" in out
    assert "receptive_field" in out
    assert "spike-triggered average contrast" in out
    with netCDF4.Dataset(path, "a") as file:
        file["field_p_value"][0] = 7
        file["noise/train/rate"][0, 0] = -1
        file["noise/test"].renameVariable("reliability", "trust")
    assert cli.main(["validate", str(path)]) == 1
    said = capsys.readouterr().err
    for what in ("field_p_value", "rate", "reliability"):
        assert what in said, what


def test_what_is_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    for verb in ("inspect", "validate"):
        assert cli.main([verb, str(tmp_path / "nothing.h5")]) == 1
        assert "there is no such file or folder" in capsys.readouterr().err
    assert cli.main(["validate", str(other)]) == 1
    assert "of no format that is known" in capsys.readouterr().err
    assert cli.main(["inspect", str(other)]) == 0
