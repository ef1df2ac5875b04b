"""Plain files in a folder: movies as NumPy arrays or videos, times of frames and spikes as NumPy arrays or CSV.

``train_movie.npy`` (time, y, x) or ``.mp4``, ``train_frames.npy`` or ``.csv`` with the onset of every frame in s, ``test_movie``
and ``test_frames`` (trial, frame) in the same way, and ``spikes.csv`` (columns cell and time) or one ``spikes/NAME.npy`` for
each cell.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retmech.errors import RecordingError
from retmech.readers._files import VIDEO, inside, movie, numbers, one_of, spike_checks
from retmech.readers._raw import Check, RawRecording
from retmech.readers._timing import EventSettings, Shown, from_events, onsets_of, ordered

PARTS = ("train", "test")
KINDS = {"movie": (".npy", *VIDEO), "frames": (".npy", ".csv")}


class Config(EventSettings):
    """Plain files in a folder, one folder for each stimulus class."""

    reader: Literal["arrays"] = "arrays"


def files(path: Path) -> list[Path]:
    """Return all files that a recording is made of."""
    names = [f"{part}_{what}{suffix}" for part in PARTS for what, suffixes in KINDS.items() for suffix in suffixes]
    spikes = sorted((path / "spikes").glob("*"))
    return [inside(found, path) for found in (*(path / name for name in names), path / "spikes.csv", *spikes) if found.exists()]


def read(path: Path, settings: EventSettings, stimulus_class: str = "") -> RawRecording:
    """Read one folder.

    Raises
    ------
    RecordingError
        Naming the file, what was expected and what was found.
    """
    train, test = shown_movies(path)
    spikes = {name: times() for name, times in spike_checks(path, ordered).items()}
    return from_events(train, test, spikes, settings)


def checks(path: Path, settings: EventSettings, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a folder, one thing after the other."""
    yield from movie_checks(path)
    found: dict[str, Check] = {}
    yield lambda: found.update(spike_checks(path, ordered))
    yield from found.values()


def movie_checks(folder: Path) -> Iterator[Check]:
    """Yield what can be wrong with the movies of a folder."""
    for part, rank in zip(PARTS, (1, 2), strict=True):
        yield lambda part=part: movie(one_of(folder, f"{part}_movie", KINDS["movie"]))  # type: ignore[misc]
        yield lambda part=part, rank=rank: numbers(one_of(folder, f"{part}_frames", KINDS["frames"]), rank)  # type: ignore[misc]
        yield lambda part=part, rank=rank: _shown(folder, part, rank)  # type: ignore[misc]


def shown_movies(folder: Path) -> tuple[Shown, Shown]:
    """Return the movies of training and test with the onsets of their frames."""
    if not folder.is_dir():
        raise RecordingError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}.")
    train, test = _shown(folder, "train", 1), _shown(folder, "test", 2)
    if train.movie.shape[1:] != test.movie.shape[1:]:
        raise RecordingError(f"{test.movie.place}: expected frames of {train.movie.shape[1:]}, found {test.movie.shape[1:]}.")
    return train, test


def _shown(folder: Path, part: str, rank: int) -> Shown:
    found = movie(one_of(folder, f"{part}_movie", KINDS["movie"]))
    path = one_of(folder, f"{part}_frames", KINDS["frames"])
    times: NDArray[np.float64] = numbers(path, rank)
    onsets = np.array([onsets_of(row, len(found), str(path)) for row in times.reshape(-1, times.shape[-1])])
    return Shown(found, onsets if rank == 2 else onsets[0], str(path))
