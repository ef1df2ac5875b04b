"""The attributions of all probes as one matrix: rows are responses of a cell at a time, columns are signed channels."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.labels import variable

SIGNS = ("excitation", "suppression")


def channel_attribution(attributions: xr.Dataset) -> xr.DataArray:
    """Sum attributions over all of space: (condition, time, cell, channel), Hz."""
    return attributions["excitation"].load() + attributions["suppression"].load()


def signed_matrix(probes: Mapping[str, xr.Dataset], split: str) -> NDArray[np.float64]:
    """Stack [A+ | A-] of all probes.

    Parameters
    ----------
    split
        ``unit`` separates signs before the sum over space, ``channel`` after it.

    Returns
    -------
    matrix : (row, 2 * channel)
        All at least 0: excitation first, then the magnitude of suppression, Hz.
    """
    blocks = []
    for attributions in probes.values():
        if split == "unit":
            positive, negative = attributions["excitation"], -attributions["suppression"]
        else:
            net = channel_attribution(attributions)
            positive, negative = net.clip(min=0), (-net).clip(min=0)
        pair = [part.transpose("condition", "time", "cell", "channel").values for part in (positive, negative)]
        blocks.append(np.concatenate(pair, axis=-1).reshape(-1, 2 * pair[0].shape[-1]))
    return np.concatenate(blocks).astype(np.float64)


def row_coordinates(probes: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
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
