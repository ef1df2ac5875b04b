"""Jittered gratings in the centre and around it, together or apart: cells that see motion of objects, not of the eye."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.geometry import Geometry
from retmech.labels import variable
from retmech.probes._probe import (
    Movies,
    ProbeSettings,
    Stimulus,
    check_space,
    disc,
    judged,
    shown_width,
    square_wave,
    standard_error,
)
from retmech.streams import stream

SYMMETRY: tuple[str, ...] = ()
FOUND = "Object-motion-sensitive cells are silent when centre and background jitter together, and fire when they jitter apart."
SOURCE = "Olveczky, Baccus & Meister, Nature 2003"
EXPECTED: dict[str, float] = {}
CRITERION = "index above 0.3 by more than two standard errors"


class Config(ProbeSettings):
    """Settings of the object-motion probe."""

    probe: Literal["object_motion"] = "object_motion"
    radius: float = Field(200.0, gt=0, le=10000, description="of the centre, um")
    bar: float = Field(100.0, gt=0, le=10000, description="width of a bar of the gratings, um")
    contrast: float = Field(1.0, gt=0, le=20, description="of the gratings, training sd")
    step: float = Field(25.0, gt=0, le=1000, description="of the jitter, um, to either side with the same chance")
    step_time: float = Field(30.0, gt=0, le=1000, description="from step to step, ms; rounded to whole frames")
    duration: float = Field(2000.0, gt=0, le=60000, description="of the jitter, ms")
    still: float = Field(500.0, gt=0, le=5000, description="gratings that stand still before it, ms; not read")
    draws: int = Field(3, ge=1, le=1000, description="trajectories")
    seed: int = Field(1, ge=0, lt=2**31, description="of the trajectories")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """The centre has the same trajectories in both kinds; the background follows it, or one of its own."""
    check_space("object_motion", geometry)
    rng = stream(config.seed, "trajectories of objects")
    onset = geometry.frames(200)
    still, length, every = (geometry.frames(t) for t in (config.still, config.duration, config.step_time))
    paths = [[_jitter(rng, still, length, every) for _ in range(2)] for _ in range(config.draws)]
    bar = shown_width("object_motion.bar", config.bar, geometry)
    inside = disc(config.radius, geometry)

    def draw(condition: int) -> NDArray[np.float32]:
        draw_, apart = condition % config.draws, condition >= config.draws
        centre, other = paths[draw_]
        background = other if apart else centre
        lines = [square_wave(config.step * path / (2 * bar), bar, geometry) for path in (centre, background)]
        shown = config.contrast * (inside * lines[0][:, None] + (1 - inside) * lines[1][:, None])
        grey = np.zeros((onset, *geometry.shape))
        return np.concatenate([grey, shown]).astype(np.float32)

    kinds = ["together"] * config.draws + ["apart"] * config.draws
    n_frames = onset + still + length
    return Stimulus(
        Movies((2 * config.draws, n_frames, *geometry.shape), draw),
        [f"{kind}, trajectory {i % config.draws + 1}" for i, kind in enumerate(kinds)],
        {
            "apart": variable(
                "condition", np.array([kind == "apart" for kind in kinds], np.float64), "1", "1: centre and background move apart"
            ),
            "onset": variable((), (onset + still) / geometry.frame_rate, "s", "onset of the jitter"),
        },
    )


def _jitter(rng: np.random.Generator, still: int, length: int, every: int) -> NDArray[np.float64]:
    """A random walk of unit steps, after standing still."""
    steps = np.zeros(length)
    steps[::every] = rng.choice([-1.0, 1.0], len(steps[::every]))
    return np.concatenate([np.zeros(still), np.cumsum(steps)])


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Mean rates above that on grey while gratings jitter, and their difference over their sum."""
    time = rate["time"].values
    later = rate.values[:, time >= float(probe["onset"]) - 1e-9].astype(np.float64)
    rise = later.mean(axis=1) - rate.values[0, 0]
    apart = probe["apart"].values > 0
    index = _index(rise[apart].mean(axis=0), rise[~apart].mean(axis=0))
    draws = np.array([_index(*pair) for pair in zip(rise[apart], rise[~apart], strict=True)])
    return {
        "mean_rise": variable(("condition", "cell"), rise, "Hz", "mean rate above that on grey"),
        "index": variable("cell", index, "1", "(apart - together) / (apart + together): 1 for a cell that sees objects only"),
        "index_error": variable("cell", standard_error(draws), "1", "standard error of the index, over trajectories"),
    }


def _index(differential: NDArray[np.float64], together: NDArray[np.float64]) -> NDArray[np.float64]:
    """Difference over sum of two rises; NaN where neither is above 0.1 Hz."""
    a, b = np.maximum(differential, 0), np.maximum(together, 0)
    return np.divide(a - b, a + b, out=np.full(a.shape, np.nan), where=np.maximum(a, b) > 0.1)


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    index, error = found["index"].values, np.nan_to_num(found["index_error"].values)
    return judged(index - 2 * error > 0.3, np.isfinite(index))
