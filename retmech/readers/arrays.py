"""Plain files in a folder: movies as NumPy or MATLAB arrays or videos, times of frames and spikes as such arrays or CSV.

``train_movie.npy`` (time, y, x), ``.mat`` or ``.mp4``, ``train_frames.npy``, ``.mat`` or ``.csv`` with the onset of every frame
in s, ``test_movie`` and ``test_frames`` (trial, frame) in the same way, and ``spikes.csv`` (columns cell and time) or one
``spikes/NAME.npy`` for each cell.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from retmech.errors import RecordingError
from retmech.readers._files import VIDEO, inside, movie, numbers, one_of, spike_checks
from retmech.readers._raw import HEAD, LAST, NO_TEST, Check, Header, RawRecording
from retmech.readers._timing import EventSettings, Shown, from_events, onsets_of, ordered, rate_about

PARTS = ("train", "test")
KINDS = {"movie": (".npy", ".mat", *VIDEO), "frames": (".npy", ".mat", ".csv")}


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
    train, test = shown_movies(path, settings)
    spikes = {name: times() for name, times in spike_checks(path, ordered).items()}
    return from_events(train, test, spikes, f"{path}: spikes", settings)


def header(path: Path, settings: EventSettings, stimulus_class: str = "") -> Header:
    """Return what the files say of their sizes."""
    train, test = shown_movies(path, settings)
    own = path / "spikes"
    return Header(
        (train.movie.shape[1], train.movie.shape[2]),
        len(list(own.iterdir())) if own.is_dir() and not (path / "spikes.csv").exists() else None,
        rate_about(train.onsets[:HEAD], train.place),
        len(train.movie),
        None if test is None else len(test.movie),
    )


def checks(path: Path, settings: EventSettings, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a folder, one thing after the other."""
    yield from movie_checks(path, settings)
    found: dict[str, Check] = {}
    yield lambda: found.update(spike_checks(path, ordered))
    yield from found.values()


def movie_checks(folder: Path, settings: EventSettings) -> Iterator[Check]:
    """Yield what can be wrong with the movies of a folder."""
    if settings.test != LAST and not _has_test(folder):
        yield lambda: _check_test(folder)
    parts = PARTS if settings.test != LAST and _has_test(folder) else PARTS[:1]
    for part, rank in zip(parts, (1, 2), strict=False):
        yield lambda part=part, rank=rank: numbers(one_of(folder, f"{part}_frames", KINDS["frames"]), rank)  # type: ignore[misc]
        yield lambda part=part, rank=rank: _shown(folder, part, rank)  # type: ignore[misc]


def shown_movies(folder: Path, settings: EventSettings) -> tuple[Shown, Shown | None]:
    """Return the movies of training and test with the onsets of their frames; no test movie where none was repeated."""
    if not folder.is_dir():
        raise RecordingError(f"{folder}: expected a folder, found {'a file' if folder.exists() else 'nothing'}.")
    train = _shown(folder, "train", 1)
    if settings.test == LAST:
        return train, None
    _check_test(folder)
    test = _shown(folder, "test", 2)
    if train.movie.shape[1:] != test.movie.shape[1:]:
        raise RecordingError(f"{test.movie.place}: expected frames of {train.movie.shape[1:]}, found {test.movie.shape[1:]}.")
    return train, test


def _has_test(folder: Path) -> bool:
    return any((folder / f"test_movie{suffix}").exists() for suffix in KINDS["movie"])


def _check_test(folder: Path) -> None:
    if not _has_test(folder):
        raise RecordingError(f"{folder}: expected a test movie, found none. {NO_TEST}")


def _shown(folder: Path, part: str, rank: int) -> Shown:
    path = one_of(folder, f"{part}_frames", KINDS["frames"])
    times = numbers(path, rank)
    found = movie(one_of(folder, f"{part}_movie", KINDS["movie"]), times.shape[-1])
    if rank == 2 and times.shape[1] != len(found) == times.shape[0]:
        raise RecordingError(
            f"{path}: expected (presentation, frame), found {times.shape}: the axes are reversed. Save it transposed."
        )
    onsets = np.array([onsets_of(row, len(found), str(path)) for row in times.reshape(-1, times.shape[-1])])
    return Shown(found, onsets if rank == 2 else onsets[0], str(path))
