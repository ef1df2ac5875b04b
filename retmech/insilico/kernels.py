"""Temporal kernels and spatial weights of the simulated retina."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from retmech.insilico.description import Pathway

DURATION = 0.4  # s, of every temporal kernel

FloatArray = NDArray[np.float64]


def temporal_kernel(pathway: Pathway, frame_rate: float) -> FloatArray:
    """Difference of two gamma functions, newest frame first, scaled to a sum of absolute values of 1.

    k(t) = p [g(t/T) - b g(t/qT)], g(s) = (s exp(1 - s))^n with n = (time to peak / width)^2, shifted by the delay; b and T are
    such that the kernel has the biphasic index and the time to peak that are asked for, q is the rebound's slowness and p the
    polarity.
    """
    order = (pathway.time_to_peak / pathway.width) ** 2
    slowness = pathway.slowness
    rebound = _rebound(order, pathway.biphasic_index, slowness)
    scale = pathway.time_to_peak / _peak(order, rebound, slowness)
    t = 1e3 * np.arange(1, round(DURATION * frame_rate) + 1) / frame_rate - pathway.delay
    kernel = _lobes(np.maximum(t, 0) / scale, order, rebound, slowness)
    scaled: FloatArray = pathway.polarity * kernel / np.abs(kernel).sum()
    return scaled


def _lobes(s: FloatArray, order: float, rebound: float, slowness: float) -> FloatArray:
    def gamma(s: FloatArray) -> FloatArray:
        return np.asarray((s * np.exp(1 - s)) ** order)

    return gamma(s) - rebound * gamma(s / slowness)


FINE = np.linspace(0, 20, 6001)  # in units of the first lobe's time to peak


def _rebound(order: float, index: float, slowness: float) -> float:
    """Size of the second gamma function that gives a biphasic index, which grows with it."""

    def excess(rebound: float) -> float:
        kernel = _lobes(FINE, order, rebound, slowness)
        return float(-kernel.min() / max(kernel.max(), 1e-12) - index)

    # From slowness^order on, the second function is larger than the first everywhere.
    return float(brentq(excess, 0.0, 0.999 * slowness**order)) if index > 0 else 0.0


def _peak(order: float, rebound: float, slowness: float) -> float:
    return float(FINE[_lobes(FINE, order, rebound, slowness).argmax()])


def blur(n: int, radius: float, pixel_size: float) -> FloatArray:
    """Matrix (n, n) that averages over a Gaussian along one axis; beyond the field there is grey."""
    x = np.arange(n) * pixel_size
    weight = np.exp(-((x[:, None] - x) ** 2) / (2 * radius**2))
    reach = np.arange(-np.ceil(6 * radius / pixel_size), np.ceil(6 * radius / pixel_size) + 1) * pixel_size
    blurred: FloatArray = weight / np.exp(-(reach**2) / (2 * radius**2)).sum()
    return blurred


def centres(n_cells: int, size: int) -> FloatArray:
    """Positions (y, x) of the ganglion cells in pixels, on a ring around the middle of the field."""
    angle = 2 * np.pi * (np.arange(n_cells) + 0.5) / n_cells
    return (size - 1) / 2 + size / 14 * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def pooling(radius: float, n_cells: int, size: int, pixel_size: float) -> FloatArray:
    """Gaussian weights of each cell over the mosaic of a pathway, (cell, y, x), summing to 1 for each cell."""
    yx = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    distance2 = ((yx[None] - centres(n_cells, size)[:, None, None]) ** 2).sum(axis=-1) * pixel_size**2
    weight = np.exp(-distance2 / (2 * radius**2))
    normalized: FloatArray = weight / weight.sum(axis=(1, 2), keepdims=True)
    return normalized
