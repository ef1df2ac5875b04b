"""The attributions of all probes as one matrix: rows are responses of a cell at a time, columns are signed channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.labels import variable
from retmech.settings import Split, Weighting

SIGNS = ("excitation", "suppression")
FLOOR = 0.05  # a block counts as if it had at least this share of the strongest block's root mean square
CHUNKS = 10  #: runs of time that each probe is cut into when time is held out

Matrix = NDArray[np.float64]
Probes = Mapping[str, xr.Dataset]


@dataclass(frozen=True)
class Signed:
    """[A+ | A-] of all probes, weighted row by row.

    Attributes
    ----------
    values : (row, 2 * channel)
        All at least 0: excitation first, then the magnitude of suppression, in Hz times the weight.
    weight : (row,)
        1/Hz.
    chunk : (row,)
        Number of the run of time that a row is in, 0 to :data:`CHUNKS` - 1: all cells and conditions of a time share it.
    """

    values: Matrix
    weight: Matrix
    chunk: NDArray[np.int64]


def channel_attribution(attributions: xr.Dataset) -> xr.DataArray:
    """Sum attributions over all of space: (condition, time, cell, channel), Hz."""
    return attributions["excitation"].load() + attributions["suppression"].load()


def signed_matrix(probes: Probes, split: Split, weighting: Weighting) -> Signed:
    """Stack [A+ | A-] of all probes.

    Parameters
    ----------
    split
        ``unit`` separates signs before the sum over space, ``channel`` after it.
    weighting
        ``equal`` gives the responses of each cell to each probe the same sum of squares, however strong or long they are;
        ``none`` leaves them in Hz.
    """
    blocks = [_split(attributions, split) for attributions in probes.values()]
    power = np.concatenate([(b**2).sum(axis=-1).mean(axis=(0, 1)) for b in blocks])
    size = np.concatenate([np.full(b.shape[2], b.shape[0] * b.shape[1]) for b in blocks])
    weights = block_weights(power, size) if weighting == "equal" else np.ones(len(power))
    per_probe = np.split(weights, np.cumsum([b.shape[2] for b in blocks])[:-1])
    for block, weight in zip(blocks, per_probe, strict=True):
        block *= weight[:, None]
    shapes = [b.shape[:3] for b in blocks]
    return Signed(
        values=np.concatenate([b.reshape(-1, b.shape[-1]) for b in blocks]),
        weight=np.concatenate([np.broadcast_to(w, s).ravel() for w, s in zip(per_probe, shapes, strict=True)]),
        chunk=np.concatenate([np.broadcast_to(time_chunks(s[1])[None, :, None], s).ravel() for s in shapes]),
    )


def _split(attributions: xr.Dataset, split: Split) -> Matrix:
    if split == "unit":
        positive, negative = attributions["excitation"], -attributions["suppression"]
    else:
        net = channel_attribution(attributions)
        positive, negative = net.clip(min=0), (-net).clip(min=0)
    pair = [part.transpose("condition", "time", "cell", "channel").values for part in (positive, negative)]
    return np.concatenate(pair, axis=-1).astype(np.float64)


def block_weights(power: Matrix, size: NDArray[np.integer]) -> Matrix:
    """Weights that give blocks of rows the same sum of squares, and together a mean square of about 1 per row.

    Parameters
    ----------
    power : (block,)
        Mean square of the rows' norms. What is far weaker than the strongest block is not raised to its level: it would be noise.
    size : (block,)
        Rows.
    """
    strongest = power.max(initial=0.0)
    if strongest == 0:
        return np.ones(len(power))
    weight: Matrix = np.sqrt(size.sum() / (len(size) * size * np.maximum(power, FLOOR**2 * strongest)))
    return weight


def time_chunks(n_frames: int) -> NDArray[np.int64]:
    """Number of the run of time that each frame of a probe is in."""
    return np.arange(n_frames) * CHUNKS // n_frames


def row_coordinates(probes: Probes) -> dict[str, xr.Variable]:
    """Which probe, condition, time and cell each row of the matrix is of."""
    columns: dict[str, list[NDArray[np.generic]]] = {"probe": [], "condition": [], "time": [], "cell": []}
    for name, attributions in probes.items():
        axes = [attributions[d].values for d in ("condition", "time", "cell")]
        grid = [g.ravel() for g in np.meshgrid(*axes, indexing="ij")]
        columns["probe"].append(np.full(grid[0].size, name))
        for key, values in zip(("condition", "time", "cell"), grid, strict=True):
            columns[key].append(values)
    units = {"time": "s"}
    return {
        key: variable("row", np.concatenate(parts), units.get(key, "1"), f"{key} of the row") for key, parts in columns.items()
    }
