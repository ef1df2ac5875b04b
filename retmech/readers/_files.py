"""Movies, times and names from plain files: NumPy, CSV and video, none of which is trusted."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retmech.errors import RecordingError
from retmech.readers._raw import LARGEST, Movie, checked_movie, unreadable

VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".webm")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def inside(path: Path, folder: Path) -> Path:
    """Return a path after a look that it leads to a file within a folder, links followed.

    Raises
    ------
    RecordingError
        If it leads out of the folder or is no file.
    """
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise RecordingError(f"{path}: leads out of {folder}. Put the file itself there.")
        if not path.is_file():
            raise RecordingError(f"{path}: expected a file, found none.")
    except (OSError, ValueError, RuntimeError) as error:
        raise RecordingError(f"{path!s}: is no path that can be opened ({error}).") from None
    return path


def one_of(folder: Path, stem: str, suffixes: Iterable[str]) -> Path:
    """Return the one file of a name in a folder that has one of some suffixes."""
    found = [folder / f"{stem}{suffix}" for suffix in suffixes if (folder / f"{stem}{suffix}").exists()]
    if len(found) != 1:
        what = ", ".join(path.name for path in found) or "none"
        raise RecordingError(f"{folder}: expected one file {stem} with one of {', '.join(suffixes)}, found {what}.")
    return inside(found[0], folder)


def cell_name(name: object, place: str) -> str:
    """Return a cell's name; it must be one that can stand in tables and file names."""
    text = str(name)
    if not NAME.fullmatch(text):
        raise RecordingError(f"{place}: expected names of letters, digits, dots, dashes and underscores, found {text[:80]!r}.")
    return text


def by_number(names: Iterable[str]) -> list[str]:
    """Sort names so that numbers in them count as numbers."""
    return sorted(
        names, key=lambda name: [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]
    )


def numpy_array(path: Path) -> NDArray[np.generic]:
    """Return a NumPy file as an array that stays in the file; objects in it are not loaded."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise unreadable(path, "a NumPy array", error) from None
    if not isinstance(array, np.ndarray):
        raise RecordingError(f"{path}: expected one array, found an archive.")
    return array


def table(path: Path, header: bool) -> pd.DataFrame:
    """Return a CSV file; with a header its columns have names."""
    if path.stat().st_size > LARGEST:
        raise RecordingError(f"{path}: expected at most {LARGEST / 1e9:.0f} GB of text.")
    try:
        return pd.read_csv(path, header=0 if header else None, skipinitialspace=True)
    except Exception as error:
        raise unreadable(path, "CSV", error) from None


def numbers(path: Path, rank: int) -> NDArray[np.float64]:
    """Return numbers from a CSV file without a header, or a NumPy file; one row is as good as one column."""
    values = numpy_array(path) if path.suffix == ".npy" else table(path, header=False).to_numpy()
    if values.dtype.kind not in "iuf":
        raise RecordingError(f"{path}: expected numbers alone, found type {values.dtype}.")
    if values.nbytes > LARGEST:
        raise RecordingError(f"{path}: expected at most {LARGEST / 1e9:.0f} GB, found shape {values.shape}.")
    found = np.asarray(values, np.float64)
    if rank == 1 and found.ndim == 2 and 1 in found.shape:
        found = found.ravel()
    if rank == 2 and found.ndim == 1:
        found = found[None]
    if found.ndim != rank or not found.size:
        raise RecordingError(f"{path}: expected numbers in {rank} dimension(s), found shape {values.shape}.")
    return found


def movie(path: Path) -> Movie:
    """Return the movie of a NumPy or a video file; the luminance of a video in colours."""
    return _video(path) if path.suffix.lower() in VIDEO else Movie.of(numpy_array(path), str(path))


def joined(movies: list[Movie]) -> Movie:
    """Return movies one after the other as one."""
    first = movies[0]
    if any(m.shape[1:] != first.shape[1:] or m.dtype != first.dtype for m in movies):
        raise RecordingError(f"{first.place}: expected frames of {first.shape[1:]}, found others in {movies[-1].place}.")
    edges = np.cumsum([0, *(len(m) for m in movies)]).tolist()

    def read(start: int, stop: int) -> NDArray[np.generic]:
        parts = [
            m.frames(max(start, a) - a, min(stop, b) - a)
            for m, a, b in zip(movies, edges, edges[1:], strict=False)
            if start < b and stop > a
        ]
        return np.concatenate(parts)

    return Movie(first.place, (edges[-1], *first.shape[1:]), first.dtype, read) if len(movies) > 1 else first


def _video(path: Path) -> Movie:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            height, width = stream.height, stream.width
            n_frames = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
    except Exception as error:
        raise unreadable(path, "a video", error) from None
    return checked_movie(str(path), (n_frames, height, width), np.dtype(np.uint8), _Decoder(path, (height, width)))


class _Decoder:
    """Reads frames in order; going back starts anew, since where a frame lies in a video is known only by decoding it."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self.next = 0
        self.last: list[NDArray[np.generic]] = []  # the frame before the next one
        self.decoded: Iterator[NDArray[np.generic]] | None = None

    def __call__(self, start: int, stop: int) -> NDArray[np.generic]:
        if self.decoded is None or start < self.next - len(self.last):
            self.decoded, self.next, self.last = self._frames(), 0, []
        found = list(self.last) if start < self.next else []  # a frame that stays on the screen is asked for again
        while self.next < stop:
            frame = next(self.decoded, None)
            if frame is None:
                break
            self.next, self.last = self.next + 1, [frame]
            if self.next > start:
                found.append(frame)
        return np.array(found, np.uint8).reshape(-1, *self.shape)

    def _frames(self) -> Iterator[NDArray[np.generic]]:
        try:
            with av.open(str(self.path)) as container:
                for frame in container.decode(video=0):
                    yield frame.reformat(width=self.shape[1], height=self.shape[0], format="gray").to_ndarray()
        except Exception as error:
            raise unreadable(self.path, "a video", error) from None


