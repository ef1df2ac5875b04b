"""Do a model's channels respond like recorded interneurons? Correlations at every position, and of combinations of channels."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from torch import Tensor

from retmech.models.convolution import spatiotemporal
from retmech.readers._interneurons import Interneurons

FloatArray = NDArray[np.float64]

PIECE = 256  # frames that are filtered at once


@dataclass(frozen=True)
class Correlations:
    """How channels correlate with cells and with each other, at every position.

    Attributes
    ----------
    with_cells : (cell, channel, position)
    among : (channel, channel, position)
    """

    with_cells: FloatArray
    among: FloatArray

    def of(self, loading: FloatArray) -> FloatArray:
        """Correlations (cell, item, position) of sums of channels of unit variance with the given loadings (item, channel)."""
        covariance = np.einsum("fc,kcp->kfp", loading, self.with_cells)
        variance = np.einsum("fc,cdp,fd->fp", loading, self.among, loading)
        return np.divide(covariance, np.sqrt(variance), out=np.zeros(covariance.shape), where=variance > 1e-12)


def correlations(
    neurons: Interneurons, filters: Tensor, lag: int, parts: int = 2, threads: int = 1
) -> tuple[list[Correlations], tuple[int, int]]:
    """Filter a stimulus as the channels do, and correlate with the potentials, in equal parts of the time one after the other.

    Parameters
    ----------
    filters : (channel, history, y, x)
        Oldest frame first. Beyond its edges the stimulus is grey.
    lag
        Bins by which potentials follow the newest frame.

    Returns
    -------
    found
        One for each part.
    shape
        Positions (y, x), the pixels of the stimulus.
    """
    torch.set_num_threads(threads)
    channels, history, high, wide = filters.shape
    n_responses = len(neurons.movie) - history + 1 - lag
    shape = neurons.movie.shape[1], neurons.movie.shape[2]
    edges = np.linspace(0, n_responses, parts + 1).astype(int)
    around = ((high - 1) // 2, high - 1 - (high - 1) // 2), ((wide - 1) // 2, wide - 1 - (wide - 1) // 2)
    found = []
    for first, last in pairwise(edges.tolist()):
        sums = _Sums(len(neurons.potential), channels, shape[0] * shape[1])
        for start in range(first, last, PIECE):
            stop = min(start + PIECE, last)
            clip = np.pad(neurons.movie[start : stop + history - 1], ((0, 0), *around))
            with torch.no_grad():
                drive = spatiotemporal(torch.from_numpy(clip)[None], filters)[0].flatten(2).numpy()
            newest = start + history - 1 + lag
            sums.add(drive, neurons.potential[:, newest : newest + stop - start])
        found.append(sums.correlations())
    return found, shape


class _Sums:
    """First and second moments of channels (time, channel, position) and potentials (cell, time)."""

    def __init__(self, cells: int, channels: int, positions: int) -> None:
        self.n = 0
        self.a, self.aa = np.zeros((channels, positions)), np.zeros((channels, channels, positions))
        self.v, self.vv, self.va = np.zeros(cells), np.zeros(cells), np.zeros((cells, channels, positions))

    def add(self, drive: NDArray[np.float32], potential: FloatArray) -> None:
        """Add consecutive frames."""
        self.n += len(drive)
        self.a += drive.sum(axis=0, dtype=np.float64)
        by_position = drive.transpose(2, 1, 0)
        self.aa += (by_position @ by_position.transpose(0, 2, 1)).transpose(1, 2, 0)
        self.v += potential.sum(axis=1)
        self.vv += (potential**2).sum(axis=1)
        self.va += (potential.astype(np.float32) @ drive.reshape(len(drive), -1)).reshape(self.va.shape)

    def correlations(self) -> Correlations:
        """Return what the moments say."""
        a, v = self.a / self.n, self.v / self.n
        among = self.aa / self.n - a[:, None] * a[None]
        spread = np.sqrt(np.maximum(np.einsum("ccp->cp", among), 0))
        cells = np.sqrt(np.maximum(self.vv / self.n - v**2, 0))
        both = self.va / self.n - v[:, None, None] * a[None]
        scale = cells[:, None, None] * spread[None]
        pairs = spread[:, None] * spread[None]
        return Correlations(
            np.divide(both, scale, out=np.zeros(both.shape), where=scale > 0),
            np.divide(among, pairs, out=np.zeros(among.shape), where=pairs > 0),
        )


def fitted(neurons: Interneurons, ratio: float, pixels: float) -> Interneurons:
    """Bring a stimulus and the potentials to another frame rate and pixel size.

    Parameters
    ----------
    ratio
        New frames for each old one; a frame is shown for as long as it lasts, potentials are averaged over the new frames.
    pixels
        New pixels for each old one.
    """
    movie, potential = neurons.movie, neurons.potential
    if abs(ratio - 1) > 1e-3:
        n = max(1, round(len(movie) * ratio))
        place = np.minimum((np.arange(n) + 0.5) / ratio, len(movie) - 1)
        movie = movie[place.astype(int)]
        edges = np.minimum(np.arange(n + 1) / ratio, potential.shape[1])
        sums = [np.interp(edges, np.arange(len(own) + 1), np.concatenate([[0], np.cumsum(own)])) for own in potential]
        potential = np.diff(sums, axis=1) / np.maximum(np.diff(edges), np.finfo(float).tiny)
    if abs(pixels - 1) > 1e-3:
        movie = zoom(movie, (1, pixels, pixels), order=1, mode="nearest", grid_mode=True)
    return Interneurons(neurons.stimulus, movie, potential)
