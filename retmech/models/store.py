"""A trained network as a dataset, and back: every weight is a named variable, nothing is pickled."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from retmech import registry
from retmech.errors import FileError
from retmech.labels import geometry_of, variable
from retmech.models.network import Network


def weights_to_dataset(network: Network, cells: slice = slice(None)) -> xr.Dataset:
    """Return all parameters and buffers by name, e.g. ``first_layer.weight``, those of single cells for some only."""
    variables = {}
    for name, tensor in network.state_dict().items():
        dims = network.weight_dims.get(name, ())
        if len(dims) != tensor.ndim:
            raise TypeError(f"{type(network).__name__}.weight_dims does not name the {tensor.ndim} dimensions of {name}")
        unit = "Hz" if name == "rate_scale" else "1"
        variables[name] = variable(dims, tensor.detach().cpu().numpy(), unit, name.replace(".", " ").replace("_", " "))
    dataset = xr.Dataset(variables)
    return dataset.isel(cell=cells) if "cell" in dataset.dims else dataset


def network_settings(model: xr.DataTree) -> Any:
    """Return the settings of a model's architecture."""
    architecture = registry.load("architecture", str(model.attrs["architecture"]))
    return architecture.Config.model_validate(json.loads(model.attrs["architecture_settings"]))


def load_network(model: xr.DataTree) -> Network:
    """Rebuild a trained network in evaluation mode.

    Raises
    ------
    FileError
        If the weights in the file are not those that its settings describe.
    """
    architecture = registry.load("architecture", str(model.attrs["architecture"]))
    network: Network = architecture.build(network_settings(model), geometry_of(model), model.sizes["cell"])
    weights: Mapping[str, xr.DataArray] = {str(k): v for k, v in model.children["weights"].data_vars.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in weights.items()}
    if expected != found:
        names = [n for n in sorted(expected.keys() | found.keys()) if expected.get(n) != found.get(n)]
        listed = "; ".join(f"{n}: expected {expected.get(n, 'none')}, found {found.get(n, 'none')}" for n in names)
        raise FileError(f"model: its weights do not fit its settings: {listed}. Train it again.")
    network.load_state_dict({n: torch.from_numpy(np.array(a.values)) for n, a in weights.items()})
    return network.eval()
