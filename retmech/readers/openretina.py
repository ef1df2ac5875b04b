"""The layout of openretina: a folder with one HDF5 file for each session and the movies that sessions share.

``responses_NAME`` (cell, time) in the session's file, and the movie of each name as ``stimulus_NAME`` (channel, time, y, x) there
or as ``stimuli/NAME.npy`` beside it. Optional, and passed over by openretina itself: ``trials_NAME`` (trial, cell, time).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RecordingError
from retmech.quality import smoothed_rate
from retmech.readers._files import inside, joined, numpy_array
from retmech.readers._hdf5 import Source, opened
from retmech.readers._raw import LAST, NO_TEST, Check, Header, Movie, RawPart, RawRecording, checked_movie
from retmech.settings import IngestSettings


class Config(IngestSettings):
    """The layout of openretina: the HDF5 file of a session, with its movies in `stimuli/` beside it or in the file."""

    reader: Literal["openretina"] = "openretina"
    frame_rate: float = Field(30.0, ge=1, le=1000, description="of movies and responses, Hz; the files do not say it")
    test: str | None = Field(
        None,
        pattern=r"^[a-z0-9_][a-z0-9_-]*$",
        max_length=60,
        description="name of the test movie; all others are trained on. `test` or CLASS_test if omitted; last: the last part of "
        "the training movie",
    )
    train: list[str] | None = Field(None, description="names of the movies to train on; all but the test movie if omitted")
    responses: Literal["rate", "count"] = Field("rate", description="what the responses are: rates in Hz, or spikes per frame")
    channel: int = Field(0, ge=0, le=100, description="colour channel of the movies, from 0")


def files(path: Path) -> list[Path]:
    """Return the session's file and the movies beside it that it has responses to."""
    with opened(path) as source:
        named = [name.removeprefix("responses_") for name in source.names("/") if name.startswith("responses_")]
    movies = [path.parent / "stimuli" / f"{name}.npy" for name in sorted(named)]
    return [path, *(inside(movie, path.parent) for movie in movies if movie.exists())]


def read(path: Path, settings: Config, stimulus_class: str = "") -> RawRecording:
    """Read one session.

    Raises
    ------
    RecordingError
        Naming the file, the dataset, what was expected and what was found.
    """
    with opened(path) as source:
        train, test = _names(source, settings, stimulus_class)
        movies = {name: _movie(source, name, settings.channel) for name in (*train, *filter(None, [test]))}
        rates = {name: _response(source, f"responses_{name}", 2, movies[name]) for name in movies}
        cells = len(rates[train[0]])
        for name, rate in rates.items():
            if len(rate) != cells:
                raise source.fail(f"responses_{name}", f"{cells} cells as in responses_{train[0]}", f"{len(rate)}")
        trials = np.zeros((0, cells, 0 if test is None else rates[test].shape[1]))
        if test is not None and source.has(f"trials_{test}"):
            trials = _response(source, f"trials_{test}", 3, movies[test])
            if trials.shape[1:] != rates[test].shape:
                raise source.fail(f"trials_{test}", f"(trial, {cells}, {rates[test].shape[1]})", f"{trials.shape}")
    runs = np.cumsum([0, *(len(movies[name]) for name in train[:-1])])
    whole = joined([movies[name] for name in train])
    if test is not None and whole.shape[1:] != movies[test].shape[1:]:
        raise RecordingError(f"{movies[test].place}: expected frames of {whole.shape[1:]}, found {movies[test].shape[1:]}.")
    return RawRecording(
        settings.frame_rate,
        [f"cell{i + 1:02d}" for i in range(cells)],
        _part(whole, np.concatenate([rates[name] for name in train], axis=1), settings, tuple(runs.tolist())),
        None if test is None else _part(movies[test], rates[test], settings, (0,)),
        _rate(trials, settings),
    )