def spike_checks(
    folder: Path, check: Callable[[NDArray[np.generic], str], NDArray[np.float64]]
) -> dict[str, Callable[[], NDArray[np.float64]]]:
    """How to get each cell's spike times: ``spikes.csv`` (columns cell and time), or one ``spikes/NAME.npy`` or ``.csv`` each."""
    single = folder / "spikes.csv"
    if single.exists():
        rows = table(inside(single, folder), header=True)
        if not {"cell", "time"} <= set(rows.columns):
            raise RecordingError(f"{single}: expected columns cell and time, found {', '.join(map(str, rows.columns))[:200]}.")
        if rows["time"].dtype.kind not in "iuf" or rows["cell"].isna().any():
            raise RecordingError(f"{single}: expected a name and a time in s in every row, found others.")
        found = {cell_name(cell, str(single)): times.to_numpy() for cell, times in rows.groupby("cell")["time"]}
        return {name: partial(check, found[name], f"{single}: {name}") for name in by_number(found)}
    own = folder / "spikes"
    found_files = sorted(own.iterdir()) if own.is_dir() else []
    paths = {path.stem: path for path in found_files}
    if len(paths) < len(found_files):
        raise RecordingError(f"{own}: expected one file for each cell, found several of one name.")
    if not paths:
        raise RecordingError(f"{folder}: expected spikes.csv or files in spikes/, found neither.")
    for path in paths.values():
        if path.suffix not in {".npy", ".csv"}:
            raise RecordingError(f"{path}: expected .npy or .csv files of spike times alone.")

    def times(name: str) -> NDArray[np.float64]:
        return check(_times(inside(paths[name], folder)), str(paths[name]))

    return {cell_name(name, str(own)): partial(times, name) for name in by_number(paths)}


def _times(path: Path) -> NDArray[np.generic]:
    """Times in one file, of which there may be none."""
    if path.suffix == ".npy":
        array = numpy_array(path)
        return array if array.size else np.empty(0)
    return numbers(path, 1) if path.stat().st_size else np.empty(0)
