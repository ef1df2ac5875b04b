"""Full-field steps of light and dark: which polarity a cell prefers, and how transient its response is."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import FULL_FIELD, ProbeSettings, Stimulus, full_field, judged, peak, responsive

SYMMETRY = FULL_FIELD
FOUND = (
    "OFF cells answer dark, ON cells light, ON-OFF cells both; transient responses fall while a step lasts, sustained ones stay."
)
SOURCE = "Hartline, American Journal of Physiology 1938"
EXPECTED: dict[str, float] = {}
CRITERION = "a response to the onset or the end of a step"


class Config(ProbeSettings):
    """Settings of the step probe."""

    probe: Literal["step"] = "step"
    contrast: float = Field(1.0, gt=0, le=20, description="of the light step, training sd; the dark one is its negative")
    duration: float = Field(1000.0, gt=0, le=10000, description="of a step, ms")
    window: float = Field(400.0, gt=0, le=5000, description="after onset and end in which the peak is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """A step of light and one of dark, at the same time."""
    onset, length = geometry.frames(500), geometry.frames(config.duration)
    contrast = np.zeros((2, onset + length + max(length, geometry.frames(config.window) + 1)))
    contrast[:, onset : onset + length] = np.array([[config.contrast], [-config.contrast]])
    return Stimulus(
        full_field(contrast, geometry),
        ["light", "dark"],
        {
            "contrast": variable("condition", np.array([1, -1]) * config.contrast, "1", "contrast of the step, training sd"),
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the step"),
            "offset": variable((), (onset + length) / geometry.frame_rate, "s", "end of the step"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for a peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Peaks after onset and end, the fall until the end of the step, and the preference for light over dark."""
    time, onset, offset, window = rate["time"].values, *(float(probe[key]) for key in ("onset", "offset", "window"))
    frame, baseline = time[1] - time[0], rate.values[0, 0].astype(np.float64)
    stop = min(onset + window, offset - frame)
    first = np.stack([peak(r, time, onset, stop)[1] for r in rate.values])
    second = np.stack([peak(r, time, offset, offset + window)[1] for r in rate.values])
    seen = [np.where(responsive(height, baseline), height - baseline, 0.0) for height in (first, second)]
    last = (time >= offset - 5 * frame - 1e-9) & (time < offset - 1e-9)
    sustained = rate.values[:, last].mean(axis=1, dtype=np.float64) - baseline
    transience = np.divide(seen[0] - sustained, seen[0], out=np.full(first.shape, np.nan), where=seen[0] > 0)
    light, dark = seen[0][0] + seen[1][1], seen[0][1] + seen[1][0]
    total = light + dark
    polarity = np.divide(light - dark, total, out=np.full(total.shape, np.nan), where=total > 0)
    dims = ("condition", "cell")
    return {
        "onset_rate": variable(dims, first, "Hz", "height of the peak after the onset"),
        "offset_rate": variable(dims, second, "Hz", "height of the peak after the end"),
        "transience": variable(dims, transience, "1", "fall from the onset's peak to the end of the step, over that peak"),
        "polarity": variable("cell", polarity, "1", "(light - dark) / (light + dark): 1 for ON, -1 for OFF, 0 for ON-OFF"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    polarity = found["polarity"].values
    return judged(np.isfinite(polarity), np.isfinite(polarity))
