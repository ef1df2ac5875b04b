"""Binary white noise: receptive fields by reverse correlation."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RetmechError
from retmech.geometry import Geometry
from retmech.labels import lag_coordinate, variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, judged
from retmech.receptive_field import receptive_field_centre, spike_triggered_average
from retmech.streams import stream

SYMMETRY: tuple[str, ...] = ()
FOUND = "A cell's mean stimulus before its response shows where and when it looks."
SOURCE = "Chichilnisky, Network 2001"
EXPECTED: dict[str, float] = {}
CRITERION = "a receptive field"


class Config(ProbeSettings):
    """Settings of the white-noise probe."""

    probe: Literal["white_noise"] = "white_noise"
    check: float = Field(100.0, gt=0, le=100000, description="width of a check, um; rounded to whole pixels")
    contrast: float = Field(1.0, gt=0, le=20, description="of a check, to either side of grey, training sd")
    duration: float = Field(10.0, gt=1, le=3600, description="of the noise, s")
    history: float = Field(400.0, gt=0, le=2000, description="length of the receptive fields, ms")
    seed: int = Field(1, ge=0, lt=2**31, description="of the noise")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """One movie of checks, of which those at the field's edge may be cut."""
    pixels = round(config.check / geometry.pixel_size)
    if not 1 <= pixels <= min(geometry.shape):
        width = min(geometry.shape) * geometry.pixel_size
        raise RetmechError(
            f"white_noise.check = {config.check:g} um: expected {geometry.pixel_size:g} (a pixel) to {width:g} (the field)."
        )
    onset, length = geometry.frames(200), geometry.frames(1e3 * config.duration)
    n_y, n_x = (-(-n // pixels) for n in geometry.shape)

    def draw(_: int) -> NDArray[np.float32]:
        signs = stream(config.seed, "checks of white noise").integers(0, 2, (length, n_y, n_x), np.int8) * 2 - 1
        checks = signs.repeat(pixels, axis=1).repeat(pixels, axis=2)[:, : geometry.shape[0], : geometry.shape[1]]
        grey = np.zeros((onset, *geometry.shape), np.float32)
        return np.concatenate([grey, np.float32(config.contrast) * checks.astype(np.float32)])

    return Stimulus(
        Movies((1, onset + length, *geometry.shape), draw),
        ["noise"],
        {
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the noise"),
            "history": variable((), geometry.frames(config.history) / geometry.frame_rate, "s", "length of the receptive fields"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Rate-weighted mean stimulus, its place, and the lag and sign of its largest value there."""
    time, x, y = rate["time"].values, probe["x"].values, probe["y"].values
    frame_rate = round(1 / (time[1] - time[0]), 6)
    onset, history = (round(float(probe[key]) * frame_rate) for key in ("onset", "history"))
    movie = probe["stimulus"][0].values[onset:]
    r = rate.values[0, onset:].T.astype(np.float32)
    field = spike_triggered_average(movie, r, np.zeros(len(movie), np.int32), history)
    place = receptive_field_centre(field).astype(int)
    course = np.stack([f[:, row, column] for f, (row, column) in zip(field, place, strict=True)])
    main = np.abs(course).argmax(axis=1)
    moves = r.std(axis=1) > 1e-3
    cells = np.arange(len(course))
    return {
        "receptive_field": variable(("cell", "lag", "y", "x"), field, "1", "mean contrast before the response"),
        "lag": lag_coordinate(history, frame_rate),
        "x": probe["x"].variable,
        "y": probe["y"].variable,
        "centre_x": variable("cell", np.where(moves, x[place[:, 1]], np.nan), "um", "place of the receptive field"),
        "centre_y": variable("cell", np.where(moves, y[place[:, 0]], np.nan), "um", "place of the receptive field"),
        "time_to_peak": variable("cell", np.where(moves, main / frame_rate, np.nan), "s", "lag of the largest value there"),
        "polarity": variable(
            "cell", np.where(moves, np.sign(course[cells, main]), np.nan), "1", "its sign: 1 for ON, -1 for OFF"
        ),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    place = found["centre_x"].values
    return judged(np.isfinite(place), np.isfinite(place))
