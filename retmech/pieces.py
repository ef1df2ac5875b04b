"""A tree of datasets that is made piece by piece, so that it never has to be held as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Pieces:
    """A tree in parts.

    Attributes
    ----------
    header
        All groups with all their coordinates, attributes, and what is known at the start.
    parts
        Numbers of some groups. A part has the coordinates that say where in the whole it belongs; along dimensions for which it
        has none it is whole.
    """

    header: xr.DataTree
    parts: Iterator[xr.DataTree]

    def gather(self) -> xr.DataTree:
        """Put all parts together in memory."""
        groups = groups_of(self.header)
        whole = groups_of(self.header, inherit=True)
        for part in self.parts:
            for path, dataset in groups_of(part, inherit=True).items():
                for name, values in dataset.data_vars.items():
                    if name not in groups[path]:
                        empty = np.zeros(full_shape(whole[path], values), values.dtype)
                        groups[path][name] = xr.Variable(values.dims, empty, values.attrs)
                    groups[path][name].values[region(whole[path], values)] = values.values
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(self.header.attrs)
        return tree


def groups_of(tree: xr.DataTree, inherit: bool = False) -> dict[str, xr.Dataset]:
    """Return all groups by their paths, with the coordinates that they inherit or without."""
    return {node.path: node.to_dataset(inherit=inherit) for node in tree.subtree}


def completed(whole: xr.Dataset, part: xr.Dataset) -> xr.Dataset:
    """Add to a part of one group what the whole's header says of its place: it is then of the same type as the whole."""
    here = whole.isel({d: _run(whole[d], part[d]) for d in part.dims if d in part.coords})
    return here.drop_vars([name for name in here.coords if name in part.coords]).merge(part)


def full_shape(whole: xr.Dataset, part: xr.DataArray) -> tuple[int, ...]:
    """Shape that a part's variable has in the whole."""
    return tuple(whole.sizes[d] for d in part.dims)


def region(whole: xr.Dataset, part: xr.DataArray) -> tuple[slice, ...]:
    """Where in the whole a part of a variable belongs: one run along every dimension."""
    return tuple(_run(whole[d], part[d]) if d in part.coords else slice(0, n) for d, n in part.sizes.items())


def _run(whole: xr.DataArray, part: xr.DataArray) -> slice:
    """Where in a coordinate a part of it begins and ends."""
    start = int(np.flatnonzero(whole.values == part.values[0])[0])
    return slice(start, start + part.size)
