"""The HDF5 layout of the public recordings of Maheswaranathan et al. (Neuron 2023), doi:10.25740/rk663dm5577.

``{train,test}/stimulus`` (time, y, x), ``{train,test}/time`` in s, ``{train,test}/response/{binned,firing_rate_10ms,...}``
(cell, time), and the test movie's single trials as ``test/repeats/cell01`` (trial, time) or, in other files, as
``test/repeats/firing_rate_10ms`` (trial, cell, time).
"""

import re
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from retmech.errors import RecordingError
from retmech.quality import smoothed_rate
from retmech.readers._raw import RawPart, RawRecording
from retmech.settings import IngestSettings


def read(path: Path, settings: IngestSettings) -> RawRecording:
    """Read one file.

    Raises
    ------
    RecordingError
        Naming the file, the dataset, what was expected and what was found.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(_Source(path, file), settings)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read as HDF5 ({error}). Is it complete? Try copying it again.") from None


class _Source:
    """An open file whose datasets are looked up with an error that names them."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file

    def fail(self, name: str, expected: str, found: str) -> RecordingError:
        """Return the error that says what is wrong with a dataset."""
        return RecordingError(f"{self.path}: {name}: expected {expected}, found {found}.")

    def has(self, name: str) -> bool:
        """Whether there is a dataset of this name."""
        return isinstance(self.file.get(name), h5py.Dataset)

    def array(self, name: str, rank: int) -> NDArray[np.generic]:
        """Return a numeric dataset of a given rank; it must be finite and not empty."""
        if not self.has(name):
            parent = self.file.get(name.rpartition("/")[0])
            there = ", ".join(parent) if isinstance(parent, h5py.Group) else "no such group"
            raise self.fail(name, f"a dataset with {rank} dimensions", f"none (there: {there})")
        dataset = self.file[name]
        if dataset.dtype.kind not in "iuf":
            raise self.fail(name, "numbers", f"type {dataset.dtype}")
        if dataset.ndim != rank or 0 in dataset.shape:
            raise self.fail(name, f"{rank} dimensions, none empty", f"shape {dataset.shape}")
        values: NDArray[np.generic] = dataset[...]
        if dataset.dtype.kind == "f" and not np.isfinite(values).all():
            raise self.fail(name, "finite values", f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite")
        return values


def _read(source: _Source, settings: IngestSettings) -> RawRecording:
    frame_rate = _frame_rate(source)
    train, test = (_part(source, part, frame_rate, settings.rate_width) for part in ("train", "test"))
    if train.stimulus.shape[1:] != test.stimulus.shape[1:]:
        raise source.fail("test/stimulus", f"frames of {train.stimulus.shape[1:]}", f"{test.stimulus.shape[1:]}")
    names, trial_rate = _trials(source, frame_rate, settings.rate_width, len(train.rate))
    for name, n_cells in (("test/response", len(test.rate)), ("test/repeats", trial_rate.shape[1])):
        if n_cells != len(train.rate):
            raise source.fail(name, f"{len(train.rate)} cells as in train/response", f"{n_cells}")
    return RawRecording(frame_rate, names, train, test, trial_rate)


def _frame_rate(source: _Source) -> float:
    time = source.array("train/time", 1).astype(np.float64)
    interval = np.diff(time)
    if len(time) < 2 or interval.min() <= 0:
        raise source.fail("train/time", "increasing times in s", f"{len(time)} times that do not increase")
    if interval.max() > 1.5 * np.median(interval):
        at = int(interval.argmax())
        raise source.fail("train/time", "evenly spaced frames", f"a gap of {interval[at]:.4g} s after frame {at}")
    return float(round(1 / np.median(interval), 6))


def _part(source: _Source, part: str, frame_rate: float, width: float) -> RawPart:
    stimulus = source.array(f"{part}/stimulus", 3)
    if stimulus.dtype != np.uint8:
        stimulus = stimulus.astype(np.float32)
    count = source.array(f"{part}/response/binned", 2)
    if count.min() < 0:
        raise source.fail(f"{part}/response/binned", "counts", f"the negative value {count.min()}")
    name = f"{part}/response/firing_rate_{width:g}ms"
    rate = source.array(name, 2).astype(np.float32) if source.has(name) else smoothed_rate(count, width, frame_rate)
    if rate.shape != count.shape:
        raise source.fail(name, f"shape {count.shape} as binned", f"{rate.shape}")
    if rate.min() < 0:
        raise source.fail(name, "rates of at least 0 Hz", f"{rate.min()}")
    return RawPart(stimulus, np.rint(count).astype(np.int32), rate)


def _trials(source: _Source, frame_rate: float, width: float, n_cells: int) -> tuple[list[str], NDArray[np.float32]]:
    """Return the cells' names and their single-trial rates (trial, cell, time) from either layout."""
    name = f"test/repeats/firing_rate_{width:g}ms"
    if source.has(name):
        return [f"cell{i + 1:02d}" for i in range(n_cells)], source.array(name, 3).astype(np.float32)
    group = source.file.get("test/repeats")
    cells = [key for key in group if re.fullmatch(r"cell\d+", key)] if isinstance(group, h5py.Group) else []
    if not cells:
        raise source.fail("test/repeats", f"cell01, cell02, ... or {name.rpartition('/')[2]}", "neither")
    cells.sort(key=lambda key: int(key.removeprefix("cell")))
    trials = [source.array(f"test/repeats/{cell}", 2) for cell in cells]
    if len({trial.shape for trial in trials}) > 1:
        raise source.fail("test/repeats", "the same (trial, time) for all cells", f"{[t.shape for t in trials]}")
    stacked = np.stack(trials, axis=1)
    counts = bool((stacked == np.rint(stacked)).all())
    return cells, smoothed_rate(stacked, width, frame_rate) if counts else stacked.astype(np.float32)