def header(path: Path, settings: Config, stimulus_class: str = "") -> Header:
    """Return what the datasets say of their sizes."""
    with opened(path) as source:
        train, test = _names(source, settings, stimulus_class)
        cells = source.dataset(f"responses_{train[0]}", 2).shape[0]
        movies = {name: _movie(source, name, settings.channel) for name in (*train, *filter(None, [test]))}
    frames = sum(len(movies[name]) for name in train)
    shape = movies[train[0]].shape[1:]
    return Header((shape[0], shape[1]), cells, settings.frame_rate, frames, None if test is None else len(movies[test]))


def checks(path: Path, settings: Config, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a session, one thing after the other."""
    with opened(path) as source:
        yield lambda: _names(source, settings, stimulus_class)
        for name in sorted(name.removeprefix("responses_") for name in source.names("/") if name.startswith("responses_")):
            yield lambda name=name: source.array(f"responses_{name}", 2)  # type: ignore[misc]
            yield lambda name=name: _movie(source, name, settings.channel)  # type: ignore[misc]
            for kind, rank in (("responses", 2), *([("trials", 3)] if source.has(f"trials_{name}") else [])):
                yield lambda name=name, kind=kind, rank=rank: _response(  # type: ignore[misc]
                    source, f"{kind}_{name}", rank, _movie(source, name, settings.channel)
                )


def _names(source: Source, settings: Config, stimulus_class: str) -> tuple[list[str], str | None]:
    """Movies to train on, and the test movie, if one was repeated."""
    there = sorted(name.removeprefix("responses_") for name in source.names("/") if name.startswith("responses_"))
    usual = [name for name in (f"{stimulus_class}_test", "test") if name in there]
    test = None if settings.test == LAST else settings.test or next(iter(usual), "test")
    if test is not None and test not in there:
        raise source.fail(
            f"responses_{test}",
            "the responses to the test movie (ingest.test)",
            f"{', '.join(there)[:300] or 'none'}. {NO_TEST}",
        )
    train = settings.train or [name for name in there if name != test]
    missing = [name for name in train if name not in there]
    if missing or not train or test in train:
        raise source.fail("/", f"responses to the movies to train on ({', '.join(train) or 'any'})", ", ".join(there)[:300])
    return train, test


def _movie(source: Source, name: str, channel: int) -> Movie:
    """One channel of a movie (channel, time, y, x)."""
    stored, place = f"stimulus_{name}", f"{source.path}: stimulus_{name}"
    path, folder = source.path, source.path.parent
    if source.has(stored):
        shape, dtype = (found := source.dataset(stored, 4)).shape, found.dtype

        def frames(start: int, stop: int) -> NDArray[np.generic]:
            with opened(path) as again:
                return again.guarded(stored, lambda: again.file[stored][channel, start:stop])

    else:
        file = folder / "stimuli" / f"{name}.npy"
        if not file.exists():
            raise source.fail(stored, f"a movie there or in {file}", "neither")
        array = numpy_array(inside(file, folder))
        shape, dtype, place = array.shape, array.dtype, str(file)

        def frames(start: int, stop: int) -> NDArray[np.generic]:
            return array[channel, start:stop]

    if len(shape) != 4 or not channel < shape[0]:
        raise RecordingError(f"{place}: expected (channel, time, y, x) with a channel {channel}, found shape {shape}.")
    return checked_movie(place, shape[1:], dtype, frames)


def _response(source: Source, name: str, rank: int, movie: Movie) -> NDArray[np.float64]:
    values = source.array(name, rank).astype(np.float64)
    if values.shape[-1] != len(movie):
        raise source.fail(name, f"{len(movie)} responses, one for each frame of its movie", f"{values.shape[-1]}")
    if values.min() < 0 or values.max() > np.finfo(np.float32).max:
        raise source.fail(name, "responses of at least 0", f"{values.min():.3g} to {values.max():.3g}")
    return values


def _rate(values: NDArray[np.float64], settings: Config) -> NDArray[np.float32]:
    if settings.responses == "count" and values.size:
        return smoothed_rate(values, settings.rate_width, settings.frame_rate)
    return values.astype(np.float32)


def _part(movie: Movie, values: NDArray[np.float64], settings: Config, runs: tuple[int, ...]) -> RawPart:
    count = np.rint(values).astype(np.int32) if settings.responses == "count" else None
    return RawPart(movie, count, _rate(values, settings), runs)
