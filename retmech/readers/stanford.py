"""The HDF5 layout of the public recordings of Maheswaranathan et al. (Neuron 2023), doi:10.25740/rk663dm5577.

``{train,test}/stimulus`` (time, y, x), ``{train,test}/time`` in s, ``{train,test}/response/{binned,firing_rate_10ms,...}``
(cell, time), the test movie's single trials as ``test/repeats/cell01`` (trial, time) or, in other files, as
``test/repeats/firing_rate_10ms`` (trial, cell, time), and ``spikes/cell01`` in s.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.quality import pearson, smoothed_rate
from retmech.readers._clock import frame_clock, frame_period
from retmech.readers._hdf5 import Source, opened
from retmech.readers._raw import HEAD, LAST, NO_TEST, SAME_RATE, Check, Header, RawPart, RawRecording
from retmech.readers._timing import in_words, ordered, plausible, rate_about, rate_of, say
from retmech.settings import IngestSettings

MOST = 4  # bins that a shift between spike times and counts is looked for
CHECKED = 200_000  # bins
CLOSE = 3  # a movie and its responses differ by fewer bins
SAME = 0.99  # correlation of counts that are the same


class Config(IngestSettings):
    """The public recordings' layout: one HDF5 file for each stimulus class."""

    reader: Literal["stanford"] = "stanford"
    blocks: int = Field(6, ge=1, le=1000, description="equal blocks that the training movie is made of")
    skip: float = Field(60.0, ge=0, le=3600, description="start of each block left out (adaptation), s")


def read(path: Path, settings: IngestSettings, stimulus_class: str = "") -> RawRecording:
    """Read one file.

    Raises
    ------
    RecordingError
        Naming the file, the dataset, what was expected and what was found.
    """
    with opened(path) as source:
        return _read(source, settings)


def header(path: Path, settings: IngestSettings, stimulus_class: str = "") -> Header:
    """Return what the datasets say of their sizes."""
    with opened(path) as source:
        movie, count = source.dataset("train/stimulus", 3).shape, source.dataset("train/response/binned", 2).shape
        rate = rate_about(source.dataset("train/time", 1)[:HEAD], f"{path}: train/time")
        test = None if settings.test == LAST else source.dataset("test/stimulus", 3).shape[0]
    return Header(movie[1:], count[0], rate, movie[0], test)


