"""Arrays of numbers from MATLAB's files: version 5 to 7.2 by SciPy, version 7.3 as the HDF5 that it is."""

from functools import cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from retmech.errors import RecordingError
from retmech.readers._hdf5 import opened
from retmech.readers._raw import LARGEST, Movie, checked_movie, unreadable


def matlab_array(path: Path) -> NDArray[np.generic]:
    """Return the array of a file, with the axes that it has in MATLAB.

    The file has one array, or one that is called like the file.

    Raises
    ------
    RecordingError
        If it does not, or the array is not of numbers.
    """
    if h5py.is_hdf5(path):
        with opened(path) as source:
            name = _chosen(path, source.names("/"))
            return source.array(name, source.rank(name)).T  # MATLAB's first axis is the one that HDF5 has last
    return _version_5(path)


def matlab_movie(path: Path, n_frames: int) -> Movie:
    """Return the movie of a file, (y, x, time) or (time, y, x) in MATLAB, as (time, y, x).

    Parameters
    ----------
    n_frames
        How many frames it has: says which axis is time.

    Raises
    ------
    RecordingError
        If neither its first nor its last axis is as long.
    """
    if h5py.is_hdf5(path):
        with opened(path) as source:
            name = _chosen(path, source.names("/"))
            stored = source.dataset(name, source.rank(name))
            shape, dtype = stored.shape[::-1], stored.dtype
        last = _time_is_last(path, shape, n_frames)

        def read(start: int, stop: int) -> NDArray[np.generic]:
            with opened(path) as source:
                whole = source.file[name]
                part = source.guarded(name, lambda: whole[start:stop] if last else whole[..., start:stop])
            return _frames(part.T, last)

        return checked_movie(str(path), (n_frames, *_frame_shape(shape, last)), dtype, read)
    _, stored, kind = _head(path)
    last = _time_is_last(path, stored, n_frames)
    whole = cache(lambda: _frames(_version_5(path), last))  # such a file is read as a whole, when it is read
    dtype = np.dtype(np.uint8 if kind == "uint8" else np.float32)
    return checked_movie(str(path), (n_frames, *_frame_shape(stored, last)), dtype, lambda start, stop: whole()[start:stop])


def _head(path: Path) -> tuple[str, tuple[int, ...], str]:
    """Name, shape and class of the array of a file of version 5."""
    try:
        there = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    except Exception as error:  # of a file that is damaged in any way
        raise unreadable(path, "a file of MATLAB", error) from None
    name = _chosen(path, list(there))
    shape, kind = there[name]
    if int(np.prod(shape, dtype=object)) * 8 > LARGEST:
        raise RecordingError(
            f"{path}: {name}: expected at most {LARGEST / 1e9:.0f} GB, found shape {shape}. Save it as version 7.3."
        )
    if kind in {"cell", "struct", "object", "opaque", "function", "char", "sparse"}:
        raise RecordingError(f"{path}: {name}: expected an array of numbers, found a {kind}.")
    return name, shape, kind


def _version_5(path: Path) -> NDArray[np.generic]:
    name, _, _ = _head(path)
    try:
        found: NDArray[np.generic] = loadmat(path, variable_names=[name])[name]
    except Exception as error:
        raise unreadable(path, "a file of MATLAB", error) from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb":
        raise RecordingError(f"{path}: {name}: expected an array of numbers, found type {getattr(found, 'dtype', type(found))}.")
    return found


def _chosen(path: Path, names: list[str]) -> str:
    own = [name for name in names if not name.startswith(("__", "#"))]
    if path.stem in own:
        return path.stem
    if len(own) != 1:
        raise RecordingError(f"{path}: expected one array, or one called {path.stem}, found {', '.join(own)[:200] or 'none'}.")
    return own[0]


def _time_is_last(path: Path, shape: tuple[int, ...], n_frames: int) -> bool:
    """Whether the last axis is time; (time, 1) is how MATLAB keeps frames of one pixel."""
    if len(shape) in {2, 3} and shape[-1] == n_frames:
        return True
    if len(shape) in {2, 3} and shape[0] == n_frames:
        return False
    raise RecordingError(f"{path}: expected {n_frames} frames, (y, x, time) or (time, y, x), found shape {shape}.")


def _frame_shape(shape: tuple[int, ...], last: bool) -> tuple[int, int]:
    y, x = (*(shape[:-1] if last else shape[1:]), 1)[:2]
    return y, x


def _frames(array: NDArray[np.generic], last: bool) -> NDArray[np.generic]:
    """Frames (time, y, x) of an array with MATLAB's axes."""
    n = array.shape[-1] if last else array.shape[0]
    return (np.moveaxis(array, -1, 0) if last else array).reshape(n, *_frame_shape(array.shape, last))
