"""Two full-field flashes: whether the second is suppressed or facilitated by the first."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import FULL_FIELD, ProbeSettings, Stimulus, full_field, judged, responsive, whole_frames

SYMMETRY = FULL_FIELD
FOUND = "The response to the second of two flashes is suppressed or facilitated at short intervals and recovers at long ones."
SOURCE = "Lüscher, Journal of Physiology 1971; probe of Maheswaranathan et al., Neuron 2023"
EXPECTED: dict[str, float] = {}
CRITERION = "ratio at the shortest interval at least 0.1 from 1, and nearer to 1 at the longest"


class Config(ProbeSettings):
    """Settings of the paired-flash probe."""

    probe: Literal["paired_flash"] = "paired_flash"
    intervals: list[Annotated[float, Field(gt=0, le=5000)]] = Field(
        [20, 40, 60, 80, 100, 140, 190], min_length=2, description="from onset to onset, ms; rounded to whole frames"
    )
    contrast: float = Field(-2.0, ge=-20, le=20, description="of the flashes, training sd")
    flash: float = Field(10.0, gt=0, le=500, description="duration of a flash, ms")
    window: float = Field(400.0, gt=0, le=5000, description="after a flash in which its response is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """One flash alone, then pairs whose second flash is at the same time as the lone one."""
    intervals = np.array(sorted({whole_frames("paired_flash.intervals", t, geometry) for t in config.intervals}))
    flash = whole_frames("paired_flash.flash", config.flash, geometry)
    onset = geometry.frames(200) + int(intervals.max())
    contrast = np.zeros((len(intervals) + 1, onset + flash + geometry.frames(config.window) + 1))
    contrast[:, onset : onset + flash] = config.contrast
    for row, interval in zip(contrast[1:], intervals.tolist(), strict=True):
        row[onset - interval : onset - interval + flash] = config.contrast
    seconds = intervals / geometry.frame_rate
    return Stimulus(
        full_field(contrast, geometry),
        ["one flash", *(f"interval {1e3 * interval:g} ms" for interval in seconds)],
        {
            "interval": variable("condition", np.append(np.nan, seconds), "s", "from onset to onset"),
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the second flash, or of the only one"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the response"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """What the second flash adds to the response to the first, over the response to one flash: 1 if they do not interact.

    The response to the first flash goes on while the second is seen; it is that of the lone flash, an interval later.
    """
    time, onset = rate["time"].values, float(probe["onset"])
    start = round(onset / (time[1] - time[0]))
    stop = start + round(float(probe["window"]) / (time[1] - time[0])) + 1
    alone = rate.values[0].astype(np.float64)
    baseline = alone[0]
    single = alone[start:stop].max(axis=0) - baseline
    seen = responsive(single + baseline, baseline)
    added = np.full((len(rate), alone.shape[1]), np.nan)
    for i, interval in enumerate(probe["interval"].values[1:], start=1):
        shift = round(float(interval) / (time[1] - time[0]))
        first = np.concatenate([alone[shift:], np.repeat(alone[-1:], shift, axis=0)])  # as if it had come an interval before
        added[i] = (rate.values[i].astype(np.float64) - first)[start:stop].max(axis=0)
    added[0] = single
    ratio = np.divide(added, single, out=np.full(added.shape, np.nan), where=seen & (single > 0))
    shortest, longest = ratio[1], ratio[-1]
    dims = ("condition", "cell")
    return {
        "second_rate": variable(dims, added, "Hz", "what the second flash adds to the rate"),
        "ratio": variable(dims, ratio, "1", "second response over that to one flash; below 1: suppressed"),
        "shortest_ratio": variable("cell", shortest, "1", "ratio at the shortest interval"),
        "recovery": variable(
            "cell",
            np.abs(1 - longest) - np.abs(1 - shortest),
            "1",
            "distance of the ratio from 1, longest minus shortest interval",
        ),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    shortest, recovery = found["shortest_ratio"].values, found["recovery"].values
    return judged((np.abs(shortest - 1) >= 0.1) & (recovery < 0), np.isfinite(shortest))
