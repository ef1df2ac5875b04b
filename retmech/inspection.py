"""`retmech inspect` and `retmech validate`: what is in a file, raw or of a stage, and everything that is wrong with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from retmech import io, registry, schemas
from retmech.errors import FileError, RecordingError, RetmechError
from retmech.readers._files import VIDEO, movie, numpy_array
from retmech.readers._hdf5 import opened
from retmech.readers._raw import RawRecording, problems
from retmech.schemas import FileType
from retmech.stages.ingest import ingest

PARTS = {"train": "training", "test": "the test"}
TYPES = {kind.name: kind for kind in vars(schemas).values() if isinstance(kind, FileType)}


def inspect(path: Path, settings: Any, stimulus_class: str, console: Console) -> None:
    """Print a table of what is in a file or a folder, and, of a raw recording, what its reader makes of it.

    Parameters
    ----------
    settings
        Of the reader; None to guess it.
    stimulus_class
        Which class of the file, for formats that have several.

    Raises
    ------
    RetmechError
        If it cannot be opened at all.
    """
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder.")
    stage = _stage(path)
    if stage is not None:
        try:
            _print_stage(path, stage, console)
        except Exception as error:  # a file that is damaged in any way
            raise FileError(f"{path}: cannot be read ({error}). `retmech validate` says what is wrong with it.") from None
        return
    table = _table(f"{path}", "name", "shape", "type", "")
    for row in _raw_rows(path):
        table.add_row(*map(escape, row))
    console.print(table)
    settings = settings or guessed(path)
    if settings is not None:
        console.print(_summary(registry.load("reader", settings.reader).read(path, settings, stimulus_class), settings.reader))


def validate(path: Path, settings: Any, stimulus_class: str) -> tuple[str, list[str]]:
    """Return what a file is, and everything that is wrong with it.

    Raises
    ------
    RetmechError
        If it cannot be said what the file is.
    """
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder.")
    stage = _stage(path)
    if stage is not None:
        if stage not in TYPES:
            raise FileError(f"{path}: its schema_name is {stage!r}; known are {', '.join(TYPES)}.")
        try:
            io.read(path, TYPES[stage])
        except FileError as error:
            return stage, str(error).splitlines()[:-1]
        return stage, []
    settings = settings or guessed(path)
    if settings is None:
        raise RecordingError(f"{path}: it is of no format that is known. Name one: --config '{{\"reader\": ...}}'.")
    cut = f"blocks: {settings.blocks}, skip: {settings.skip:g} s"  # what it is judged by: --config sets other ones
    return f"raw recording ({settings.reader}), {cut}", _raw_problems(path, settings, stimulus_class)


def _raw_problems(path: Path, settings: Any, stimulus_class: str) -> list[str]:
    """What single checks find; where they find nothing, what reading and ingesting the whole finds."""
    reader = registry.load("reader", settings.reader)
    try:
        found = problems(reader.checks(path, settings, stimulus_class) if hasattr(reader, "checks") else [])
    except RecordingError as error:
        return [str(error)]
    if found:
        return found

    def whole() -> None:
        for _ in ingest({stimulus_class: reader.read(path, settings, stimulus_class)}, settings).parts:
            pass

    return problems([whole])


def guessed(path: Path) -> Any:
    """Return the default settings of the reader that a file or folder looks like; None if it looks like none."""
    name = None
    if path.is_dir():
        name = "phy" if any(path.glob("**/params.py")) else "arrays" if any(path.glob("train_*")) else None
    elif path.suffix == ".nwb":
        name = "nwb"
    else:
        try:
            with opened(path) as source:
                there = source.names("/")
        except RecordingError:
            there = []
        if {"train", "test"} & set(there):
            name = "stanford"
        elif any(key.startswith("responses_") for key in there):
            name = "openretina"
    return registry.load("reader", name).Config() if name else None


def _stage(path: Path) -> str | None:
    """The kind of file that a stage wrote; None for any other."""
    if path.is_dir() or path.suffix != ".nc":
        return None
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = file.attrs.get("schema_name")
            return None if found is None else str(found.decode() if isinstance(found, bytes) else found)
    except Exception as error:  # of the HDF5 library, many kinds
        raise FileError(f"{path}: cannot be read as NetCDF ({error}). Delete it and run again.") from None


def _print_stage(path: Path, stage: str, console: Console) -> None:
    with io.open_tree(path) as tree:
        console.print(f"[bold]{escape(str(path))}[/]: {stage}, version {tree.attrs.get('schema_version')}")
        for key in ("settings", "inputs", "code_digest"):
            if tree.attrs.get(key):
                console.print(f"[dim]{key}[/] {escape(str(tree.attrs[key]))}", soft_wrap=True)
        for node in tree.subtree:
            dataset = node.to_dataset(inherit=False)
            if not dataset.variables:
                continue
            table = _table(node.path, "variable", "dimensions", "type", "unit", "values", "meaning")
            for name, variable in dataset.variables.items():
                dims = ", ".join(f"{d} {n}" for d, n in variable.sizes.items())
                about = str(variable.attrs.get("units", "")), _values(variable), str(variable.attrs.get("long_name", ""))
                table.add_row(*map(escape, (str(name), dims, str(variable.dtype), *about)))
            console.print(table)


def _values(variable: xr.Variable) -> str:
    """A number, the range of some, or the first of a few words."""
    if variable.size == 0:
        return ""
    if variable.dtype.kind in "OUST":
        words = [str(word) for word in np.atleast_1d(variable[(slice(0, 4),) * variable.ndim].values).ravel()[:4]]
        return ", ".join(words) + (", ..." if variable.size > 4 else "")
    part = variable[
        tuple(
            slice(0, max(1, 10**6 // max(1, variable.size // n))) if i == 0 else slice(None) for i, n in enumerate(variable.shape)
        )
    ]
    values = part.values
    if values.size == 1 and variable.size == 1:
        return f"{values.item():.6g}"
    finite = values[np.isfinite(values)]
    missing = f", {values.size - finite.size} NaN" if finite.size < values.size else ""
    of = "" if part.size == variable.size else " (of the first)"
    return f"{finite.min():.4g} to {finite.max():.4g}{missing}{of}" if finite.size else "all NaN"


def _raw_rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Name, shape, type and more of everything in a raw file or folder; nothing is followed out of it."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_symlink() or p.is_file()):
            name = str(file.relative_to(path))
            yield (name, "", "link", "not followed") if file.is_symlink() else _file_row(file, name)
    elif h5py.is_hdf5(path):
        yield from _hdf5_rows(path)
    else:
        yield _file_row(path, path.name)


def _file_row(path: Path, name: str) -> tuple[str, str, str, str]:
    size = _bytes(path.stat().st_size)
    try:
        if path.suffix == ".npy":
            array = numpy_array(path)
            return name, str(array.shape), str(array.dtype), size
        if path.suffix.lower() in VIDEO:
            return name, str(movie(path).shape), "video", size
    except RetmechError as error:
        return name, "", "cannot be read", str(error)[-80:]
    return name, "", path.suffix or "file", size


def _bytes(n: int) -> str:
    """A size with a unit that suits it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n} B"


