"""Flicker in the centre, while the periphery shifts or stands still: cells whose polarity turns round for a moment."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import lag_coordinate, variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, check_space, disc, judged, shown_width, square_wave
from retmech.streams import stream

SYMMETRY: tuple[str, ...] = ()
FOUND = "Right after a shift of the periphery some cells respond to the opposite polarity in their centre (similarity below 0)."
SOURCE = "Geffen, de Vries & Meister, PLoS Biology 2007"
EXPECTED: dict[str, float] = {}
CRITERION = "similarity below 0"


class Config(ProbeSettings):
    """Settings of the polarity-reversal probe."""

    probe: Literal["polarity_reversal"] = "polarity_reversal"
    radius: float = Field(200.0, gt=0, le=10000, description="of the centre, um")
    bar: float = Field(100.0, gt=0, le=10000, description="width of a bar of the periphery's grating, um; it shifts by one bar")
    contrast: float = Field(1.0, gt=0, le=20, description="of the grating, and standard deviation of the flicker, training sd")
    window: float = Field(300.0, gt=0, le=5000, description="after a shift in which responses are read, ms")
    interval: float = Field(900.0, gt=0, le=5000, description="from shift to shift, ms")
    shifts: int = Field(6, ge=1, le=1000, description="in each movie")
    history: float = Field(300.0, gt=0, le=2000, description="length of the linear filters, ms")
    draws: int = Field(6, ge=2, le=1000, description="flickers")
    seed: int = Field(1, ge=0, lt=2**31, description="of the flickers")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """Each flicker is shown with a periphery that shifts, and with one that stands still."""
    check_space("polarity_reversal", geometry)
    rng = stream(config.seed, "flicker before a shifting periphery")
    onset, interval = geometry.frames(400), geometry.frames(config.interval)
    length = onset + config.shifts * interval
    flicker = rng.standard_normal((config.draws, length))
    bar = shown_width("polarity_reversal.bar", config.bar, geometry)
    inside = disc(config.radius, geometry)
    bars = square_wave(np.array([0.0, 0.5]), bar, geometry)
    side = np.maximum(0, 1 + (np.arange(length) - onset) // interval) % 2

    def draw(condition: int) -> NDArray[np.float32]:
        shifted = condition >= config.draws
        line = bars[side if shifted else np.zeros(length, int)]
        centre = flicker[condition % config.draws][:, None, None]
        movie = config.contrast * (inside * centre + (1 - inside) * line[:, None])
        movie[0] = 0  # readouts take the rate on grey from the first frame
        return movie.astype(np.float32)

    kinds = ["still"] * config.draws + ["shift"] * config.draws
    return Stimulus(
        Movies((2 * config.draws, length, *geometry.shape), draw),
        [f"{kind}, flicker {i % config.draws + 1}" for i, kind in enumerate(kinds)],
        {
            "shift": variable(
                "condition", np.array([kind == "shift" for kind in kinds], np.float64), "1", "1: the periphery shifts"
            ),
            "centre": variable(("condition", "time"), np.tile(flicker, (2, 1)).astype(np.float32), "1", "flicker of the centre"),
            "onset": variable((), onset / geometry.frame_rate, "s", "time of the first shift"),
            "interval": variable((), interval / geometry.frame_rate, "s", "from shift to shift"),
            "window": variable((), 1e-3 * config.window, "s", "after a shift in which responses are read"),
            "history": variable((), geometry.frames(config.history) / geometry.frame_rate, "s", "length of the filters"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Linear filters of the centre right after shifts and without them, and the cosine between the two.

    Both are taken at the same times of the same flickers; the mean response to the shift itself is subtracted.
    """
    time = rate["time"].values
    frame_rate = round(1 / (time[1] - time[0]), 6)
    onset, interval, window, history = (round(float(probe[k]) * frame_rate) for k in ("onset", "interval", "window", "history"))
    after = (np.arange(len(time)) - onset) % interval
    chosen = np.flatnonzero((np.arange(len(time)) >= max(onset, history)) & (after < window))
    filters = []
    for kind in (0, 1):
        own = probe["shift"].values == kind
        flicker, r = probe["centre"].values[own].astype(np.float64), rate.values[own].astype(np.float64)
        r = r[:, chosen] - r[:, chosen].mean(axis=0)
        windows = np.stack([flicker[:, chosen - lag] for lag in range(history)])  # (lag, draw, chosen)
        filters.append(np.einsum("ldt,dtk->lk", windows, r) / (windows[0].size * flicker.var()))
    still, shifted = filters
    norm = np.linalg.norm(still, axis=0) * np.linalg.norm(shifted, axis=0)
    similarity = np.divide((still * shifted).sum(axis=0), norm, out=np.full(norm.shape, np.nan), where=norm > 1e-12)
    return {
        "filter": variable(("state", "lag", "cell"), np.stack(filters), "Hz", "linear filter of the centre"),
        "state": variable("state", ["still", "shift"], "1", "what the periphery does"),
        "lag": lag_coordinate(history, frame_rate),
        "similarity": variable("cell", similarity, "1", "cosine between the two filters; below 0: the polarity turns round"),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    similarity = found["similarity"].values
    return judged(similarity < 0, np.isfinite(similarity))
