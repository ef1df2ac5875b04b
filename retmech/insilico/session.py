"""One simulated session in the HDF5 layout of the public recordings (Stanford Digital Repository, rk663dm5577)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from retmech.quality import smoothed_rate

SMOOTHING = (5, 10, 20)  # ms, the widths of the smoothed rates in the public files


@dataclass(frozen=True)
class Session:
    """Movies and spike counts of one stimulus class; a response belongs to the frame *before* its bin."""

    train_movie: NDArray[np.uint8]  # (time, y, x)
    test_movie: NDArray[np.uint8]
    train_count: NDArray[np.int64]  # (cell, time)
    test_count: NDArray[np.int64]  # (repeat, cell, time)
    frame_rate: float  # Hz


def write(path: Path, session: Session, rng: np.random.Generator) -> None:
    """Write a session as ``train/``, ``test/`` and ``spikes/``; cells are named from cell01."""
    with h5py.File(path, "w") as file:
        _write_part(file, "train", session.train_movie, session.train_count, session.frame_rate)
        _write_part(file, "test", session.test_movie, session.test_count.mean(axis=0), session.frame_rate)
        for i in range(session.train_count.shape[0]):
            name = f"cell{i + 1:02d}"
            _create(file, f"test/repeats/{name}", session.test_count[:, i].astype(np.uint8))
            _create(file, f"spikes/{name}", spike_times(session.train_count[i], session.frame_rate, rng))


def spike_times(count: NDArray[np.int64], frame_rate: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sorted spike times in s, uniform within their bins."""
    bins = np.repeat(np.arange(len(count)), count)
    return np.sort((bins + rng.uniform(0, 1, len(bins))) / frame_rate)


def _write_part(file: h5py.File, part: str, movie: NDArray[np.uint8], count: NDArray[np.generic], frame_rate: float) -> None:
    responses: Mapping[str, NDArray[np.generic]] = {
        "binned": count,
        **{f"firing_rate_{width}ms": smoothed_rate(count, width, frame_rate) for width in SMOOTHING},
    }
    _create(file, f"{part}/stimulus", movie, chunks=(min(100, len(movie)), *movie.shape[1:]))
    _create(file, f"{part}/time", np.arange(len(movie)) / frame_rate)
    for name, response in responses.items():
        _create(file, f"{part}/response/{name}", response)


def _create(file: h5py.File, name: str, data: NDArray[np.generic], chunks: tuple[int, ...] | bool = True) -> None:
    compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if data.size else {}
    file.create_dataset(name, data=data, track_times=False, chunks=chunks if data.size else None, **compression)