def _hdf5_rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []

    def add(name: str, item: Any) -> None:
        kind = str(item.attrs.get("neurodata_type", "")) if "neurodata_type" in item.attrs else ""
        if isinstance(item, h5py.Dataset):
            stored = _bytes(item.id.get_storage_size())
            rows.append((name, str(item.shape), str(item.dtype), f"{kind} {stored}".strip()))
        elif kind:
            rows.append((name, "", "group", kind))

    with opened(path) as source:
        source.guarded("/", lambda: source.file.visititems(add))
    yield from (row for row in rows if not row[0].startswith("specifications"))


def _summary(raw: RawRecording, reader: str) -> Table:
    """What a reader makes of a raw recording."""
    table = _table(
        f"as {reader}: {raw.frame_rate:g} Hz, {len(raw.cells)} cells, {len(raw.trial_rate)} trials",
        "part",
        "s",
        "frames",
        "pixels",
        "runs",
        "times",
    )
    parts = {"train": raw.train, **({} if raw.test is None else {"test": raw.test})}
    for name, part in parts.items():
        n = len(part.stimulus)
        pixels = f"{part.stimulus.shape[1]} x {part.stimulus.shape[2]}, {part.stimulus.dtype}"
        table.add_row(name, f"{n / raw.frame_rate:.1f}", str(n), pixels, str(len(part.runs)), escape(part.timing))
    for i, cell in enumerate(raw.cells):
        rates = [f"{part.rate[i].mean():.2f} Hz in {PARTS[name]}" for name, part in parts.items()]
        table.add_row(escape(cell), "", "", ", ".join(rates), "", raw.excluded.get(cell, ""))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
