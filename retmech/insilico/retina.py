"""The simulated retina: pathways that filter, rectify and adapt, pooled by ganglion cells with an output nonlinearity.

The order of operations follows the subunit picture of the retina: each interneuron filters a small patch in space and time and
rectifies; a ganglion cell sums many of them, with a weight and a sign for each pathway.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import lfilter, oaconvolve

from retmech.geometry import Geometry
from retmech.insilico.description import CircuitDescription, Pathway
from retmech.insilico.kernels import blur, pooling, temporal_kernel
from retmech.insilico.scenes import MEAN_LUMINANCE
from retmech.labels import cell_coordinate, geometry_variables, lag_coordinate, pixel_coordinates, variable

FloatArray = NDArray[np.float64]
Contrast = NDArray[np.floating]  # (time, y, x), luminance over its mean, minus 1
MEMORY = 5.0  # time constants after which nothing is left


@dataclass(frozen=True)
class Retina:
    """A circuit on a mosaic of pixels, before or after its calibration.

    Attributes
    ----------
    description
        Of its pathways and types of ganglion cells.
    cells, size, pixel_size, frame_rate
        Number of ganglion cells, height and width of the movie in pixels, um, Hz.
    threshold : (pathway,)
        Of the rectifiers, in units of filtered contrast; NaN: none.
    level : (pathway,)
        Mean output, which gain control and depression are in units of.
    weight : (cell, pathway)
    offset, gain : (cell,)
        rate = gain log(1 + exp(sum_p weight_p pooled_p - offset)), Hz.
    """

    description: CircuitDescription
    cells: int
    size: int
    pixel_size: float
    frame_rate: float
    threshold: FloatArray
    level: FloatArray
    weight: FloatArray
    offset: FloatArray
    gain: FloatArray

    @property
    def pathways(self) -> Sequence[tuple[str, Pathway]]:
        """Names and descriptions, in the order of all arrays."""
        return tuple(self.description.pathways.items())

    @property
    def lead(self) -> int:
        """Frames before a movie that its first response depends on."""
        slowest = max(map(_memory, self.description.pathways.values()))
        return len(self.kernel(0)) - 1 + round(MEMORY * 1e-3 * slowest * self.frame_rate)

    def kernel(self, pathway: int) -> FloatArray:
        """Temporal kernel (lag,), newest frame first."""
        return temporal_kernel(self.pathways[pathway][1], self.frame_rate)

    def spatial(self, pathway: int) -> list[tuple[float, FloatArray]]:
        """Centre and surround: weight, and the matrix (y, y) by which it averages along one axis."""
        described = self.pathways[pathway][1]
        parts = [(1.0, blur(self.size, described.centre, self.pixel_size))]
        if described.surround:
            parts.append((-described.surround.strength, blur(self.size, described.surround.radius, self.pixel_size)))
        return parts

    def pool(self, pathway: int) -> FloatArray:
        """Weights (cell, y, x) of ganglion cells over a pathway's mosaic."""
        return pooling(self.pathways[pathway][1].pooling, self.cells, self.size, self.pixel_size)

    def drive(self, contrast: Contrast, pathway: int) -> FloatArray:
        """Input (time, y, x) of a pathway's rectifiers: the stimulus filtered in space and time; before the movie is grey."""
        seen: FloatArray = np.zeros(contrast.shape, contrast.dtype)
        for weight, matrix in self.spatial(pathway):
            along = matrix.astype(contrast.dtype)
            seen += contrast.dtype.type(weight) * (along @ contrast @ along.T)
        kernel = self.kernel(pathway).astype(contrast.dtype)[:, None]
        for row in range(self.size):  # one at a time: transforms need several times the memory of what they are of
            seen[:, row] = oaconvolve(seen[:, row], kernel, axes=0)[: len(contrast)]
        return seen

    def release(self, drive: FloatArray, pathway: int) -> FloatArray:
        """What a pathway's interneurons pass on, for their input (time, y, x), from the steady state of its first frame on."""
        described = self.pathways[pathway][1]
        threshold = self.threshold[pathway].astype(drive.dtype)
        passed = drive if described.threshold is None else np.maximum(drive - threshold, 0)
        if described.gain_control:
            recent = self._average(passed, described.gain_control.time_constant) / self.level[pathway]
            passed = passed / (1 + described.gain_control.strength * recent)
        if described.depression:
            use = passed / self.level[pathway]
            passed = passed * self._pool_left(use, described.depression.release, described.depression.recovery)
        return self._average(passed, described.smoothing) if described.smoothing else passed

    def pooled(self, released: FloatArray, pathway: int) -> FloatArray:
        """Sum (time, cell) of a pathway's output (time, y, x) over its mosaic."""
        pool = self.pool(pathway).astype(released.dtype).reshape(self.cells, -1)
        return released.reshape(len(released), -1) @ pool.T

    def inputs(self, contrast: Contrast) -> FloatArray:
        """All pathways' pooled outputs (time, cell, pathway)."""
        pooled = [self.pooled(self.release(self.drive(contrast, p), p), p) for p in range(len(self.pathways))]
        return np.stack(pooled, axis=-1).astype(np.float64)

    def current(self, inputs: FloatArray) -> FloatArray:
        """Input (time, cell) of the output nonlinearity."""
        summed: FloatArray = (inputs * self.weight).sum(axis=-1) - self.offset
        return summed

    def rate(self, inputs: FloatArray) -> FloatArray:
        """Firing rate (time, cell), Hz."""
        return np.asarray(self.gain * np.logaddexp(0, self.current(inputs)))

    def _average(self, values: FloatArray, time_constant: float) -> FloatArray:
        """Exponential average along time."""
        keep = float(np.exp(-1e3 / (time_constant * self.frame_rate)))
        averaged, _ = lfilter([1 - keep], [1, -keep], values, axis=0, zi=keep * values[:1])
        return np.asarray(averaged)

    def _pool_left(self, use: FloatArray, release: float, recovery: float) -> FloatArray:
        """Share of vesicles left before each frame, dR/dt = (1 - R) / recovery - release use R."""
        step = 1 / self.frame_rate
        back = 1 - np.exp(-1e3 * step / recovery)
        left = np.empty_like(use)
        used = np.exp(-step * release * use)
        pool = back / (1 - (1 - back) * used[0])  # steady state: pool = pool used (1 - back) + back
        for t in range(len(use)):
            left[t] = pool
            pool = pool * used[t] * (1 - back) + back
        return left


