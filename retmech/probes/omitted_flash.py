"""Omitted stimulus response: a train of dark flashes stops, and the cell answers to the flash that did not come."""

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
    judged,
    peak,
    responsive,
    slope,
    slope_error,
    whole_frames,
)

SYMMETRY = FULL_FIELD
FOUND = (
    "After the missing flash there is a burst. Its time, measured from the last flash, moves one to one with the period: "
    "it is timed to the expected flash (slope 1)."
)
SOURCE = "Schwartz, Harris, Shrom & Berry, Nature Neuroscience 2007"
EXPECTED = {"slope": 1.0}
CRITERION = "slope between 0.75 and 1.25"


class Config(ProbeSettings):
    """Settings of the omitted-flash probe."""

    probe: Literal["omitted_flash"] = "omitted_flash"
    periods: list[Annotated[float, Field(gt=0, le=1000)]] = Field(
        [80, 100, 120, 140, 160], min_length=2, description="from flash to flash, ms; rounded to whole frames"
    )
    flash: float = Field(20.0, gt=0, le=500, description="duration of a flash, ms")
    flashes: int = Field(8, ge=2, le=100, description="flashes before the omission")
    contrast: float = Field(-2.0, ge=-20, le=20, description="of a flash, training sd")
    tail: float = Field(600.0, gt=0, le=5000, description="after the last flash, ms")
    window: float = Field(300.0, gt=0, le=5000, description="after the omitted flash in which the peak is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """All trains end at the same time; after it there is room for the search, however short the tail asked for."""
    periods = np.array(sorted({whole_frames("omitted_flash.periods", p, geometry) for p in config.periods}))
    flash = whole_frames("omitted_flash.flash", config.flash, geometry)
    last = geometry.frames(400) + (config.flashes - 1) * periods.max()
    after = max(geometry.frames(config.tail), periods.max() + geometry.frames(config.window) + 1)
    contrast = np.zeros((len(periods), last + after))
    for row, period in zip(contrast, periods, strict=True):
        for i in range(config.flashes):
            onset = last - i * period
            row[onset : onset + flash] = config.contrast
    seconds = periods / geometry.frame_rate
    return Stimulus(
        full_field(contrast, geometry),
        [f"period {1e3 * period:g} ms" for period in seconds],
        {
            "period": variable("condition", seconds, "s", "flash period"),
            "last_flash": variable((), last / geometry.frame_rate, "s", "onset of the last flash"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Time and height of the peak after the omitted flash, and the slope of its time against the period."""
    time, period, last = rate["time"].values, probe["period"].values, float(probe["last_flash"])
    baseline = rate.values[0, 0]
    peaks = [peak(r, time, last + p, last + p + float(probe["window"])) for r, p in zip(rate.values, period, strict=True)]
    periodic = np.stack([peak(r, time, last - p, last - time[1])[1] for r, p in zip(rate.values, period, strict=True)])
    at, height = (np.stack(values) for values in zip(*peaks, strict=True))
    seen = np.where(responsive(height, baseline), at - last, np.nan)
    dims = ("condition", "cell")
    return {
        "peak_time": variable(dims, seen, "s", "peak after the omission, from the last flash"),
        "peak_rate": variable(dims, height, "Hz", "height of the peak after the omission"),
        "periodic_rate": variable(dims, periodic, "Hz", "peak of the response in the last full period"),
        "slope": variable("cell", slope(period, seen), "1", "change of peak time per change of period"),
        "slope_error": variable("cell", slope_error(period, seen), "1", "standard error of the slope"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    slope_ = found["slope"].values
    return judged(np.abs(slope_ - 1) <= 0.25, np.isfinite(slope_))
