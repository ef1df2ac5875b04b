"""Motion reversal: a dark bar crosses the field at constant speed and suddenly turns back."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import BAR, ProbeSettings, Stimulus, bars, check_speed, judged, peak, responsive

SYMMETRY = BAR
FOUND = "A synchronous burst follows the reversal at a fixed delay, wherever in the field it happened (ratio above 1)."
SOURCE = "Schwartz, Taylor, Fisher, Harris & Berry, Neuron 2007; Chen et al., J. Neurosci. 2013"
EXPECTED: dict[str, float] = {}
CRITERION = (
    "peak after the reversal above that in smooth motion, mean over positions, with a delay that spreads by less than 30 ms"
)


class Config(ProbeSettings):
    """Settings of the motion-reversal probe."""

    probe: Literal["motion_reversal"] = "motion_reversal"
    positions: list[Annotated[float, Field(ge=-10000, le=10000)]] = Field(
        [-150, -100, -50, 0, 50, 100, 150], min_length=1, description="of the reversals, um from the middle of the field"
    )
    speed: float = Field(880.0, gt=0, le=100000, description="of the bar, um/s")
    width: float = Field(100.0, gt=0, le=10000, description="of the bar, um")
    contrast: float = Field(-1.0, ge=-20, le=20, description="of the bar, training sd")
    window: float = Field(400.0, gt=0, le=5000, description="after the reversal in which the peak is sought, ms")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """All reversals happen at the same time; the last condition goes on smoothly."""
    check_speed("motion_reversal.speed", config.speed, geometry)
    reversals = np.array(config.positions, np.float64)
    approach = geometry.frames(1e3 * (geometry.width / 2 + config.width + np.abs(reversals).max()) / config.speed)
    time = (np.arange(2 * approach + 1) - approach) / geometry.frame_rate
    turned = reversals[:, None] - config.speed * np.abs(time)
    position = np.concatenate([turned, config.speed * time[None]])
    where = np.append(reversals, np.nan)
    return Stimulus(
        bars(position, config.width, config.contrast, geometry),
        [*(f"reversal at {x:g} um" for x in reversals), "smooth motion"],
        {
            "reversal_position": variable("condition", where, "um", "bar position at the reversal"),
            "reversal": variable((), approach / geometry.frame_rate, "s", "time of the reversal"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Height and delay of the peak after the reversal, against the peak of the response to smooth motion."""
    time, at_reversal = rate["time"].values, float(probe["reversal"])
    smooth = np.isnan(probe["reversal_position"].values)
    window = at_reversal, at_reversal + float(probe["window"])
    at, height = (np.stack(v) for v in zip(*(peak(r, time, *window) for r in rate.values), strict=True))
    smooth_peak = rate.values[smooth].max(axis=(0, 1)).astype(np.float64)
    shown = responsive(height, rate.values[0, 0]) & ~smooth[:, None]
    delay = np.where(shown, at - at_reversal, np.nan)
    ratio = np.where(shown, height / np.maximum(smooth_peak, 1e-9), np.nan)
    known = np.isfinite(delay).sum(axis=0) > 1
    spread = np.full(delay.shape[1], np.nan)
    spread[known] = np.nanstd(delay[:, known], axis=0)
    dims = ("condition", "cell")
    return {
        "peak_delay": variable(dims, delay, "s", "time from the reversal to the peak"),
        "peak_rate": variable(dims, height, "Hz", "height of the peak after the reversal"),
        "ratio": variable(dims, ratio, "1", "peak after the reversal over peak in smooth motion"),
        "delay_spread": variable("cell", spread, "s", "standard deviation of the delay over positions"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    ratio, spread = found["ratio"].mean("condition").values, np.nan_to_num(found["delay_spread"].values)
    return judged((ratio > 1) & (spread < 0.03), np.isfinite(ratio))