def _memory(pathway: Pathway) -> float:
    """Longest time constant after the rectifiers, ms."""
    adaptation = [pathway.gain_control.time_constant] if pathway.gain_control else []
    adaptation += [pathway.depression.recovery] if pathway.depression else []
    return max([pathway.smoothing, *adaptation])


def calibrated(
    description: CircuitDescription,
    cells: int,
    pixel_size: float,
    frame_rate: float,
    contrast: Contrast,
    mean_rate: float,
) -> Retina:
    """Scale a circuit so that its cells fire sparsely at a given mean rate on a reference movie (time, y, x).

    Thresholds are in standard deviations of what they act on; pathways are brought to unit variance, so that a weight of 1
    means the same for each, and the sum to the standard deviation and threshold that the type of ganglion cell has.
    """
    n = len(description.pathways)
    ones, types = np.ones(cells), [description.cells[k % len(description.cells)] for k in range(cells)]
    geometry = cells, contrast.shape[1], pixel_size, frame_rate
    retina = Retina(description, *geometry, np.full(n, np.nan), np.ones(n), np.ones((cells, n)), 0 * ones, ones)
    inputs = []
    for p, (_, pathway) in enumerate(retina.pathways):
        drive = retina.drive(contrast, p)
        if pathway.threshold is not None:
            retina.threshold[p] = pathway.threshold * drive.std(dtype=np.float64)
            retina.level[p] = np.maximum(drive - retina.threshold[p], 0).mean(dtype=np.float64)
        inputs.append(retina.pooled(retina.release(drive, p), p))
    pooled = np.stack(inputs, axis=-1).astype(np.float64)
    weight = np.array([[cell.weights.get(name, 0.0) for name, _ in retina.pathways] for cell in types]) / pooled.std(axis=0)
    summed = (pooled * weight).sum(axis=-1)
    scale = np.array([cell.steepness for cell in types]) / summed.std(axis=0)
    offset = scale * (summed.mean(axis=0) + np.array([cell.threshold for cell in types]) * summed.std(axis=0))
    retina = replace(retina, weight=weight * scale[:, None], offset=offset)
    return replace(retina, gain=mean_rate / retina.rate(pooled).mean(axis=0))


def shown(retina: Retina, movie: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[NDArray[np.uint8], FloatArray]]:
    """Yield a movie's chunks (time, y, x) with the rates (time, cell) in Hz; before the movie the screen is grey."""
    before = np.zeros((retina.lead, retina.size, retina.size), np.float32)
    for chunk in movie:
        seen = np.concatenate([before, contrast_of(chunk)])
        yield chunk, retina.rate(retina.inputs(seen)[len(before) :])
        before = seen[len(seen) - len(before) :]


def contrast_of(luminance: NDArray[np.generic]) -> NDArray[np.float32]:
    """Luminance over its mean, minus 1."""
    return np.asarray(luminance, np.float32) / np.float32(MEAN_LUMINANCE) - 1


def to_dataset(retina: Retina, cells: list[str]) -> xr.Dataset:
    """All of a retina as a dataset: what is calculated with, and kernels and mosaics to look at."""
    geometry = Geometry((retina.size, retina.size), retina.frame_rate, retina.pixel_size)
    numbers = range(len(retina.pathways))
    kernels = np.stack([retina.kernel(p) for p in numbers]).astype(np.float32)
    pools = np.stack([retina.pool(p) for p in numbers], axis=1).astype(np.float32)
    dataset = xr.Dataset(
        geometry_variables(geometry)
        | {
            "temporal_kernel": variable(("pathway", "lag"), kernels, "1", "temporal kernel"),
            "pooling": variable(("cell", "pathway", "y", "x"), pools, "1", "ganglion cell's weight over a pathway's mosaic"),
            "rectification_threshold": variable("pathway", retina.threshold, "1", "threshold, filtered contrast; NaN: none"),
            "level": variable("pathway", retina.level, "1", "mean output on the calibration movie"),
            "weight": variable(("cell", "pathway"), retina.weight, "1", "weight of a pathway"),
            "offset": variable("cell", retina.offset, "1", "threshold of the output"),
            "gain": variable("cell", retina.gain, "Hz", "gain of the output"),
        },
        coords={
            "pathway": variable("pathway", [name for name, _ in retina.pathways], "1", "pathway"),
            "cell": cell_coordinate(cells),
            "lag": lag_coordinate(kernels.shape[1], retina.frame_rate),
        }
        | pixel_coordinates(geometry.shape, geometry.pixel_size),
    )
    return dataset.assign_attrs(circuit=retina.description.model_dump_json())


def from_dataset(dataset: xr.Dataset) -> Retina:
    """Rebuild a retina."""
    arrays = [dataset[name].values for name in ("rectification_threshold", "level", "weight", "offset", "gain")]
    rate, pixel = float(dataset["frame_rate"]), float(dataset["pixel_size"])
    description = CircuitDescription.model_validate_json(dataset.attrs["circuit"])
    return Retina(description, dataset.sizes["cell"], dataset.sizes["y"], pixel, rate, *arrays)
