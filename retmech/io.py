"""The only code that reads or writes NetCDF: validate, encode, write atomically, keep provenance.

Equal contents give byte-identical files: nothing of the moment or the machine is written.
"""

import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandera.errors
import pandera.xarray as pa
import xarray as xr

from retmech.errors import FileError
from retmech.provenance import canonical_json, file_digest
from retmech.schemas import FileType

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Provenance:
    """What a file was made of: the settings of its stage, the digest of its code, and the input files by name."""

    settings: Any = None
    code: str = ""
    inputs: Mapping[str, Path] = field(default_factory=dict)

    def attributes(self) -> dict[str, str]:
        """Global attributes of the file; inputs are recorded by their contents, not their paths."""
        digests = {name: file_digest(path) for name, path in self.inputs.items()}
        return {
            "settings": canonical_json(self.settings),
            "code_digest": self.code,
            "inputs": canonical_json(digests),
        }


def write(data: xr.DataTree | xr.Dataset, kind: FileType, path: Path, provenance: Provenance) -> None:
    """Validate a dataset and write it so that the file is either absent or whole.

    Raises
    ------
    FileError
        If the data is not what its type says; nothing is written then.
    """
    tree = data.copy() if isinstance(data, xr.DataTree) else xr.DataTree(data.copy())
    tree.attrs |= {"Conventions": "CF-1.11", "schema_name": kind.name, "schema_version": kind.version}
    tree.attrs.update(provenance.attributes())
    _validate(tree, kind, path)
    encoding = {node.path: _encoding(node.to_dataset(inherit=False)) for node in tree.subtree}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tree.to_netcdf(partial, engine="netcdf4", encoding=encoding)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # the netCDF library reports a full disk as the latter
        raise FileError(f"{path}: cannot be written ({error}). Is there space, and may you write there?") from None
    finally:
        if partial.exists():
            partial.unlink()


def read(path: Path, kind: FileType) -> xr.DataTree:
    """Read a file into memory and check that it is of the type expected.

    Raises
    ------
    FileError
        Naming the file, the variable, what was expected and what was found.
    """
    try:
        with xr.open_datatree(path, engine="netcdf4", decode_timedelta=False, decode_times=False) as tree:
            tree = tree.load()
    except FileNotFoundError:
        raise FileError(f"{path}: does not exist. The stage that writes it has not run.") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{path}: cannot be read as NetCDF ({error}). Delete it and run again.") from None
    _validate(tree, kind, path)
    return tree


def read_dataset(path: Path, kind: FileType) -> xr.Dataset:
    """Read a file that has only a root group."""
    return read(path, kind).to_dataset()


def _validate(tree: xr.DataTree, kind: FileType, path: Path) -> None:
    problems = list(_type_problems(tree, kind))
    if not problems:
        for node in tree.subtree:
            problems += _group_problems(node, kind)
    if problems:
        listed = "\n".join(f"{path}: {problem}" for problem in problems)
        raise FileError(f"{listed}\nThe file is not a valid {kind.name} (version {kind.version}). Delete it and run again.")


def _type_problems(tree: xr.DataTree, kind: FileType) -> Iterator[str]:
    found = tree.attrs.get("schema_name"), tree.attrs.get("schema_version")
    if found[0] != kind.name:
        yield f"expected a file of type {kind.name!r}, found {found[0]!r}"
    elif found[1] != kind.version:
        yield f"expected version {kind.version} of {kind.name!r}, found {found[1]}"


def _group_problems(node: xr.DataTree, kind: FileType) -> Iterator[str]:
    is_root = node.path == "/"
    where = "" if is_root else f"{node.path.strip('/')}/"
    pattern = next((p for p in kind.groups if not is_root and _matches(node.path, p)), None)
    if not is_root and pattern is None:
        yield f"{where}: there is no such group in a {kind.name}"
        return
    dataset = node.to_dataset(inherit=True)
    for name, variable in node.to_dataset(inherit=False).variables.items():
        for attribute in ("units", "long_name"):
            if not isinstance(variable.attrs.get(attribute), str):
                yield f"{where}{name}: has no attribute {attribute!r}"
    models = (kind.root,) if pattern is None else kind.groups[pattern]
    tried: list[list[str]] = []
    for model in models:
        tried.append([f"{where}{problem}" for problem in _model_problems(dataset, model)])
        if not tried[-1]:
            return
    if tried:
        yield from min(tried, key=len)


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def _model_problems(dataset: xr.Dataset, model: type[pa.DatasetModel]) -> Iterator[str]:
    try:
        model.validate(dataset, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            name = getattr(error.schema, "name", None)
            yield f"{name}: {error}" if name and str(name) not in str(error) else str(error)
    for name, (_, info) in model.__fields__.items():
        units = (info.metadata or {}).get("units")
        if name in dataset.variables and dataset[name].attrs.get("units") != units:
            yield f"{name}: expected unit {units!r}, found {dataset[name].attrs.get('units')!r}"


def _encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Compress numbers, in chunks that are read along time: no chunk is much larger than 1 MiB."""
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        if variable.dtype.kind not in "iuf" or variable.ndim == 0 or variable.size == 0:
            continue
        chunk = list(variable.shape)
        axis = variable.dims.index("time") if "time" in variable.dims else 0
        bytes_per_step = variable.nbytes // variable.shape[axis]
        chunk[axis] = min(chunk[axis], max(1, CHUNK_BYTES // max(1, bytes_per_step)))
        encoding[str(name)] = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": tuple(chunk)}
    return encoding
