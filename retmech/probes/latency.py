"""Latency coding: full-field dark flashes of swept contrast."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import (
    FULL_FIELD,
    ProbeSettings,
    Stimulus,
    full_field,
    half_rise,
    judged,
    peak,
    responsive,
    slope,
    slope_error,
    whole_frames,
)

SYMMETRY = FULL_FIELD
FOUND = "The latency of the first response falls with contrast, about linearly in its logarithm (slope below 0)."
SOURCE = "Gollisch & Meister, Science 2008"
EXPECTED: dict[str, float] = {}
CRITERION = "slope below -1 ms per decade by more than two standard errors"


class Config(ProbeSettings):
    """Settings of the latency probe."""

    probe: Literal["latency"] = "latency"
    contrasts: list[Annotated[float, Field(ge=-20, le=20)]] = Field(
        [-0.25, -0.5, -0.75, -1.0, -1.5, -2.0, -2.5, -3.0], min_length=2, description="of the flashes, training sd"
    )
    flash: float = Field(20.0, gt=0, le=5000, description="duration of a flash, ms; longer ones are steps")
    window: float = Field(400.0, gt=0, le=5000, description="after the onset in which the response is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """One flash per condition, all at the same time."""
    contrasts = np.array(config.contrasts)
    onset, flash = geometry.frames(200), whole_frames("latency.flash", config.flash, geometry)
    contrast = np.zeros((len(contrasts), onset + max(flash, geometry.frames(config.window)) + geometry.frames(100)))
    contrast[:, onset : onset + flash] = contrasts[:, None]
    return Stimulus(
        full_field(contrast, geometry),
        [f"contrast {c:g} sd" for c in contrasts],
        {
            "contrast": variable("condition", contrasts, "1", "contrast of the flash, training sd"),
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the flash"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Time to the peak and to half of it, and the slope of the former per decade of contrast."""
    time, onset = rate["time"].values, float(probe["onset"])
    window = onset, onset + float(probe["window"])
    baseline = rate.values[0, 0]
    at, height = (np.stack(v) for v in zip(*(peak(r, time, *window) for r in rate.values), strict=True))
    half = np.stack([half_rise(r, time, *window, baseline) for r in rate.values])
    seen = responsive(height, baseline)
    peak_latency, half_latency = (np.where(seen, t - onset, np.nan) for t in (at, half))
    size = np.abs(probe["contrast"].values)
    decades = np.log10(np.where(size > 0, size, np.nan))
    dims = ("condition", "cell")
    return {
        "peak_latency": variable(dims, peak_latency, "s", "time from the onset to the peak"),
        "half_latency": variable(dims, half_latency, "s", "time from the onset to half of the peak"),
        "peak_rate": variable(dims, height, "Hz", "height of the peak"),
        "slope": variable("cell", slope(decades, peak_latency), "s", "change of peak latency per decade of contrast"),
        "slope_error": variable("cell", slope_error(decades, peak_latency), "s", "standard error of the slope"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    slope_, error = found["slope"].values, np.nan_to_num(found["slope_error"].values)
    return judged(slope_ + 2 * error < -1e-3, np.isfinite(slope_))