def checks(path: Path, settings: IngestSettings, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a file, one thing after the other."""
    with opened(path) as source:
        yield lambda: _frame_rate(source, "train")
        for part in _there(settings):
            yield lambda part=part: source.array(f"{part}/response/binned", 2)  # type: ignore[misc]
            yield lambda part=part: source.movie(f"{part}/stimulus")  # type: ignore[misc]
            yield lambda part=part: _part(source, part, 1.0, settings.rate_width, "")  # type: ignore[misc]
        if settings.test != LAST:
            yield lambda: _trials(source, 1.0, settings.rate_width, 1)
        for cell in _cells(source, "spikes"):
            yield lambda cell=cell: _times(source, cell)  # type: ignore[misc]


def _there(settings: IngestSettings) -> tuple[str, ...]:
    return ("train",) if settings.test == LAST else ("train", "test")


def _read(source: Source, settings: IngestSettings) -> RawRecording:
    frame_rate, timing = _frame_rate(source, "train")
    width = settings.rate_width
    train = _part(source, "train", frame_rate, width, timing)
    if settings.test == LAST:
        cells = _cells(source, "spikes")
        names = cells if len(cells) == len(train.rate) else _numbered(len(train.rate))
        test, trial_rate = None, np.empty((0, len(names), 0), np.float32)
    else:
        names, test, trial_rate = _read_test(source, frame_rate, width, train)
    times = _spike_times(source, names)
    if times is not None and train.spike_count is not None and settings.check_lag:
        _check_lag(source, frame_rate, train.spike_count, times)
    return RawRecording(frame_rate, names, train, test, trial_rate, times)


def _read_test(source: Source, frame_rate: float, width: float, train: RawPart) -> tuple[list[str], RawPart, NDArray[np.float32]]:
    if not source.has("test/stimulus"):
        raise source.fail("test/stimulus", "a test movie", f"none. {NO_TEST}")
    timing = ""
    if source.has("test/time"):
        found, timing = _frame_rate(source, "test")
        if abs(found / frame_rate - 1) > SAME_RATE and abs(found / frame_rate - 1) * len(train.rate[0]) > 1:
            raise source.fail("test/time", f"{frame_rate:g} frames per second as in training", f"{found:g}")
    test = _part(source, "test", frame_rate, width, timing)
    if train.stimulus.shape[1:] != test.stimulus.shape[1:]:
        raise source.fail("test/stimulus", f"frames of {train.stimulus.shape[1:]}", f"{test.stimulus.shape[1:]}")
    names, trial_rate = _trials(source, frame_rate, width, len(train.rate))
    for name, n_cells in (("test/response", len(test.rate)), ("test/repeats", trial_rate.shape[1])):
        if n_cells != len(train.rate):
            raise source.fail(name, f"{len(train.rate)} cells as in train/response", f"{n_cells}")
    return names, test, trial_rate


def _check_lag(source: Source, frame_rate: float, count: NDArray[np.int32], times: tuple[NDArray[np.float64], ...]) -> None:
    """Refuse counts that are those of the spike times, but in other bins. Times on another clock say nothing."""
    n_bins = min(count.shape[1], CHECKED)
    start = float(source.array("train/time", 1)[0])
    edges = start + np.arange(n_bins + 1) / frame_rate
    own = np.array([np.histogram(cell, edges)[0] for cell in times])
    agreement = {}
    for shift in range(-MOST, MOST + 1):
        inner = slice(MOST, n_bins - MOST)
        moved = count[:, MOST + shift : n_bins - MOST + shift]
        agreement[shift] = np.nan_to_num(pearson(own[:, inner].astype(float).ravel(), moved.astype(float).ravel()))
    best = max(agreement, key=lambda shift: float(agreement[shift]))
    if best and agreement[best] > SAME > agreement[0]:
        raise source.fail(
            "train/response/binned",
            "the counts of the times in spikes/",
            f"them {abs(best)} bin(s) {'late' if best > 0 else 'early'}. Mend the file; "
            "if it is right, set ingest.check_lag to false",
        )


def _frame_rate(source: Source, part: str) -> tuple[float, str]:
    """Rate of a movie whose responses are counted frame by frame: nothing can be made good of frames that stayed or paused."""
    name = f"{part}/time"
    place = f"{source.path}: {name}"
    time = ordered(source.array(name, 1), place)
    if len(time) < 2:
        raise source.fail(name, "increasing times in s", f"{len(time)}")
    clock = frame_clock(time, frame_period([time], place))
    if len(clock.runs) > 1 or (clock.stay > 1).any():
        at = clock.runs[0][1] - 1 if len(clock.runs) > 1 else int(np.flatnonzero(clock.stay > 1)[0])
        raise source.fail(name, "evenly spaced frames", f"a gap of {time[at + 1] - time[at]:.4g} s after frame {at}")
    say([clock], place)
    return plausible(rate_of([clock]), place), in_words([clock])


def _part(source: Source, part: str, frame_rate: float, width: float, timing: str) -> RawPart:
    stimulus = source.movie(f"{part}/stimulus")
    count = source.array(f"{part}/response/binned", 2)
    if count.min() < 0:
        raise source.fail(f"{part}/response/binned", "counts", f"the negative value {count.min()}")
    if count.max() > np.iinfo(np.int32).max:
        raise source.fail(f"{part}/response/binned", "counts", f"the value {count.max():.3g}")
    if part == "train" and (count != np.rint(count)).any():
        raise source.fail(
            f"{part}/response/binned", "whole numbers of spikes", f"the value {count[count != np.rint(count)][0]:.4g}"
        )
    name = f"{part}/response/firing_rate_{width:g}ms"
    _check_axes(source, part, stimulus.shape, count.shape)
    rate = source.array(name, 2).astype(np.float32) if source.has(name) else smoothed_rate(count, width, frame_rate)
    if rate.shape != count.shape:
        raise source.fail(name, f"shape {count.shape} as binned", f"{rate.shape}")
    if not 0 <= rate.min() <= rate.max() < np.inf:
        raise source.fail(name, "rates of at least 0 Hz", f"{rate.min():.3g} to {rate.max():.3g}")
    return RawPart(stimulus, np.rint(count).astype(np.int32), rate, timing=timing)


def _check_axes(source: Source, part: str, movie: tuple[int, ...], count: tuple[int, ...]) -> None:
    """Name axes that stand in the reverse order, as MATLAB's HDF5 files have them."""
    if abs(movie[0] - count[0]) < CLOSE < abs(movie[0] - count[1]):
        raise source.fail(f"{part}/response/binned", f"(cell, time) with {movie[0]} bins", f"{count}: the axes are reversed")
    if abs(movie[2] - count[1]) < CLOSE < abs(movie[0] - count[1]):
        raise source.fail(f"{part}/stimulus", f"(time, y, x) with {count[1]} frames", f"{movie}: the axes are reversed")


def _trials(source: Source, frame_rate: float, width: float, n_cells: int) -> tuple[list[str], NDArray[np.float32]]:
    """Return the cells' names and their single-trial rates (trial, cell, time) from either layout."""
    name = f"test/repeats/firing_rate_{width:g}ms"
    if source.has(name):
        return _numbered(n_cells), _finite(source, name, source.array(name, 3))
    cells = _cells(source, "test/repeats")
    if not cells:
        raise source.fail("test/repeats", f"cell01, cell02, ... or {name.rpartition('/')[2]}", "neither")
    trials = [source.array(f"test/repeats/{cell}", 2) for cell in cells]
    if len({trial.shape for trial in trials}) > 1:
        raise source.fail("test/repeats", "the same (trial, time) for all cells", f"{[t.shape for t in trials]}")
    stacked = np.stack(trials, axis=1)
    counts = bool((stacked == np.rint(stacked)).all())
    return cells, _finite(source, "test/repeats", smoothed_rate(stacked, width, frame_rate) if counts else stacked)


def _finite(source: Source, name: str, values: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rate = values.astype(np.float32)
    if not np.isfinite(rate).all():
        raise source.fail(name, "rates in Hz", f"values up to {np.abs(values).max():.3g}")
    return rate


def _numbered(n_cells: int) -> list[str]:
    return [f"cell{i + 1:02d}" for i in range(n_cells)]


def _cells(source: Source, group: str) -> list[str]:
    """Names of cells in a group, sorted by their numbers."""
    cells = [name for name in source.names(group) if re.fullmatch(r"cell[0-9]{1,9}", name)]
    return sorted(cells, key=lambda name: int(name.removeprefix("cell")))


def _spike_times(source: Source, cells: list[str]) -> tuple[NDArray[np.float64], ...] | None:
    """Each cell's spike times where the file has them for all cells: the i-th name is the i-th cell, however they are counted."""
    names = _cells(source, "spikes")
    if len(names) != len(cells):
        return None
    return tuple(_times(source, name) for name in names)


def _times(source: Source, cell: str) -> NDArray[np.float64]:
    """Spike times of one cell; one that never fires may have an empty dataset."""
    name = f"spikes/{cell}"
    if source.has(name) and not source.file[name].size:
        return np.empty(0)
    rank = 2 if source.rank(name) == 2 else 1  # (n, 1) and (1, n), as MATLAB writes them
    return ordered(source.array(name, rank), f"{source.path}: {name}")
