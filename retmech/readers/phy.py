"""Spikes sorted by Kilosort or phy, read by spikeinterface, beside movies and frame times in plain files.

A folder with ``params.py``, ``spike_times.npy``, ``spike_clusters.npy`` and the cluster tables, either in it or in ``phy/``, and
the movies and frame times of :mod:`retmech.readers.arrays`. Spikes and frames are timed by the same clock; sample 0 is at 0 s.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retmech.errors import RecordingError
from retmech.readers import arrays
from retmech.readers._files import by_number, cell_name, inside
from retmech.readers._raw import Check, RawRecording, unreadable
from retmech.readers._timing import EventSettings, Times, from_events, ordered
from retmech.readers.arrays import movie_checks, shown_movies

SPIKES = ("spike_times.npy", "spike_clusters.npy")
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
    train, test = shown_movies(path)
    return from_events(train, test, _read_spikes(path, settings), settings)


def checks(path: Path, settings: Config, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a folder, one thing after the other."""
    yield from movie_checks(path)
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
        quality = sorting.get_property("quality")
        if quality is None:
            quality = sorting.get_property("KSLabel")  # what Kilosort says, before a person has looked at it
        units = [str(unit) for unit in sorting.unit_ids]
        rate = float(sorting.get_sampling_frequency())
        samples = {str(unit): sorting.get_unit_spike_train(unit) for unit in sorting.unit_ids}
    except Exception as error:
        raise unreadable(folder, "a folder of phy", error) from None
    if not 1 <= rate <= 1e6:
        raise RecordingError(f"{folder / 'params.py'}: expected a sample_rate in Hz, found {rate:g}.")
    labels = dict(zip(units, ["unsorted"] * len(units) if quality is None else map(str, quality), strict=True))
    chosen = [unit for unit in by_number(units) if labels[unit] in groups]
    if not chosen:
        there = ", ".join(sorted(set(labels.values()))) or "none"
        raise RecordingError(f"{folder}: expected clusters labelled {', '.join(groups)}, found {there}. Set ingest.groups.")
    place = str(folder / "spike_times.npy")
    return {cell_name(f"unit{unit}", place): ordered(np.asarray(samples[unit]) / rate, f"{place}: {unit}") for unit in chosen}
