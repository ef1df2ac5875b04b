"""Photographs seen by a moving eye: jitter and saccades, the same for every recording of a geometry."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.insilico.scenes import Gaze, natural_movie
from retmech.labels import variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, judged
from retmech.streams import stream

SYMMETRY: tuple[str, ...] = ()
FOUND = "Responses to natural scenes are sparse: cells are silent for most of the time."
SOURCE = "Vinje & Gallant, Science 2000 (the index)"
EXPECTED: dict[str, float] = {}
CRITERION = "sparseness above 0.5"


class Config(ProbeSettings):
    """Settings of the natural-scene probe."""

    probe: Literal["natural_scene"] = "natural_scene"
    contrast: float = Field(1.0, gt=0, le=20, description="standard deviation of the movie, training sd")
    fixation: float = Field(1.0, gt=0, le=60, description="mean time between saccades, s")
    drift: float = Field(200.0, ge=0, le=10000, description="sd of the eye's random walk after a second, um")
    jitter: float = Field(0.0, ge=0, le=10000, description="sd of its tremor, drawn anew in every frame, um")
    duration: float = Field(5.0, gt=0, le=3600, description="of the movie, s")
    seed: int = Field(1, ge=0, lt=2**31, description="of eye movements and photographs")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """One movie after grey."""
    onset, length = geometry.frames(200), geometry.frames(1e3 * config.duration)
    n_y, n_x = geometry.shape

    def draw(_: int) -> NDArray[np.float32]:
        rng = stream(config.seed, "natural scene of a probe")
        gaze = Gaze(config.fixation, config.drift / geometry.pixel_size, config.jitter / geometry.pixel_size)
        chunks = natural_movie(length, max(n_y, n_x), geometry.frame_rate, rng, gaze)
        movie = np.concatenate([chunk[:, :n_y, :n_x] for chunk in chunks])
        contrast = config.contrast * (movie - movie.mean(dtype=np.float64)) / max(movie.std(dtype=np.float64), 1e-9)
        return np.concatenate([np.zeros((onset, n_y, n_x)), contrast]).astype(np.float32)

    return Stimulus(
        Movies((1, onset + length, n_y, n_x), draw),
        ["scene"],
        {"onset": variable((), onset / geometry.frame_rate, "s", "onset of the movie")},
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Mean rate, and how sparse the response is: (1 - <r>^2 / <r^2>) / (1 - 1/n)."""
    later = rate.values[0, rate["time"].values >= float(probe["onset"]) - 1e-9].astype(np.float64)
    mean, square = later.mean(axis=0), (later**2).mean(axis=0)
    sparseness = np.divide(square - mean**2, square, out=np.full(mean.shape, np.nan), where=square > 1e-6)
    return {
        "mean_rate": variable("cell", mean, "Hz", "mean rate"),
        "sparseness": variable("cell", sparseness / (1 - 1 / len(later)), "1", "0: always the same rate, 1: one single moment"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    sparseness = found["sparseness"].values
    return judged(sparseness > 0.5, np.isfinite(sparseness))
