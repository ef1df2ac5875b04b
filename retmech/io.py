"""The only code that reads or writes NetCDF: validate, encode, keep provenance.

Equal contents give byte-identical files: nothing of the moment or the machine is written.
"""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandera.errors
import pandera.xarray as pa
import xarray as xr
from pandera.config import ValidationDepth, config_context

from retmech.errors import FileError
from retmech.outputs import placed, write_errors
from retmech.pieces import Pieces, completed, full_shape, groups_of, region
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
    _sign(tree, kind, provenance)
    _validate(tree, kind, path)
    with placed(path) as partial, write_errors(path):
        _write(tree, partial)


def write_pieces(pieces: Pieces, kind: FileType, path: Path, provenance: Provenance) -> None:
    """Write a dataset while it is made, as :func:`write` does: each part is validated, written and forgotten.

    Raises
    ------
    FileError
        If a part is not what the type says; no file is left then.
    """
    header = pieces.header.copy()
    _sign(header, kind, provenance)
    with placed(path) as partial:
        with write_errors(path):
            _write(header, partial)
            file = netCDF4.Dataset(partial, "a")
        whole = groups_of(header, inherit=True)
        with file:
            for part in pieces.parts:
                filled = {group: data for group, data in groups_of(part, inherit=True).items() if data.data_vars}
                for group, dataset in filled.items():
                    _raise(path, kind, list(_group_problems(group, completed(whole[group], dataset), dataset, kind)))
                with write_errors(path):
                    for group, dataset in filled.items():
                        _write_part(file if group == "/" else file[group], whole[group], dataset)


def read(path: Path, kind: FileType, lazy: bool = False) -> xr.DataTree:
    """Read a file and check that it is of the type expected.

    Parameters
    ----------
    lazy
        Leave the data in the file until they are used; then they are not checked, only their names, dimensions and types.

    Raises
    ------
    FileError
        Naming the file, the variable, what was expected and what was found.
    """
    try:
        tree = open_tree(path)
        if not lazy:
            with tree:
                tree = tree.load()
    except FileNotFoundError:
        raise FileError(f"{path}: does not exist. The stage that writes it has not run.") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{path}: cannot be read as NetCDF ({error}). Delete it and run again.") from None
    _validate(tree, kind, path, data=not lazy)
    return tree


def read_dataset(path: Path, kind: FileType, lazy: bool = False) -> xr.Dataset:
    """Read the root group of a file; see :func:`read`."""
    return read(path, kind, lazy).to_dataset()


def open_tree(path: Path) -> xr.DataTree:
    """Open any NetCDF file, unchecked; its data stay in it until they are used, its strings are read."""
    opened = xr.open_datatree(path, engine="netcdf4", decode_timedelta=False, decode_times=False)
    tree = xr.DataTree.from_dict({group: _with_words(dataset) for group, dataset in groups_of(opened).items()})
    tree.set_close(opened.close)
    return tree


def _with_words(dataset: xr.Dataset) -> xr.Dataset:
    """Strings as NumPy's, where xarray gives objects."""
    return dataset.assign({name: v.astype(str) for name, v in dataset.variables.items() if v.dtype == object})


def _sign(tree: xr.DataTree, kind: FileType, provenance: Provenance) -> None:
    """Say in the file what it is and what it was made of."""
    tree.attrs |= {"Conventions": "CF-1.11", "schema_name": kind.name, "schema_version": kind.version}
    tree.attrs.update(provenance.attributes())


def _write(tree: xr.DataTree, path: Path) -> None:
    own = {node.path: node.to_dataset(inherit=False).variables for node in tree.subtree}
    encoding = {path: {str(name): _encoding(v) for name, v in variables.items()} for path, variables in own.items()}
    tree.to_netcdf(path, engine="netcdf4", encoding=encoding)


