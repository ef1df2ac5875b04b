"""Movies, times and names from plain files: NumPy, MATLAB, CSV and video, none of which is trusted."""

import csv
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retmech.errors import RecordingError, warn
from retmech.readers._matlab import matlab_array, matlab_movie
from retmech.readers._raw import LARGEST, Movie, checked_movie, unreadable

VIDEO = (".mp4", ".avi", ".mov", ".mkv", ".webm")
LONGEST = 60  # characters of a cell's name


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


def safe_names(names: Iterable[str], place: str) -> list[str]:
    """Return names of cells that can stand in tables and file names; what they are called in the file is said.

    Letters and digits of ASCII, dots, dashes and underscores stay; accents are dropped, all else becomes an underscore. Names
    that differ in nothing else are numbered.
    """
    found: dict[str, str] = {}  # safe -> as it stands in the file
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        safe = base = (re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip("_.-") or "cell")[:LONGEST]
        number = 1
        while safe in found:
            number += 1
            safe = f"{base}_{number}"
        found[safe] = name
    changed = {name: safe for safe, name in found.items() if safe != name}
    if changed:
        warn(f"{place}: names of cells are changed: " + ", ".join(f"{name!r} is {safe}" for name, safe in changed.items()) + ".")
    return list(found)


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
    """Return a CSV file; with a header its columns have names, and all but numbers stays the text that it is.

    Raises
    ------
    RecordingError
        If it cannot be read, or a row has more values than there are columns, naming the line.
    """
    if path.stat().st_size > LARGEST:
        raise RecordingError(f"{path}: expected at most {LARGEST / 1e9:.0f} GB of text.")
    try:
        if not header:
            return pd.read_csv(path, header=None, skipinitialspace=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of values that would be left out
            return pd.read_csv(
                path, skipinitialspace=True, index_col=False, dtype={"cell": str}, keep_default_na=False, na_values={"time": ""}
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise _too_many(path) or unreadable(path, "CSV", error) from None
    except Exception as error:
        raise unreadable(path, "CSV", error) from None


def _too_many(path: Path) -> RecordingError | None:
    """The error that names the first row with more values than there are columns."""
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.reader(file)
        columns = next(rows)
        for row in rows:
            if len(row) > len(columns):
                return RecordingError(
                    f"{path}: line {rows.line_num}: expected {len(columns)} values, found {len(row)}. Is there a decimal comma? "
                    "Decimals have a point."
                )
    return None


def numbers(path: Path, rank: int) -> NDArray[np.float64]:
    """Return numbers from a CSV file without a header, a NumPy or a MATLAB file; one row is as good as one column."""
    values = table(path, header=False).to_numpy() if path.suffix == ".csv" else _array(path)
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


def _array(path: Path) -> NDArray[np.generic]:
    return matlab_array(path) if path.suffix == ".mat" else numpy_array(path)


def movie(path: Path, n_frames: int | None = None) -> Movie:
    """Return the movie of a NumPy, MATLAB or video file; the luminance of a video in colours.

    Parameters
    ----------
    n_frames
        How many it should have; says which axis is time.

    Raises
    ------
    RecordingError
        If it is none, or its axes stand in another order than (time, y, x).
    """
    if path.suffix.lower() in VIDEO:
        return _video(path)
    if path.suffix == ".mat":
        return matlab_movie(path, n_frames or matlab_array(path).shape[-1])
    found = Movie.of(numpy_array(path), str(path))
    if n_frames is not None and len(found) != n_frames == found.shape[2]:
        raise RecordingError(
            f"{path}: expected (time, y, x) with {n_frames} frames, found {found.shape}: time is the last axis. "
            "Save it transposed."
        )
    return found


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
        if rows["time"].dtype.kind not in "iuf" or (rows["cell"] == "").any():
            raise RecordingError(f"{single}: expected a name and a time in s in every row, found others.")
        found = {str(cell): times.to_numpy() for cell, times in rows.groupby("cell")["time"]}
        return {name: partial(check, found[name], f"{single}: {name}") for name in by_number(found)}
    own = folder / "spikes"
    found_files = sorted(own.iterdir()) if own.is_dir() else []
    paths = {path.stem: path for path in found_files}
    if len(paths) < len(found_files):
        raise RecordingError(f"{own}: expected one file for each cell, found several of one name.")
    if not paths:
        raise RecordingError(f"{folder}: expected spikes.csv or files in spikes/, found neither.")
    for path in paths.values():
        if path.suffix not in {".npy", ".mat", ".csv"}:
            raise RecordingError(f"{path}: expected .npy, .mat or .csv files of spike times alone.")

    def times(name: str) -> NDArray[np.float64]:
        return check(_times(inside(paths[name], folder)), str(paths[name]))

    return {name: partial(times, name) for name in by_number(paths)}


def _times(path: Path) -> NDArray[np.generic]:
    """Times in one file, of which there may be none."""
    if path.suffix == ".csv":
        return numbers(path, 1) if path.stat().st_size else np.empty(0)
    array = _array(path)
    return array if array.size else np.empty(0)
