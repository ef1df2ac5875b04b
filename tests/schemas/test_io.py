"""Files are whole, typed and byte-identical; a wrong one is refused by name."""

import tracemalloc
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from retmech import io, schemas
from retmech.errors import FileError
from retmech.io import Provenance, _model_problems
from retmech.pieces import Pieces
from retmech.schemas import _TrainPart
from retmech.stages.simulate import Simulation


@pytest.fixture
def retina(simulation: Simulation) -> xr.Dataset:
    return simulation.retina.copy(deep=True)


def test_a_round_trip_keeps_everything(recording: xr.DataTree, tmp_path: Path) -> None:
    io.write(recording, schemas.RECORDING, tmp_path / "r.nc", Provenance())
    found = io.read(tmp_path / "r.nc", schemas.RECORDING)
    for node in recording.subtree:
        xr.testing.assert_equal(node.to_dataset(inherit=False), found[node.path].to_dataset(inherit=False))  # type: ignore[union-attr]


def test_equal_contents_give_equal_bytes(retina: xr.Dataset, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("input")
    provenance = Provenance({"b": 1, "a": 2}, "code", {"source": source})
    for name in ("a.nc", "b.nc"):
        io.write(retina, schemas.RETINA, tmp_path / name, provenance)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    attributes = io.read(tmp_path / "a.nc", schemas.RETINA).attrs
    assert attributes["settings"] == '{"a":2,"b":1}'
    assert attributes["inputs"].startswith('{"source":"c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20')
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "b.nc", "source"], "nothing else is left"


@pytest.mark.parametrize("in_parts", [False, True])
def test_no_string_has_a_variable_length(in_parts: bool, recording: xr.DataTree, tmp_path: Path) -> None:
    """HDF5 can end the process that reads such a string from a file that it has opened many times."""
    words = np.array(["wider than 900 \N{GREEK SMALL LETTER MU}m", ""])
    recording = recording.copy()
    recording.dataset = recording.to_dataset().assign(exclusion=("cell", words, recording["exclusion"].attrs))
    if in_parts:
        header = recording.copy()
        header.dataset = header.to_dataset().drop_vars("exclusion")
        parts = iter([xr.DataTree(recording.to_dataset()[["exclusion"]])])
        io.write_pieces(Pieces(header, parts), schemas.RECORDING, tmp_path / "r.nc", Provenance())
    else:
        io.write(recording, schemas.RECORDING, tmp_path / "r.nc", Provenance())
    with netCDF4.Dataset(tmp_path / "r.nc") as file:
        groups = [file, *(inner for outer in file.groups.values() for inner in (outer, *outer.groups.values()))]
        types = {f"{group.path}/{name}": variable.dtype for group in groups for name, variable in group.variables.items()}
    assert types["//exclusion"] == np.dtype("S1")
    assert str not in types.values()
    for found in (io.read(tmp_path / "r.nc", schemas.RECORDING), xr.open_datatree(tmp_path / "r.nc")):
        np.testing.assert_array_equal(found["exclusion"].values, words)


