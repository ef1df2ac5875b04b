"""What probes are made of: movies that are uniform or bars, their sweeps, and measurements on responses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.errors import RetmechError, warn
from retmech.geometry import Geometry
from retmech.settings import Settings

FULL_FIELD = ("y", "x")
BAR = ("y",)


class ProbeSettings(Settings):
    """Base of the settings of all probes."""


Frames = NDArray[np.float32]  # (time, y, x)


@dataclass(frozen=True)
class Movies:
    """Movies of equal length that are drawn one at a time: all of them together may be larger than memory.

    Attributes
    ----------
    shape
        Conditions, frames, height and width.
    draw
        Condition -> (time, y, x), contrast.
    """

    shape: tuple[int, int, int, int]
    draw: Callable[[int], Frames]

    def __getitem__(self, condition: int) -> Frames:
        """Draw one of them."""
        return self.draw(condition)


@dataclass(frozen=True)
class Stimulus:
    """A probe's movies.

    Attributes
    ----------
    movies
        In standard deviations of the training movie; 0 is grey.
    labels
        A short name for each condition.
    sweeps
        Variables along ``condition``, and others such as the time of an event: the readout needs them.
    """

    movies: Movies
    labels: list[str]
    sweeps: Mapping[str, xr.Variable] = field(default_factory=dict)


def whole_frames(key: str, duration: float, geometry: Geometry) -> int:
    """Frames nearest to a duration in ms, at least one; a warning says so where it is not what was asked."""
    frames = geometry.frames(duration)
    _nearest(key, duration, 1e3 * frames / geometry.frame_rate, "ms")
    return frames


def shown_width(key: str, width: float, geometry: Geometry, least: int = 2) -> float:
    """Width in um, or that of the fewest pixels that show it at every shift, with a warning.

    Raises
    ------
    RetmechError
        If it is wider than the field.
    """
    if width > geometry.width:
        raise RetmechError(f"{key} = {width:g} um: the field is only {geometry.width:g} um wide.")
    possible = max(width, least * geometry.pixel_size)
    _nearest(key, width, possible, "um")
    return possible


def check_space(probe: str, geometry: Geometry) -> None:
    """Refuse frames in which nothing can lie beside anything else.

    Raises
    ------
    RetmechError
        If frames are one pixel wide.
    """
    if geometry.shape[1] < 2:
        raise RetmechError(
            f"{probe} needs frames with space from left to right, found {geometry.shape[0]} x {geometry.shape[1]} pixels. "
            "Leave it out of synthesize."
        )


def check_speed(key: str, speed: float, geometry: Geometry) -> None:
    """Refuse a speed in um/s that crosses the field within a frame."""
    if speed > geometry.width * geometry.frame_rate:
        raise RetmechError(
            f"{key} = {speed:g} um/s: crosses the field, {geometry.width:g} um, within a frame of "
            f"{1e3 / geometry.frame_rate:g} ms. Expected at most {geometry.width * geometry.frame_rate:g} um/s."
        )


def _nearest(key: str, asked: float, possible: float, unit: str) -> None:
    if abs(possible - asked) > 1e-3 * asked:
        warn(f"{key} = {asked:g} {unit}: the nearest that can be shown is {possible:g} {unit}, which is used.")


def full_field(contrast: NDArray[np.floating], geometry: Geometry) -> Movies:
    """Spread time courses (condition, time) uniformly over the field."""
    shape = (*contrast.shape, *geometry.shape)

    def draw(condition: int) -> Frames:
        return np.broadcast_to(contrast[condition].astype(np.float32)[:, None, None], shape[1:]).copy()

    return Movies((shape[0], shape[1], *geometry.shape), draw)


def uniform_in_y(lines: Callable[[int], NDArray[np.floating]], size: tuple[int, int], geometry: Geometry) -> Movies:
    """Spread profiles along x over all rows.

    Parameters
    ----------
    lines
        Condition -> (time, x), contrast.
    size
        Conditions and frames.
    """

    def draw(condition: int) -> Frames:
        return np.repeat(lines(condition).astype(np.float32)[:, None], geometry.shape[0], axis=1)

    return Movies((*size, *geometry.shape), draw)


def bars(position: NDArray[np.floating], width: float, contrast: float, geometry: Geometry) -> Movies:
    """Draw vertical bars on grey.

    Parameters
    ----------
    position : (condition, time)
        Of the bar's centre, um from the middle of the field; NaN where there is none.
    width
        um.
    contrast
        Of a pixel that the bar covers wholly; one that it covers in part has that part of it (anti-aliasing).
    """
    edges = pixel_edges(geometry)

    def line(condition: int) -> NDArray[np.floating]:
        centre = position[condition][:, None]
        start, stop = centre - width / 2, centre + width / 2
        overlap = np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1])
        return np.asarray(contrast * np.nan_to_num(np.clip(overlap / geometry.pixel_size, 0, 1)))

    return uniform_in_y(line, (position.shape[0], position.shape[1]), geometry)


def pixel_edges(geometry: Geometry, axis: int = 1) -> NDArray[np.float64]:
    """Positions of the edges between pixels along an axis, um from the middle of the field."""
    n = geometry.shape[axis]
    return np.asarray((np.arange(n + 1) - n / 2) * geometry.pixel_size, np.float64)


def square_wave(phase: NDArray[np.floating], bar: float, geometry: Geometry) -> NDArray[np.float64]:
    """Profile of a grating of bars that are 1 and -1 in turn, averaged over each pixel (anti-aliasing).

    Parameters
    ----------
    phase : (...,)
        Shift to the right, in periods; the edge between a dark and a light bar is in the middle of the field at 0.
    bar
        Width of one bar, half a period, um.

    Returns
    -------
    profile : (..., x)
    """
    place = pixel_edges(geometry) / (2 * bar) - np.asarray(phase)[..., None]
    integral = np.abs(place - np.round(place))  # of half the wave over a period
    profile: NDArray[np.float64] = np.diff(integral, axis=-1) * (2 * bar) / geometry.pixel_size
    return profile


def sine_wave(phase: NDArray[np.floating], bar: float, geometry: Geometry) -> NDArray[np.float64]:
    """Profile of a sinusoidal grating with half periods of ``bar``, averaged over each pixel; else as :func:`square_wave`."""
    place = pixel_edges(geometry) / (2 * bar) - np.asarray(phase)[..., None]
    integral = -np.cos(2 * np.pi * place) / (2 * np.pi)
    profile: NDArray[np.float64] = np.diff(integral, axis=-1) * (2 * bar) / geometry.pixel_size
    return profile


def disc(radius: float, geometry: Geometry) -> NDArray[np.float64]:
    """Share of each pixel (y, x) that a disc in the middle of the field covers, from a grid of 8 x 8 points in each."""
    fine = 8
    axes = [(np.arange(n * fine) + 0.5) / fine * geometry.pixel_size - n * geometry.pixel_size / 2 for n in geometry.shape]
    inside = np.hypot(axes[0][:, None], axes[1]) <= radius
    n_y, n_x = geometry.shape
    share: NDArray[np.float64] = inside.reshape(n_y, fine, n_x, fine).mean(axis=(1, 3))
    return share


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


def slope_error(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard error of :func:`slope`, from the residuals of the line; NaN for fewer than 3 values."""
    error = np.full(y.shape[1], np.nan)
    for k in range(y.shape[1]):
        known = np.isfinite(y[:, k]) & np.isfinite(x)
        if known.sum() > 2 and np.ptp(x[known]) > 0:
            residual = y[known, k] - np.polyval(np.polyfit(x[known], y[known, k], 1), x[known])
            spread = ((x[known] - x[known].mean()) ** 2).sum()
            error[k] = np.sqrt((residual**2).sum() / (known.sum() - 2) / spread)
    return error


