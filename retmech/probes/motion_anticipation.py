"""Motion anticipation: a dark bar flashed at many positions, and the same bar moving in both directions."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import (
    BAR,
    ProbeSettings,
    Stimulus,
    bars,
    check_space,
    check_speed,
    judged,
    peak,
    responsive,
    whole_frames,
)

SYMMETRY = BAR
FOUND = "The response to the moving bar peaks ahead of its centre, near its leading edge (lead above 0); fast motion loses it."
SOURCE = "Berry, Brivanlou, Jordan & Meister, Nature 1999"
EXPECTED: dict[str, float] = {}
CRITERION = "lead at the lowest speed above 0, mean over both directions"


class Config(ProbeSettings):
    """Settings of the motion-anticipation probe."""

    probe: Literal["motion_anticipation"] = "motion_anticipation"
    speeds: list[Annotated[float, Field(gt=0, le=100000)]] = Field(
        [440, 880, 1760], min_length=1, description="of the moving bar, um/s; each in both directions"
    )
    positions: int = Field(13, ge=3, le=1000, description="flashed bars, evenly spaced over the field")
    flash: float = Field(20.0, gt=0, le=500, description="duration of a flashed bar, ms")
    width: float = Field(100.0, gt=0, le=10000, description="of the bar, um")
    contrast: float = Field(-1.0, ge=-20, le=20, description="of the bar, training sd")
    window: float = Field(400.0, gt=0, le=5000, description="after a flash in which its peak is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """Flashes come first, then moving bars, which all cross the middle of the field halfway through."""
    check_space("motion_anticipation", geometry)
    check_speed("motion_anticipation.speeds", max(config.speeds), geometry)
    edge = geometry.width / 2 - config.width / 2
    flashed = np.linspace(-edge, edge, config.positions)
    velocity = np.array([sign * speed for speed in config.speeds for sign in (1, -1)])
    crossing = geometry.frames(1e3 * (geometry.width / 2 + config.width) / min(config.speeds))
    onset, flash = geometry.frames(200), whole_frames("motion_anticipation.flash", config.flash, geometry)
    n_frames = max(2 * crossing + 1, onset + geometry.frames(config.window) + 1)
    time = np.arange(n_frames) / geometry.frame_rate
    still = np.full((len(flashed), n_frames), np.nan)
    still[:, onset : onset + flash] = flashed[:, None]
    moving = velocity[:, None] * (time - crossing / geometry.frame_rate)
    nothing = np.full(len(velocity), np.nan)
    return Stimulus(
        bars(np.concatenate([still, moving]), config.width, config.contrast, geometry),
        [*(f"flash at {x:.0f} um" for x in flashed), *(f"motion at {v:+g} um/s" for v in velocity)],
        {
            "position": variable("condition", np.append(flashed, nothing), "um", "position of the flash"),
            "velocity": variable("condition", np.append(np.full(len(flashed), np.nan), velocity), "um/s", "velocity of the bar"),
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the flashes"),
            "crossing": variable((), crossing / geometry.frame_rate, "s", "when moving bars cross the middle"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak of a flash"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """How far before the centre of the flashed profile the moving bar is when the response to it peaks."""
    time, velocity = rate["time"].values, probe["velocity"].values
    moving = np.isfinite(velocity)
    baseline = rate.values[0, 0]
    flashes = rate.values[~moving]
    onset = float(probe["onset"])
    profile = np.stack([peak(r, time, onset, onset + float(probe["window"]))[1] for r in flashes]) - baseline
    profile = np.where(responsive(profile + baseline, baseline), profile, 0.0)
    total = profile.sum(axis=0)
    weighted = (profile * probe["position"].values[~moving][:, None]).sum(axis=0)
    centre = np.divide(weighted, total, out=np.full(total.shape, np.nan), where=total > 0)

    at, height = (np.stack(v) for v in zip(*(peak(r, time, time[0], time[-1]) for r in rate.values), strict=True))
    bar = velocity[:, None] * (at - float(probe["crossing"]))
    lead = (centre - bar) * np.sign(velocity)[:, None]
    lead = np.where(responsive(height, baseline) & moving[:, None], lead, np.nan)
    dims = ("condition", "cell")
    return {
        "peak_rate": variable(dims, height, "Hz", "largest response"),
        "flash_centre": variable("cell", centre, "um", "centre of mass of the peak responses to flashes"),
        "lead_distance": variable(dims, lead, "um", "bar's way to the flash centre at the peak; positive: anticipation"),
        "lead_time": variable(dims, lead / np.abs(velocity)[:, None], "s", "lead distance over speed"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    speed = np.abs(found["velocity"].values)
    lead = found["lead_distance"].values[speed == np.nanmin(speed)]
    known = np.isfinite(lead)
    mean = np.where(known, lead, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return judged(mean > 0, known.any(axis=0))
