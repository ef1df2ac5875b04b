"""What probes are made of: movies that are uniform or bars, their sweeps, and measurements on responses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.geometry import Geometry
from retmech.settings import Settings

FULL_FIELD = ("y", "x")
BAR = ("y",)


class ProbeSettings(Settings):
    """Base of the settings of all probes."""


@dataclass(frozen=True)
class Stimulus:
    """A probe's movies.

    Attributes
    ----------
    contrast : (condition, time, y, x)
        In standard deviations of the training movie; 0 is grey.
    labels
        A short name for each condition.
    sweeps
        Variables along ``condition``, and others such as the time of an event: the readout needs them.
    """

    contrast: NDArray[np.float32]
    labels: list[str]
    sweeps: Mapping[str, xr.Variable] = field(default_factory=dict)


def full_field(contrast: NDArray[np.floating], geometry: Geometry) -> NDArray[np.float32]:
    """Spread a time course (condition, time) uniformly over the field."""
    shape = (*contrast.shape, *geometry.shape)
    return np.broadcast_to(contrast.astype(np.float32)[..., None, None], shape).copy()


def bars(position: NDArray[np.floating], width: float, contrast: float, geometry: Geometry) -> NDArray[np.float32]:
    """Draw vertical bars on grey.

    Parameters
    ----------
    position : (condition, time)
        Of the bar's centre, um from the middle of the field; NaN where there is none.
    width
        um.
    contrast
        Of a pixel that the bar covers wholly; one that it covers in part has that part of it (anti-aliasing).

    Returns
    -------
    movie : (condition, time, y, x)
    """
    n = geometry.shape[1]
    left_edge = (np.arange(n) - n / 2) * geometry.pixel_size
    start, stop = (position[..., None] + side * width / 2 for side in (-1, 1))
    overlap = np.minimum(stop, left_edge + geometry.pixel_size) - np.maximum(start, left_edge)
    covered = np.nan_to_num(np.clip(overlap / geometry.pixel_size, 0, 1))
    line = (contrast * covered).astype(np.float32)
    return np.repeat(line[..., None, :], geometry.shape[0], axis=-2)


def peak(
    rate: NDArray[np.floating], time: NDArray[np.floating], start: float, stop: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the largest response within [start, stop].

    Parameters
    ----------
    rate : (time, cell)
        Hz.
    time : (time,)
        s, evenly spaced.

    Returns
    -------
    at, height : (cell,)
        Time in s, refined by a parabola through the maximum and its neighbours, and rate in Hz.
    """
    inside = np.flatnonzero((time >= start - 1e-9) & (time <= stop + 1e-9))
    values = rate[inside].astype(np.float64)
    best = values.argmax(axis=0)
    cells = np.arange(values.shape[1])
    at, height = time[inside][best].astype(np.float64), values[best, cells]
    inner = (best > 0) & (best < len(inside) - 1)
    before, after = values[np.maximum(best - 1, 0), cells], values[np.minimum(best + 1, len(inside) - 1), cells]
    curvature = before - 2 * height + after
    shift = np.divide(before - after, 2 * curvature, out=np.zeros_like(height), where=inner & (curvature < 0))
    return at + shift * (time[1] - time[0]), height


def half_rise(
    rate: NDArray[np.floating], time: NDArray[np.floating], start: float, stop: float, floor: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Time at which the response within [start, stop] first reaches half of its peak above a floor, (cell,), s."""
    inside = np.flatnonzero((time >= start - 1e-9) & (time <= stop + 1e-9))
    values = rate[inside].astype(np.float64)
    threshold = floor + (values.max(axis=0) - floor) / 2
    first = (values >= threshold).argmax(axis=0)
    cells = np.arange(values.shape[1])
    before = values[np.maximum(first - 1, 0), cells]
    rise = values[first, cells] - before
    fraction = np.divide(threshold - before, rise, out=np.ones_like(rise), where=(first > 0) & (rise > 0))
    return time[inside][first] - (1 - fraction) * (time[1] - time[0])


def slope(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares slope of y (condition, cell) against x (condition,), where y is known; NaN for fewer than 2 values."""
    known = np.isfinite(y)
    count = known.sum(axis=0)
    xs = np.where(known, x[:, None], 0.0)
    ys = np.where(known, y, 0.0)
    safe = np.maximum(count, 1)
    dx = np.where(known, xs - xs.sum(axis=0) / safe, 0.0)
    dy = np.where(known, ys - ys.sum(axis=0) / safe, 0.0)
    sxx = (dx**2).sum(axis=0)
    return np.divide((dx * dy).sum(axis=0), sxx, out=np.full(count.shape, np.nan), where=(count > 1) & (sxx > 0))


def responsive(height: NDArray[np.floating], baseline: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether a peak stands out: at least 1 Hz and a tenth above the rate on grey."""
    return height > baseline + np.maximum(1.0, 0.1 * baseline)