def _write_part(group: netCDF4.Dataset, whole: xr.Dataset, part: xr.Dataset) -> None:
    for name, values in part.data_vars.items():
        if values.dtype.kind == "U":
            _write_words(group, str(name), values)
            continue
        if name not in group.variables:
            full = xr.Variable(values.dims, np.broadcast_to(values.dtype.type(0), full_shape(whole, values)))
            fill = np.nan if values.dtype.kind == "f" else None
            dims = [str(d) for d in full.dims]
            # A chunk is written to by several parts; the library's own cache would keep many that are done.
            created = group.createVariable(
                str(name), values.dtype, dims, fill_value=fill, chunk_cache=4 * CHUNK_BYTES, **_encoding(full)
            )
            created.setncatts(values.attrs)
        group[str(name)][region(whole, values)] = values.values


def _write_words(group: netCDF4.Dataset, name: str, words: xr.DataArray) -> None:
    """Write strings, all in one part, as xarray does with the encoding of :func:`_encoding`."""
    encoded = np.char.encode(words.values, "utf-8")
    length = f"string{encoded.itemsize}"
    if length not in group.dimensions:
        group.createDimension(length, encoded.itemsize)
    created = group.createVariable(name, "S1", [*map(str, words.dims), length])
    created.setncatts({**words.attrs, "_Encoding": "utf-8"})
    created[:] = words.values


def _validate(tree: xr.DataTree, kind: FileType, path: Path, data: bool = True) -> None:
    problems = list(_type_problems(tree, kind))
    if not problems:
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA if data else ValidationDepth.SCHEMA_ONLY):
            whole = groups_of(tree, inherit=True)
            for group, own in groups_of(tree).items():
                problems += _group_problems(group, whole[group], own, kind)
    _raise(path, kind, problems)


def _raise(path: Path, kind: FileType, problems: Sequence[str]) -> None:
    if problems:
        listed = "\n".join(f"{path}: {problem}" for problem in problems)
        raise FileError(f"{listed}\nThe file is not a valid {kind.name} (version {kind.version}). Delete it and run again.")


def _type_problems(tree: xr.DataTree, kind: FileType) -> Iterator[str]:
    found = tree.attrs.get("schema_name"), tree.attrs.get("schema_version")
    if found[0] != kind.name:
        yield f"expected a file of type {kind.name!r}, found {found[0]!r}"
    elif found[1] != kind.version:
        yield f"expected version {kind.version} of {kind.name!r}, found {found[1]}"


def _group_problems(path: str, dataset: xr.Dataset, own: xr.Dataset, kind: FileType) -> Iterator[str]:
    """What is wrong with a group, given with the coordinates that it inherits and without."""
    is_root = path == "/"
    where = "" if is_root else f"{path.strip('/')}/"
    pattern = next((p for p in kind.groups if not is_root and _matches(path, p)), None)
    if not is_root and pattern is None:
        yield f"{where}: there is no such group in a {kind.name}"
        return
    for name, variable in own.variables.items():
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


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    """Compress numbers, in chunks of one condition that are read along time: no chunk is much larger than 1 MiB.

    Movies of bytes are left as they are: natural ones shrink by a third only, which takes ten times as long as writing them.
    Words are written as characters of a fixed number: HDF5 reads strings of variable length through a file that may be closed by
    now, and then ends the process (HDFGroup/hdf5 #3649); whoever opens files many times without closing them meets that.
    """
    if variable.dtype.kind == "U":
        return {"dtype": "S1"}
    if variable.dtype.kind not in "iuf" or not variable.ndim or not variable.size:
        return {}
    chunk = [1 if dim == "condition" and variable.ndim > 1 else n for dim, n in variable.sizes.items()]
    axis = variable.dims.index("time") if "time" in variable.dims else 0
    bytes_per_step = variable.dtype.itemsize * int(np.prod(chunk)) // chunk[axis]
    chunk[axis] = min(chunk[axis], max(1, CHUNK_BYTES // max(1, bytes_per_step)))
    compression = {} if variable.dtype == np.uint8 else {"zlib": True, "complevel": 4, "shuffle": True}
    return {**compression, "chunksizes": tuple(chunk)}
