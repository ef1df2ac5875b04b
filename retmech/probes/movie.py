"""A movie of the user's own, from a NetCDF, NumPy, MP4 or GIF file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import av
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import zoom

from retmech.errors import FileError, RetmechError, warn
from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, judged, peak, responsive

SYMMETRY: tuple[str, ...] = ()
FOUND = "Nothing is known of a movie of one's own."
SOURCE = "the config"
EXPECTED: dict[str, float] = {}
CRITERION = "a response"
VIDEO = {".mp4", ".gif", ".mov", ".avi", ".mkv", ".webm"}


class Config(ProbeSettings):
    """Settings of a movie from a file."""

    probe: Literal["movie"] = "movie"
    path: str = Field(min_length=1, description="file: .nc (its one variable with three dimensions), .npy, .mp4 or .gif")
    frame_rate: float | None = Field(None, gt=0, le=10000, description="of the file, Hz; its own or the recording's if omitted")
    contrast: float | None = Field(1.0, gt=0, le=20, description="standard deviation it is given, training sd; null: as it is")
    resize: bool = Field(False, description="interpolate a movie of another size to the recording's; else it is refused")
    duration: float = Field(60.0, gt=0, le=3600, description="of what is shown, from the movie's start, at most, s")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """The movie at the recording's rate and size, after grey."""
    path = Path(config.path)
    frames, rate = _read(path, config.duration, config.frame_rate)
    rate = config.frame_rate or rate or geometry.frame_rate
    movie = _fitted(path, frames[: max(1, round(config.duration * rate))], geometry, config.resize)
    if abs(rate - geometry.frame_rate) > 1e-6 * rate:
        n = max(1, round(len(movie) * geometry.frame_rate / rate))
        movie = movie[np.minimum((np.arange(n) * rate / geometry.frame_rate).astype(int), len(movie) - 1)]
        warn(f"{path}: {rate:g} frames per second are shown at {geometry.frame_rate:g}, each for as long as it lasts.")
    if config.contrast is not None:
        spread = float(movie.std(dtype=np.float64))
        if spread == 0:
            raise RetmechError(
                f"{path}: all pixels are {float(movie.flat[0]):g}: there is nothing to be seen. Choose another movie."
            )
        movie = (config.contrast * (movie - movie.mean(dtype=np.float64)) / spread).astype(np.float32)
    onset = geometry.frames(200)
    shown = np.concatenate([np.zeros((onset, *geometry.shape), np.float32), movie])
    return Stimulus(
        Movies((1, *shown.shape), lambda _: shown),
        [path.stem],
        {"onset": variable((), onset / geometry.frame_rate, "s", "onset of the movie")},
    )


def _read(path: Path, seconds: float, asked: float | None) -> tuple[NDArray[np.float32], float | None]:
    """Frames (time, y, x), and their rate where the file says it; of a video only as many as are needed."""
    if not path.is_file():
        raise FileError(f"{path}: does not exist. Mend `path`, which is relative to the folder of the config.")
    try:
        if path.suffix.lower() in VIDEO:
            return _video(path, seconds, asked)
        if path.suffix == ".npy":
            frames = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with xr.open_dataset(path, engine="netcdf4", decode_times=False) as data:
                cubes = [v for v in data.data_vars.values() if v.ndim == 3]
                if len(cubes) != 1:
                    raise FileError(f"{path}: expected one variable with three dimensions, (time, y, x); found {len(cubes)}.")
                frames = cubes[0].values
    except (OSError, ValueError, av.FFmpegError) as error:
        raise FileError(f"{path}: cannot be read as a movie ({error}). Expected NetCDF, NumPy, MP4 or GIF.") from None
    if frames.ndim != 3 or frames.dtype.kind not in "uif" or not frames.size:
        raise FileError(f"{path}: expected numbers (time, y, x); found {frames.dtype} {frames.shape}.")
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        raise FileError(f"{path}: has values that are not finite. Replace them.")
    return frames.astype(np.float32), None


def _video(path: Path, seconds: float, asked: float | None) -> tuple[NDArray[np.float32], float | None]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate) if stream.average_rate else None
        frames = []
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format="gray").astype(np.float32))
            if len(frames) >= seconds * (asked or rate or np.inf):
                break
    if not frames:
        raise FileError(f"{path}: has no frames.")
    return np.stack(frames), rate


def _fitted(path: Path, frames: NDArray[np.float32], geometry: Geometry, resize: bool) -> NDArray[np.float32]:
    found, wanted = frames.shape[1:], geometry.shape
    if found == wanted:
        return frames
    if not resize:
        raise RetmechError(
            f"{path}: frames of {found[0]} x {found[1]} pixels; the recording has {wanted[0]} x {wanted[1]}. Set `resize: true`."
        )
    factors = (1, wanted[0] / found[0], wanted[1] / found[1])
    fitted: NDArray[np.float32] = zoom(frames, factors, order=1, grid_mode=True, mode="nearest").astype(np.float32)
    return fitted


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Mean rate, and the largest response with its time from the movie's onset."""
    time, onset = rate["time"].values, float(probe["onset"])
    at, height = peak(rate.values[0], time, onset, time[-1])
    later = rate.values[0, time >= onset - 1e-9].astype(np.float64)
    seen = responsive(height, rate.values[0, 0])
    return {
        "mean_rate": variable("cell", later.mean(axis=0), "Hz", "mean rate"),
        "peak_rate": variable("cell", height, "Hz", "largest response"),
        "peak_time": variable("cell", np.where(seen, at - onset, np.nan), "s", "its time from the onset"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    seen = np.isfinite(found["peak_time"].values)
    return judged(seen, seen)
