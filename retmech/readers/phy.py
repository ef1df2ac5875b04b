"""Spikes sorted by Kilosort or phy, read by spikeinterface, beside movies and frame times in plain files.

A folder with ``params.py``, ``spike_times.npy``, ``spike_clusters.npy`` and the cluster tables, either in it or in ``phy/``, and
the movies and frame times of :mod:`retmech.readers.arrays`. Spikes and frames are timed by the same clock; sample 0 is at 0 s.
"""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from retmech.errors import RecordingError, warn
from retmech.readers import arrays
from retmech.readers._clock import Times
from retmech.readers._files import by_number, inside
from retmech.readers._raw import Check, Header, RawRecording, unreadable
from retmech.readers._timing import EventSettings, from_events, ordered
from retmech.readers.arrays import movie_checks, shown_movies

SPIKES = ("spike_times.npy", "spike_clusters.npy")
UNSORTED = "unsorted"
# Column -> files that have labels in it: phy's, its table of everything, and that of old versions; then what Kilosort says.
TABLES = {
    "group": ("cluster_group.tsv", "cluster_info.tsv", "cluster_groups.csv"),
    "KSLabel": ("cluster_KSLabel.tsv", "cluster_info.tsv"),
}
LARGEST_PARAMETERS = 2**16  # bytes


class Config(EventSettings):
    """A folder with the spikes of Kilosort or phy beside plain movies; needs `pip install retmech[phy]`."""

    reader: Literal["phy"] = "phy"
    groups: list[str] = Field(["good"], min_length=1, description="labels of the clusters that are cells")


def files(path: Path) -> list[Path]:
    """Return all files that a recording is made of: not the raw voltages that lie beside them."""
    folder = _sorted_in(path)
    tables = [found for found in sorted(folder.iterdir()) if found.suffix in {".tsv", ".csv"}]
    own = [folder / name for name in ("params.py", *SPIKES)]
    found = [inside(file, path) for file in (*own, *tables) if file.exists()]
    return list(dict.fromkeys([*arrays.files(path), *found]))


def read(path: Path, settings: Config, stimulus_class: str = "") -> RawRecording:
    """Read one folder.

    Raises
    ------
    RecordingError
        Naming the file, what was expected and what was found.
    """
    train, test = shown_movies(path, settings)
    return from_events(train, test, _read_spikes(path, settings), f"{_sorted_in(path)}: spikes", settings)


def header(path: Path, settings: Config, stimulus_class: str = "") -> Header:
    """Return what the files say of their sizes; how many clusters are cells is known only when they are read."""
    return replace(arrays.header(path, settings, stimulus_class), cells=None)


def checks(path: Path, settings: Config, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a folder, one thing after the other."""
    yield from movie_checks(path, settings)
    yield lambda: check_parameters(inside(_sorted_in(path) / "params.py", path))
    yield lambda: _read_spikes(path, settings)


def _sorted_in(path: Path) -> Path:
    return path / "phy" if (path / "phy").is_dir() else path


def _read_spikes(path: Path, settings: Config) -> dict[str, Times]:
    folder = _sorted_in(path)
    check_parameters(inside(folder / "params.py", path))
    for name in SPIKES:
        inside(folder / name, path)
    return _spikes(folder, settings.groups)


def check_parameters(path: Path) -> None:
    """Refuse a ``params.py`` that is more than names and values: it is run as a program by what reads it.

    Raises
    ------
    RecordingError
        Naming the line.
    """
    if path.stat().st_size > LARGEST_PARAMETERS:
        raise RecordingError(f"{path}: expected a few lines, found {path.stat().st_size} bytes.")
    try:
        lines = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise unreadable(path, "phy's parameters", error) from None
    for line in lines:
        named = isinstance(line, ast.Assign) and all(isinstance(target, ast.Name) for target in line.targets)
        try:
            ast.literal_eval(line.value if named else line)  # type: ignore[attr-defined]
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise RecordingError(
                f"{path}: line {line.lineno}: expected NAME = VALUE, found something that would be run."
            ) from None


def _spikes(folder: Path, groups: list[str]) -> dict[str, Times]:
    try:
        from spikeinterface.extractors import read_phy
    except ImportError:
        raise RecordingError(f"{folder}: spikes of phy are read by spikeinterface: pip install 'retmech[phy]'.") from None
    try:
        sorting: Any = read_phy(folder)
        units = [str(unit) for unit in sorting.unit_ids]
        rate = float(sorting.get_sampling_frequency())
        samples = {str(unit): sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}
    except Exception as error:
        raise unreadable(folder, "a folder of phy", error) from None
    if not 1 <= rate <= 1e6:
        raise RecordingError(f"{folder / 'params.py'}: expected a sample_rate in Hz, found {rate:g}.")
    labels = _labels(folder)
    chosen = [unit for unit in by_number(units) if labels.get(unit, UNSORTED) in groups]
    if not chosen:
        there = ", ".join(sorted({labels.get(unit, UNSORTED) for unit in units})) or "none"
        raise RecordingError(f"{folder}: expected clusters labelled {', '.join(groups)}, found {there}. Set ingest.groups.")
    place = str(folder / "spike_times.npy")
    return {f"unit{unit}": ordered(np.asarray(samples[unit]) / rate, f"{place}: {unit}") for unit in chosen}


def _labels(folder: Path) -> dict[str, str]:
    """Cluster -> its label, by the table that was written last; Kilosort's own labels only where a person gave none."""
    for column, names in TABLES.items():
        tables = {path: _table(path, column) for path in (folder / name for name in names) if path.is_file()}
        found = {path: labels for path, labels in tables.items() if labels}
        if not found:
            continue
        newest = max(found, key=lambda path: path.stat().st_mtime_ns)
        for path, labels in found.items():
            other = by_number(unit for unit, label in labels.items() if found[newest].get(unit, label) != label)
            if other:
                warn(
                    f"{path}: labels of clusters {', '.join(other[:10])} differ from those of {newest.name}, which was written "
                    "last and is used."
                )
        return found[newest]
    return {}


def _table(path: Path, column: str) -> dict[str, str]:
    """One column of a table of clusters, whose columns are parted by tabs or commas whatever the file's name says."""
    try:
        with inside(path, path.parent).open(encoding="utf-8-sig") as file:
            parted = "\t" if "\t" in file.readline() else ","
        rows = pd.read_csv(path, sep=parted, dtype=str, keep_default_na=False)
    except RecordingError:
        raise
    except Exception as error:
        raise unreadable(path, "a table of clusters", error) from None
    key = next((name for name in ("cluster_id", "id") if name in rows.columns), None)
    if key is None or column not in rows.columns:
        return {}
    return {unit: label for unit, label in zip(rows[key], rows[column], strict=True) if label}