def amplitude(rate: NDArray[np.floating], cycles: float) -> NDArray[np.float64]:
    """Amplitude (cell,) in Hz of the sine wave that fits so many times into a response (time, cell)."""
    phase = 2 * np.pi * cycles * np.arange(len(rate)) / len(rate)
    component = (np.exp(-1j * phase)[:, None] * (rate - rate.mean(axis=0))).mean(axis=0)
    return np.asarray(2 * np.abs(component), np.float64)


def reverse_correlation(stimulus: NDArray[np.floating], rate: NDArray[np.floating], history: int) -> NDArray[np.float64]:
    """Linear filter of a response to white noise (Chichilnisky 2001): covariance with the stimulus over its variance.

    Parameters
    ----------
    stimulus : (time,)
        Zero mean.
    rate : (n, cell)
        Responses to the last n frames.
    history
        Frames.

    Returns
    -------
    filter : (lag, cell)
        Hz per unit of contrast, newest frame first.
    """
    n = len(rate)
    centred = rate - rate.mean(axis=0, dtype=np.float64)
    windows = np.stack([stimulus[len(stimulus) - n - lag : len(stimulus) - lag] for lag in range(history)])
    return np.asarray(windows @ centred / (n * max(float(np.mean(stimulus**2)), 1e-12)))


def judged(matches: NDArray[np.bool_], seen: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Verdict for each cell: ``matches`` or ``differs`` from what physiology found, or ``no response``."""
    return np.where(seen, np.where(matches, "matches", "differs"), "no response")


def spread(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation over those draws (draw, ...) that are known; NaN for fewer than 2."""
    known = np.isfinite(draws)
    count = known.sum(axis=0)
    mean = np.where(known, draws, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, (draws - mean) ** 2, 0).sum(axis=0)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def standard_error(draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard error (cell,) of the mean over draws (draw, cell) that are known; NaN for fewer than 2."""
    return spread(draws) / np.sqrt(np.maximum(np.isfinite(draws).sum(axis=0), 1))
