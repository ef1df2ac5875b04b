"""Omitted stimulus response: a train of dark flashes stops, and the cell answers to the flash that did not come."""

from collections.abc import Mapping, Sequence
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
CRITERION = "a peak after the omission whose time moves with the period, slope between 0.75 and 1.25"


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
    """All trains end at the same time; after it there is room for the search, however short the tail asked for.

    One flash alone, at the time of the last ones, is the control.
    """
    periods = np.array(sorted({whole_frames("omitted_flash.periods", p, geometry) for p in config.periods}))
    flash = whole_frames("omitted_flash.flash", config.flash, geometry)
    last = geometry.frames(400) + (config.flashes - 1) * periods.max()
    after = max(geometry.frames(config.tail), periods.max() + geometry.frames(config.window) + 1)
    contrast = np.zeros((len(periods) + 1, last + after))
    contrast[-1, last : last + flash] = config.contrast
    for row, period in zip(contrast[:-1], periods, strict=True):
        for i in range(config.flashes):
            onset = last - i * period
            row[onset : onset + flash] = config.contrast
    seconds = periods / geometry.frame_rate
    return Stimulus(
        full_field(contrast, geometry),
        [*(f"period {1e3 * period:g} ms" for period in seconds), "one flash"],
        {
            "period": variable("condition", np.append(seconds, np.nan), "s", "flash period"),
            "last_flash": variable((), last / geometry.frame_rate, "s", "onset of the last flash"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Time and height of the peak after the omitted flash, and the slope of its time against the period.

    A late response to the last flash may lie in the same window. The response to one flash alone is therefore subtracted, and
    the peak is that of the difference; only in cells that show no difference is it that of the response itself.
    """
    time, last = rate["time"].values, float(probe["last_flash"])
    period, alone = probe["period"].values, rate.values[-1]
    trains = rate.values[:-1].astype(np.float64)
    baseline = rate.values[0, 0]
    windows = [(last + p, last + p + float(probe["window"])) for p in period[:-1]]
    excess = _peaks([r - alone + baseline for r in trains], time, windows, baseline)
    plain = _peaks(list(trains), time, windows, baseline)
    burst = np.isfinite(excess).sum(axis=0) > 1
    at = np.vstack([np.where(burst, excess, plain), np.full(len(burst), np.nan)])  # the control has no omission
    height = np.full(at.shape, np.nan)
    for i, k in np.argwhere(np.isfinite(at)):
        height[i, k] = np.interp(at[i, k], time, trains[i, :, k])
    periodic = [peak(r, time, last - p, last - time[1])[1] for r, p in zip(trains, period[:-1], strict=True)]
    regular = np.vstack([*periodic, peak(alone, time, last, time[-1])[1]])
    regular = np.where(responsive(regular, baseline), regular, np.nan)
    after_last = at - last
    dims = ("condition", "cell")
    return {
        "peak_time": variable(dims, after_last, "s", "peak after the omission, from the last flash"),
        "peak_rate": variable(dims, height, "Hz", "response at the peak after the omission"),
        "periodic_rate": variable(dims, regular, "Hz", "peak in the last full period, or after one flash"),
        "slope": variable("cell", slope(period, after_last), "1", "change of peak time per change of period"),
        "slope_error": variable("cell", slope_error(period, after_last), "1", "standard error of the slope"),
    }


def _peaks(
    rates: Sequence[NDArray[np.floating]],
    time: NDArray[np.floating],
    windows: Sequence[tuple[float, float]],
    baseline: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Times of the peaks (period, cell); NaN where none stands out, or the response only falls from before the window."""
    at, height = (np.stack(v) for v in zip(*(peak(r, time, *w) for r, w in zip(rates, windows, strict=True)), strict=True))
    rises = at > np.array([start for start, _ in windows])[:, None] + 1e-9
    return np.where(responsive(height, baseline) & rises, at, np.nan)


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    slope_ = found["slope"].values
    answers = np.isfinite(found["periodic_rate"].values).any(axis=0) | np.isfinite(slope_)
    return judged(np.abs(slope_ - 1) <= 0.25, answers)
