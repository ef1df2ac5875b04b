"""Flicker whose contrast steps up and down: whether gain and kinetics follow it."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import lag_coordinate, variable
from retmech.probes._probe import FULL_FIELD, ProbeSettings, Stimulus, full_field, judged, reverse_correlation, standard_error
from retmech.streams import stream

SYMMETRY = FULL_FIELD
FOUND = "At high contrast the gain is lower (ratio above 1) and the filter faster, within a frame history of the step."
SOURCE = "Baccus & Meister, Neuron 2002"
EXPECTED: dict[str, float] = {}
CRITERION = "gain ratio above 1.1 by more than two standard errors, and no slower at high contrast"


class Config(ProbeSettings):
    """Settings of the contrast-adaptation probe."""

    probe: Literal["contrast_adaptation"] = "contrast_adaptation"
    high: float = Field(0.35, gt=0, le=20, description="standard deviation of the flicker at high contrast, training sd")
    low: float = Field(0.05, gt=0, le=20, description="the same at low contrast")
    period: float = Field(3000.0, gt=500, le=60000, description="length of each of the three periods: high, low, high; ms")
    hold: float = Field(30.0, gt=0, le=500, description="how long each luminance is held, ms; rounded to whole frames")
    history: float = Field(400.0, gt=0, le=2000, description="length of the linear filters, ms")
    draws: int = Field(4, ge=1, le=1000, description="flickers, of the same contrasts")
    seed: int = Field(1, ge=0, lt=2**31, description="of the flickers")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """High, low and high contrast in turn; each period has exactly the contrast that is asked, and zero mean."""
    rng = stream(config.seed, "flicker of changing contrast")
    onset, length, hold = geometry.frames(200), geometry.frames(config.period), geometry.frames(config.hold)
    course = np.zeros((config.draws, onset + 3 * length))
    for row in course:
        for i, contrast in enumerate((config.high, config.low, config.high)):
            flicker = np.repeat(rng.standard_normal(-(-length // hold)), hold)[:length]
            start = onset + i * length
            row[start : start + length] = contrast * (flicker - flicker.mean()) / flicker.std()
    return Stimulus(
        full_field(course, geometry),
        [f"flicker {i + 1}" for i in range(config.draws)],
        {
            "contrast": variable(("condition", "time"), course.astype(np.float32), "1", "contrast of the flicker, training sd"),
            "onset": variable((), onset / geometry.frame_rate, "s", "start of the first period"),
            "period": variable((), length / geometry.frame_rate, "s", "length of each period"),
            "history": variable((), geometry.frames(config.history) / geometry.frame_rate, "s", "length of the filters"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Linear filter in each state, from responses after its first history; gain is the filter's largest magnitude."""
    time, course = rate["time"].values, probe["contrast"].values.astype(np.float64)
    frame_rate = round(1 / (time[1] - time[0]), 6)
    onset, length, history = (round(float(probe[key]) * frame_rate) for key in ("onset", "period", "history"))
    by_draw = np.zeros((2, len(course), history, rate.shape[2]))  # (state, draw, lag, cell)
    for state, periods in enumerate(((1,), (0, 2))):
        for i in periods:
            start, stop = onset + i * length, onset + (i + 1) * length
            for d, (own, r) in enumerate(zip(course, rate.values.astype(np.float64), strict=True)):
                found = reverse_correlation(own[start:stop], r[start + history : stop], history)
                by_draw[state, d] += found / len(periods)
    filters = by_draw.mean(axis=1)
    low, high = (np.abs(f).max(axis=0) for f in filters)
    at_low, at_high = (np.abs(f).argmax(axis=0) / frame_rate for f in filters)
    moves = rate.values.std(axis=(0, 1)) > 1e-3
    ratio = np.divide(low, high, out=np.full(low.shape, np.nan), where=moves & (high > 0))
    lows, highs = np.abs(by_draw).max(axis=2)
    ratios = np.divide(lows, highs, out=np.full(lows.shape, np.nan), where=moves & (highs > 0))
    return {
        "filter": variable(("state", "lag", "cell"), filters, "Hz", "linear filter at low and at high contrast"),
        "state": variable("state", ["low", "high"], "1", "contrast"),
        "lag": lag_coordinate(history, frame_rate),
        "gain_ratio": variable("cell", ratio, "1", "gain at low contrast over gain at high contrast"),
        "gain_ratio_error": variable("cell", standard_error(ratios), "1", "standard error of the ratio, over flickers"),
        "speed_up": variable("cell", np.where(moves, at_low - at_high, np.nan), "s", "time to peak, low minus high contrast"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    ratio, error = found["gain_ratio"].values, np.nan_to_num(found["gain_ratio_error"].values)
    return judged((ratio - 2 * error > 1.1) & (found["speed_up"].values >= 0), np.isfinite(ratio))
