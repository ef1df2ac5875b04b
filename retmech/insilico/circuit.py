"""The circuit of the simulated retina: rectified bipolar pathways, pooled by ganglion cells, and Poisson spikes.

The order of operations follows the subunit picture of the retina: each bipolar cell filters a small patch in space and time
and rectifies; a ganglion cell sums many of them, with a weight and a sign for each pathway, and an output nonlinearity makes
its firing rate.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve

from retmech.insilico.scenes import MEAN_LUMINANCE
from retmech.labels import cell_coordinate, lag_coordinate, pixel_coordinates, variable

KERNEL_DURATION = 0.4  # s


@dataclass(frozen=True)
class Pathway:
    """One type of bipolar cell.

    Attributes
    ----------
    polarity
        -1 for OFF, +1 for ON.
    time_to_peak
        Of the temporal kernel's first lobe, s.
    rebound
        Size of the second, opposite lobe relative to the first.
    radius
        Standard deviation of the spatial Gaussian, um.
    threshold
        Of the rectification, in units of contrast after filtering.
    """

    name: str
    polarity: int
    time_to_peak: float
    rebound: float
    radius: float
    threshold: float


PATHWAYS = (
    Pathway("off_fast", -1, 0.05, 0.7, 55.0, 0.01),
    Pathway("off_slow", -1, 0.11, 0.3, 70.0, 0.01),
    Pathway("on", +1, 0.08, 0.5, 60.0, 0.01),
)

# Rows are ganglion cells, columns the pathways above; negative weights stand for inhibition by way of an amacrine cell.
WEIGHTS = np.array([[1.0, -0.6, 0.0], [0.0, 1.0, -0.5], [0.8, -0.3, 0.8], [0.4, -0.4, 1.0]])
POOLING_RADIUS = 85.0  # um, standard deviation of a ganglion cell's Gaussian weight over bipolar cells


def temporal_kernel(pathway: Pathway, frame_rate: float) -> NDArray[np.float64]:
    """Difference of two gamma functions, newest frame first, scaled to a sum of absolute values of 1.

    k(t) = g(t / T) - b g(t / 2T) with g(s) = (s exp(1 - s))^4, T the time to peak and b the rebound.
    """
    t = (np.arange(round(KERNEL_DURATION * frame_rate)) + 1) / frame_rate / pathway.time_to_peak

    def gamma(s: NDArray[np.float64]) -> NDArray[np.float64]:
        return (s * np.exp(1 - s)) ** 4

    kernel = gamma(t) - pathway.rebound * gamma(t / 2)
    return pathway.polarity * kernel / np.abs(kernel).sum()


def centres(n_cells: int, size: int) -> NDArray[np.float64]:
    """Positions (y, x) of the ganglion cells in pixels, on a ring around the middle of the field."""
    angle = 2 * np.pi * (np.arange(n_cells) + 0.5) / n_cells
    return (size - 1) / 2 + size / 9 * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def pooling(n_cells: int, size: int, pixel_size: float) -> NDArray[np.float64]:
    """Gaussian weights of each cell over the bipolar mosaic, (cell, y, x), summing to 1 for each cell."""
    yx = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    distance2 = ((yx[None] - centres(n_cells, size)[:, None, None]) ** 2).sum(axis=-1) * pixel_size**2
    weight = np.exp(-distance2 / (2 * POOLING_RADIUS**2))
    return weight / weight.sum(axis=(1, 2), keepdims=True)


def pathway_output(
    movie: NDArray[np.uint8], frame_rate: float, pixel_size: float, n_cells: int, chunk: int = 6000
) -> NDArray[np.float64]:
    """Rectified output of each pathway, pooled by each cell: (cell, pathway, time).

    Worked through in chunks of time that overlap by the kernel's length; before the movie the screen is grey.
    """
    n_frames, size, _ = movie.shape
    weight = pooling(n_cells, size, pixel_size).reshape(n_cells, -1)
    pooled = np.empty((n_cells, len(PATHWAYS), n_frames))
    for p, pathway in enumerate(PATHWAYS):
        kernel = temporal_kernel(pathway, frame_rate)[:, None, None].astype(np.float32)
        lead = len(kernel) - 1
        for start in range(0, n_frames, chunk):
            stop = min(start + chunk, n_frames)
            first = max(0, start - lead)
            contrast = movie[first:stop].astype(np.float32) / MEAN_LUMINANCE - 1
            blurred = gaussian_filter(contrast, (0, pathway.radius / pixel_size, pathway.radius / pixel_size))
            drive = oaconvolve(blurred, kernel, axes=0)[start - first : stop - first]
            rectified = np.maximum(drive - pathway.threshold, 0).reshape(stop - start, -1)
            pooled[:, p, start:stop] = weight @ rectified.T
    return pooled


@dataclass(frozen=True)
class Circuit:
    """Ganglion cells with calibrated weights: rate = gain log(1 + exp(sum_p weight_p output_p - threshold))."""

    weight: NDArray[np.float64]  # (cell, pathway)
    threshold: NDArray[np.float64]  # (cell,)
    gain: NDArray[np.float64]  # (cell,), Hz

    def rate(self, pooled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Firing rate (cell, time) in Hz from the pooled pathway outputs (cell, pathway, time)."""
        drive = np.einsum("cp,cpt->ct", self.weight, pooled)
        return self.gain[:, None] * np.logaddexp(0, drive - self.threshold[:, None])


