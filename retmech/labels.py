"""Small helpers that label arrays: every variable of a file has a unit and a name that a person can read."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.geometry import Geometry
from retmech.quality import INTERVAL

RECORDED, TRUTH = "recorded retina", "simulated retina"  # whose own responses stand beside the models'


def variable(dims: str | tuple[str, ...], values: Any, units: str, long_name: str) -> xr.Variable:
    """Return a variable with its unit and its long name."""
    return xr.Variable(dims, values, {"units": units, "long_name": long_name})


def pixel_coordinates(shape: tuple[int, int], pixel_size: float) -> dict[str, xr.Variable]:
    """Return the positions of pixel centres in um, zero in the middle of the field."""

    def axis(n: int) -> NDArray[np.floating]:
        return (np.arange(n) - (n - 1) / 2) * pixel_size

    return {
        "y": variable("y", axis(shape[0]), "um", "vertical position on the retina"),
        "x": variable("x", axis(shape[1]), "um", "horizontal position on the retina"),
    }


def cell_coordinate(cells: list[str]) -> xr.Variable:
    """Return the names of the ganglion cells as a coordinate."""
    return variable("cell", np.asarray(cells), "1", "ganglion cell")


def lag_coordinate(history: int, frame_rate: float) -> xr.Variable:
    """Return the times before the newest frame in s, newest first."""
    return variable("lag", np.arange(history) / frame_rate, "s", "time before the newest frame")


def time_coordinate(n_frames: int, frame_rate: float) -> xr.Variable:
    """Return the onset times of consecutive frames in s."""
    return variable("time", np.arange(n_frames) / frame_rate, "s", "time")


def quantile_coordinate() -> xr.Variable:
    """Return the quantiles of confidence intervals."""
    return variable("quantile", np.array(INTERVAL), "1", "quantile")


def geometry_of(data: xr.DataTree | xr.Dataset) -> Geometry:
    """Return the geometry of a recording, model or probe."""
    return Geometry(
        shape=(data.sizes["y"], data.sizes["x"]),
        frame_rate=float(data["frame_rate"].item()),
        pixel_size=float(data["pixel_size"]),
    )


def geometry_variables(geometry: Geometry) -> dict[str, xr.Variable]:
    """Return frame rate and pixel size as variables."""
    return {
        "frame_rate": variable((), geometry.frame_rate, "Hz", "frame rate"),
        "pixel_size": variable((), geometry.pixel_size, "um", "width of a pixel on the retina"),
    }