def broken(retina: xr.Dataset, kind: str) -> xr.Dataset:
    if kind == "nan":
        retina["gain"][0] = np.nan
    elif kind == "range":
        retina["gain"][0] = -1
    elif kind == "unit":
        retina["gain"].attrs["units"] = "kHz"
    elif kind == "missing":
        retina = retina.drop_vars("gain")
    elif kind == "extra":
        retina["extra"] = retina["gain"]
    elif kind == "dims":
        retina["weight"] = retina["weight"].T
    elif kind == "dtype":
        retina["gain"] = retina["gain"].astype("float32", keep_attrs=True)
    elif kind == "unnamed":
        del retina["gain"].attrs["long_name"]
    return retina


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nan", "gain"),
        ("range", "gain"),
        ("unit", "gain: expected unit 'Hz', found 'kHz'"),
        ("missing", "gain"),
        ("extra", "extra"),
        ("dims", "weight"),
        ("dtype", "expected dtype <class 'numpy.float64'>, got float32"),
        ("unnamed", "gain: has no attribute 'long_name'"),
    ],
)
def test_wrong_data_is_neither_written_nor_read(kind: str, says: str, retina: xr.Dataset, tmp_path: Path) -> None:
    wrong, path = broken(retina, kind), tmp_path / "retina.nc"
    with pytest.raises(FileError) as error:
        io.write(wrong, schemas.RETINA, path, Provenance())
    assert says in str(error.value)
    assert not list(tmp_path.iterdir())
    wrong.attrs = {"schema_name": "retina", "schema_version": 1}
    wrong.to_netcdf(path)
    with pytest.raises(FileError) as error:
        io.read(path, schemas.RETINA)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_of_another_type_or_version_is_named(retina: xr.Dataset, tmp_path: Path) -> None:
    io.write(retina, schemas.RETINA, tmp_path / "t.nc", Provenance())
    with pytest.raises(FileError, match="expected a file of type 'probe', found 'retina'"):
        io.read(tmp_path / "t.nc", schemas.PROBE)
    xr.open_dataset(tmp_path / "t.nc").load().assign_attrs(schema_version=7).to_netcdf(tmp_path / "v.nc")
    with pytest.raises(FileError, match="expected version 1 of 'retina', found 7"):
        io.read(tmp_path / "v.nc", schemas.RETINA)


def test_a_missing_or_damaged_file_is_named(retina: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.nc: does not exist"):
        io.read(tmp_path / "none.nc", schemas.RETINA)
    io.write(retina, schemas.RETINA, tmp_path / "t.nc", Provenance())
    whole = (tmp_path / "t.nc").read_bytes()
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.nc").write_bytes(content)
        with pytest.raises(FileError, match=f"{name}.nc: cannot be read as NetCDF"):
            io.read(tmp_path / f"{name}.nc", schemas.RETINA)


def test_a_group_that_does_not_belong_is_refused(recording: xr.DataTree, tmp_path: Path) -> None:
    odd = recording.copy()
    odd["naturalscene/extra"] = xr.DataTree(odd["naturalscene/train"].to_dataset(inherit=False))  # type: ignore[union-attr]
    with pytest.raises(FileError, match="naturalscene/extra/: there is no such group in a recording"):
        io.write(odd, schemas.RECORDING, tmp_path / "r.nc", Provenance())


def test_checks_are_inherited_by_the_models_of_parts(recording: xr.DataTree, tmp_path: Path) -> None:
    odd = recording.copy(deep=True)
    odd["naturalscene/test/rate"][0, 0] = -5.0
    with pytest.raises(FileError, match="naturalscene/test/"):
        io.write(odd, schemas.RECORDING, tmp_path / "r.nc", Provenance())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    retina: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "retina.nc"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(FileError, match=r"retina\.nc: cannot be written .*No space left"):
        io.write(retina, schemas.RETINA, path, Provenance())
    assert [p.name for p in tmp_path.iterdir()] == ["retina.nc"]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_made_is_one_error(retina: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot be written"):
        io.write(retina, schemas.RETINA, tmp_path / "file/retina.nc", Provenance())


def test_checking_a_movie_takes_no_second_one(recording: xr.DataTree, tmp_path: Path) -> None:
    """An hour of recording is 900 MB."""
    big = recording.copy()
    part = big["naturalscene/train"].to_dataset(inherit=False)
    n = part.sizes["time"]
    movie = xr.Variable(("time", "y", "x"), np.zeros((n, 200, 200), np.uint8), part["stimulus"].attrs)
    tracemalloc.start()
    problems = list(_model_problems(part.drop_vars(["y", "x"], errors="ignore").assign(stimulus=movie), _TrainPart))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not any("stimulus" in problem for problem in problems)
    assert peak < movie.nbytes / 4