def calibrate(pooled: NDArray[np.float64], mean_rate: float) -> Circuit:
    """Scale a circuit so that its cells fire sparsely at a given mean rate on a reference movie.

    Pathways are first brought to unit variance, so that a weight of 1 means the same for each; the sum is scaled to a
    standard deviation of 2 about a threshold one standard deviation above its mean.
    """
    weight = WEIGHTS[: len(pooled)] / pooled.std(axis=2)
    drive = np.einsum("cp,cpt->ct", weight, pooled)
    scale = 2 / drive.std(axis=1)
    threshold = scale * (drive.mean(axis=1) + drive.std(axis=1))
    silent = Circuit(weight * scale[:, None], threshold, np.ones(len(pooled)))
    return Circuit(silent.weight, threshold, mean_rate / silent.rate(pooled).mean(axis=1))


def truth(circuit: Circuit, size: int, pixel_size: float, frame_rate: float, cells: list[str]) -> xr.Dataset:
    """The circuit as a dataset: kernels, spatial weights and pathway weights of every cell."""
    kernels = np.stack([temporal_kernel(p, frame_rate) for p in PATHWAYS]).astype(np.float32)
    weights = pooling(len(cells), size, pixel_size).astype(np.float32)
    radii = [p.radius for p in PATHWAYS]
    thresholds = [p.threshold for p in PATHWAYS]
    return xr.Dataset(
        {
            "temporal_kernel": variable(("pathway", "lag"), kernels, "1", "temporal kernel"),
            "radius": variable("pathway", radii, "um", "standard deviation of the spatial Gaussian"),
            "rectification_threshold": variable("pathway", thresholds, "1", "threshold, filtered contrast"),
            "pooling": variable(("cell", "y", "x"), weights, "1", "ganglion cell's weight over the bipolar mosaic"),
            "weight": variable(("cell", "pathway"), circuit.weight, "1", "weight of a pathway"),
            "threshold": variable("cell", circuit.threshold, "1", "threshold of the output"),
            "gain": variable("cell", circuit.gain, "Hz", "gain of the output"),
        },
        coords={
            "pathway": variable("pathway", [p.name for p in PATHWAYS], "1", "bipolar pathway"),
            "cell": cell_coordinate(cells),
            "lag": lag_coordinate(kernels.shape[1], frame_rate),
        }
        | pixel_coordinates((size, size), pixel_size),
    )
