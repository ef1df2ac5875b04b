"""One simulated session in the HDF5 layout of the public recordings (Stanford Digital Repository, rk663dm5577)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from retmech.insilico.description import Spikes
from retmech.insilico.spikes import counts, spike_train
from retmech.progress import progress
from retmech.quality import smoothed_rate

SMOOTHING = (5, 10, 20)  # ms, the widths of the smoothed rates in the public files


@dataclass(frozen=True)
class Shown:
    """A movie and the rates it evokes, made while they are written.

    Attributes
    ----------
    frames, size
        Length of the movie, and its height and width in pixels.
    chunks
        Movie (time, y, x) and rates (time, cell), Hz; can be gone through once.
    """

    frames: int
    size: int
    chunks: Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]


@dataclass(frozen=True)
class Session:
    """One stimulus class; a response belongs to the frame *before* its bin."""

    train: Shown
    test: Shown
    repeats: int
    frame_rate: float  # Hz
    spikes: Spikes


def write(path: Path, session: Session, rng: np.random.Generator) -> None:
    """Write a session as ``train/``, ``test/`` and ``spikes/``; cells are named from cell01."""
    rate = session.frame_rate
    with h5py.File(path, "w") as file:
        train = _write_movie(file, "train", session.train, rate)
        trains = [spike_train(cell, rate, session.spikes, rng) for cell in train]
        _write_responses(file, "train", np.stack([counts(times, train.shape[1], rate) for times in trains]), rate)
        test = _write_movie(file, "test", session.test, rate)
        trials = np.array(
            [
                [counts(spike_train(cell, rate, session.spikes, rng), test.shape[1], rate) for cell in test]
                for _ in range(session.repeats)
            ]
        )
        _write_responses(file, "test", trials.mean(axis=0), rate)
        for i, times in enumerate(trains):
            _create(file, f"test/repeats/cell{i + 1:02d}", trials[:, i].astype(np.uint8))
            _create(file, f"spikes/cell{i + 1:02d}", times)


def _write_movie(file: h5py.File, part: str, shown: Shown, frame_rate: float) -> NDArray[np.float64]:
    """Write the movie and return the rates (cell, time) of the bins: each follows the frame that it answers to."""
    shape = (shown.frames, shown.size, shown.size)
    stimulus = _empty(file, f"{part}/stimulus", shape, np.uint8, (min(100, shown.frames), *shape[1:]))
    rates, start = [], 0
    with progress(f"{Path(file.filename).name.strip('.').partition('.')[0]} {part}", shown.frames, "frames") as advance:
        for movie, rate in shown.chunks:
            stimulus[start : start + len(movie)] = movie
            rates.append(rate)
            start += len(movie)
            advance(len(movie))
    rate = np.concatenate(rates)
    _create(file, f"{part}/time", np.arange(shown.frames) / frame_rate)
    return np.concatenate([rate[:1], rate[:-1]]).T


def _write_responses(file: h5py.File, part: str, count: NDArray[np.generic], frame_rate: float) -> None:
    responses: Mapping[str, NDArray[np.generic]] = {
        "binned": count,
        **{f"firing_rate_{width}ms": smoothed_rate(count, width, frame_rate) for width in SMOOTHING},
    }
    for name, response in responses.items():
        _create(file, f"{part}/response/{name}", response)


def _create(file: h5py.File, name: str, data: NDArray[np.generic]) -> None:
    _empty(file, name, data.shape, data.dtype)[...] = data


def _empty(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.typing.DTypeLike, chunks: tuple[int, ...] | bool = True
) -> h5py.Dataset:
    stored = 0 not in shape
    compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if stored else {}
    return file.create_dataset(name, shape, dtype, track_times=False, chunks=chunks if stored else None, **compression)
