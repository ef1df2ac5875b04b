"""Motion reversal: a dark bar crosses the field at constant speed and suddenly turns back."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import BAR, ProbeSettings, Stimulus, bars, check_space, check_speed, judged, peak, responsive

SYMMETRY = BAR
FOUND = "A synchronous burst follows the reversal at a fixed delay, wherever in the field it happened (ratio above 1)."
SOURCE = "Schwartz, Taylor, Fisher, Harris & Berry, Neuron 2007; Chen et al., J. Neurosci. 2013"
EXPECTED: dict[str, float] = {}
CRITERION = (
    "a burst after at least half of the reversals, on average above the peak in smooth motion, with a delay that spreads by "
    "less than 30 ms"
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
    """All reversals happen at the same time; the last two conditions go smoothly through the middle then, there and back."""
    check_space("motion_reversal", geometry)
    check_speed("motion_reversal.speed", config.speed, geometry)
    reversals = np.array(config.positions, np.float64)
    approach = geometry.frames(1e3 * (geometry.width / 2 + config.width + np.abs(reversals).max()) / config.speed)
    time = (np.arange(2 * approach + 1) - approach) / geometry.frame_rate
    turned = reversals[:, None] - config.speed * np.abs(time)
    position = np.concatenate([turned, config.speed * time[None], -config.speed * time[None]])
    where = np.append(reversals, [np.nan, np.nan])
    return Stimulus(
        bars(position, config.width, config.contrast, geometry),
        [*(f"reversal at {x:g} um" for x in reversals), "smooth motion", "smooth motion back"],
        {
            "reversal_position": variable("condition", where, "um", "bar position at the reversal"),
            "reversal": variable((), approach / geometry.frame_rate, "s", "time of the reversal"),
            "speed": variable((), config.speed, "um/s", "speed of the bar"),
            "window": variable((), 1e-3 * config.window, "s", "length of the search for the peak"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Height and delay of the burst after the reversal, against the peak of the response to smooth motion.

    The bar's way there and its way back are those of the two smooth motions, shifted in time. The burst is the largest response
    beyond what either of them evokes, so that the bar's second pass over the receptive field is not taken for one.
    """
    time, at_reversal = rate["time"].values, float(probe["reversal"])
    position = probe["reversal_position"].values
    there, back = rate.values[-2].astype(np.float64), rate.values[-1].astype(np.float64)
    baseline = rate.values[0, 0]
    smooth = np.maximum(there.max(axis=0), back.max(axis=0))
    at, excess = np.full((2, len(position), len(baseline)), np.nan)
    for i in np.flatnonzero(np.isfinite(position)):
        shift = position[i] / float(probe["speed"])
        expected = np.maximum(_shifted(there, time, -shift), _shifted(back, time, shift))
        at[i], excess[i] = peak(rate.values[i] - expected, time, at_reversal, at_reversal + float(probe["window"]))
    shown = responsive(excess + baseline, baseline) & np.isfinite(excess)
    height = np.full(at.shape, np.nan)
    for i, k in np.argwhere(shown):
        height[i, k] = np.interp(at[i, k], time, rate.values[i, :, k])
    delay = np.where(shown, at - at_reversal, np.nan)
    spread = np.full(delay.shape[1], np.nan)
    known = shown.sum(axis=0) > 1
    spread[known] = np.nanstd(delay[:, known], axis=0)
    dims = ("condition", "cell")
    return {
        "burst_delay": variable(dims, delay, "s", "time from the reversal to the burst"),
        "burst_rate": variable(dims, height, "Hz", "response at the burst"),
        "ratio": variable(dims, height / np.maximum(smooth, 1e-9), "1", "response at the burst over peak in smooth motion"),
        "smooth_rate": variable("cell", np.where(responsive(smooth, baseline), smooth, np.nan), "Hz", "peak in smooth motion"),
        "bursts": variable("cell", shown[:-2].mean(axis=0), "1", "share of the reversals that a burst follows"),
        "delay_spread": variable("cell", spread, "s", "standard deviation of the delay over positions"),
    }


def _shifted(rate: NDArray[np.floating], time: NDArray[np.floating], by: float) -> NDArray[np.float64]:
    """A response (time, cell) that comes later by so many seconds; before and after it, what it begins and ends with."""
    return np.stack([np.interp(time - by, time, r) for r in rate.T], axis=1)


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    bursts, spread = found["bursts"].values, np.nan_to_num(found["delay_spread"].values)
    matches = (bursts >= 0.5) & (found["ratio"].mean("condition").values > 1) & (spread < 0.03)
    return judged(matches, np.isfinite(found["smooth_rate"].values) | (bursts > 0))
