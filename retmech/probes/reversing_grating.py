"""Contrast-reversing gratings: cells that respond at twice the reversal frequency sum nonlinear subunits (Y cells)."""

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
    amplitude,
    check_space,
    judged,
    shown_width,
    sine_wave,
    square_wave,
    uniform_in_y,
    whole_frames,
)

SYMMETRY = BAR
FOUND = (
    "X cells respond at the frequency of the reversing grating (F1), Y cells at twice it (F2), whatever its phase: F2/F1 above 1."
)
SOURCE = "Hochstein & Shapley, Journal of Physiology 1976"
EXPECTED: dict[str, float] = {}
CRITERION = "F2/F1 above 1"
WAVES = {"square": square_wave, "sine": sine_wave}


class Config(ProbeSettings):
    """Settings of the reversing-grating probe."""

    probe: Literal["reversing_grating"] = "reversing_grating"
    bars: list[Annotated[float, Field(gt=0, le=10000)]] = Field(
        [50, 100, 200, 400], min_length=1, description="widths of a bar, half a spatial period, um"
    )
    phases: int = Field(4, ge=2, le=64, description="shifts of the grating, evenly spaced over half a period")
    wave: Literal["square", "sine"] = Field("square", description="profile of the grating")
    contrast: float = Field(1.0, gt=0, le=20, description="of a bar, training sd")
    half_period: float = Field(250.0, gt=0, le=5000, description="from reversal to reversal, ms; rounded to whole frames")
    cycles: int = Field(4, ge=2, le=100, description="full cycles, of which the first is not read")


def stimulus(config: Config, geometry: Geometry) -> Stimulus:
    """All widths at all phases, after grey."""
    check_space("reversing_grating", geometry)
    onset, half = geometry.frames(200), whole_frames("reversing_grating.half_period", config.half_period, geometry)
    bars = sorted({shown_width("reversing_grating.bars", bar, geometry) for bar in config.bars})
    widths = np.repeat(np.array(bars), config.phases)
    phases = np.tile(np.arange(config.phases) / (2 * config.phases), len(bars))
    course = np.concatenate([np.zeros(onset), np.tile(np.repeat([1.0, -1.0], half), config.cycles)]) * config.contrast

    def lines(condition: int) -> np.ndarray:
        profile = WAVES[config.wave](phases[condition], float(widths[condition]), geometry)
        return np.asarray(course[:, None] * profile)

    return Stimulus(
        uniform_in_y(lines, (len(widths), len(course)), geometry),
        [f"{width:g} um, phase {phase:g}" for width, phase in zip(widths, phases, strict=True)],
        {
            "bar": variable("condition", widths, "um", "width of a bar"),
            "phase": variable("condition", phases, "1", "shift of the grating, periods"),
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the grating"),
            "half_period": variable((), half / geometry.frame_rate, "s", "from reversal to reversal"),
            "cycles": variable((), config.cycles, "1", "full cycles"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Amplitudes at the frequency of the full cycle and at twice it; their ratio where the cell responds most."""
    time = rate["time"].values
    cycle = round(2 * float(probe["half_period"]) / (time[1] - time[0]))
    cycles = int(probe["cycles"]) - 1
    later = rate.values[:, -cycle * cycles :]
    f1, f2 = (np.stack([amplitude(r, cycles * n) for r in later]) for n in (1, 2))
    width = probe["bar"].values
    own = np.unique(width)
    second = np.stack([f2[width == w].mean(axis=0) for w in own])
    first = np.stack([f1[width == w].max(axis=0) for w in own])
    best = np.maximum(first, second).argmax(axis=0)
    cells = np.arange(first.shape[1])
    seen = np.maximum(first, second).max(axis=0) > 1.0
    index = np.divide(second[best, cells], first[best, cells], out=np.full(len(cells), np.inf), where=first[best, cells] > 1e-9)
    dims = ("condition", "cell")
    return {
        "f1": variable(dims, f1, "Hz", "amplitude at the reversing grating's frequency"),
        "f2": variable(dims, f2, "Hz", "amplitude at twice that frequency"),
        "best_bar": variable("cell", np.where(seen, own[best], np.nan), "um", "bar width with the largest response"),
        "nonlinearity": variable(
            "cell", np.where(seen, np.minimum(index, 1e3), np.nan), "1", "mean F2 over largest F1, over phases, at that width"
        ),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    index = found["nonlinearity"].values
    return judged(index > 1, np.isfinite(index))
