"""Write the reduced circuit for those who have no retmech: a PyTorch module with its weights, tables, and a movie."""

import inspect
import json
from collections.abc import Callable
from io import BytesIO
from typing import IO

import numpy as np
import pandas as pd
import torch
import xarray as xr

from retmech.circuit import module

LOAD = '''

def load(path: str = "weights.pt") -> ReducedCircuit:
    """Read the weights."""
    return ReducedCircuit(torch.load(path, weights_only=True))
'''


def export(circuit: xr.DataTree) -> dict[str, bytes]:
    """Return the files by name.

    ``channels.csv`` has a row for every channel, ``factors.csv`` for every factor, ``actions.csv`` for every probe, cell and
    channel. ``circuit.py`` and ``weights.pt`` are the circuit with fixed weights, ``circuit.json`` says what its axes are and how
    well it follows the network, ``discriminating.npy`` is the movie (time, y, x) on which it and its rival disagree most; they
    are left out for networks that have none.
    """
    files = {f"{name}.csv": table.to_csv().encode() for name, table in tables(circuit.to_dataset()).items()}
    if "fixed" in circuit.children:
        fixed = circuit.children["fixed"].to_dataset(inherit=False)
        tensors = {str(name): torch.from_numpy(np.array(values)) for name, values in fixed.data_vars.items()}
        files["circuit.py"] = (inspect.getsource(module) + LOAD).encode()
        files["weights.pt"] = _written(lambda file: torch.save(tensors, file))
        files["circuit.json"] = (json.dumps(_about(circuit), indent=1) + "\n").encode()
    if "discriminating" in circuit.children:
        movie = circuit.children["discriminating"].dataset["intensity"].values
        files["discriminating.npy"] = _written(lambda file: np.save(file, movie, allow_pickle=False))
    return files


def _about(circuit: xr.DataTree) -> dict[str, object]:
    """What the numbers of the circuit with fixed weights are of, and its correlation with the network."""
    root, filters = circuit.dataset, circuit.children["fixed"].dataset["filters"]
    r = root["circuit_correlation"].sel(candidate="circuit_fixed").transpose("probe", "cell")
    return {
        "cells": [str(cell) for cell in root["cell"].values],
        "channels": [str(channel) for channel in circuit.children["fixed"].dataset["member"].values],
        "frame (s)": round(1 / float(root["frame_rate"]), 9),
        "pixel (um)": float(root["pixel_size"]),
        "history (frames)": filters.sizes["filter_lag"],
        "correlation with the network": {
            str(probe): {
                str(cell): None if np.isnan(v) else round(float(v), 4) for cell, v in zip(r["cell"].values, own, strict=True)
            }
            for probe, own in zip(r["probe"].values, r.values, strict=True)
        },
    }


def tables(circuit: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Return what a person reads of a circuit as tables, with the units in the names of their columns."""
    per_channel = [name for name, values in circuit.data_vars.items() if values.dims == ("channel",)]
    per_factor = [name for name, values in circuit.data_vars.items() if values.dims == ("factor",)]
    actions = ["action", "effect", "strength", "peak_share"]
    return {
        "channels": _table(circuit[per_channel]),
        "factors": _table(circuit[per_factor]),
        "actions": _table(circuit[actions]),
    }


def _table(data: xr.Dataset) -> pd.DataFrame:
    units = {str(name): values.attrs["units"] for name, values in data.data_vars.items()}
    frame = data.reset_coords(drop=True).to_dataframe()
    return frame.rename(columns={name: f"{name} ({unit})" for name, unit in units.items() if unit != "1"})


def _written(write: Callable[[IO[bytes]], object]) -> bytes:
    file = BytesIO()
    write(file)
    return file.getvalue()
