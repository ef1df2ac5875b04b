"""What is read from the responses of any retina, recorded, simulated or modelled, to a probe."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech import registry
from retmech.labels import variable
from retmech.probes._probe import spread


def answered(probe: xr.Dataset, rate: NDArray[np.floating], cell: xr.Variable) -> xr.Dataset:
    """Return responses with the probe's sweeps, its readouts and the verdict on what was found in retinas.

    Parameters
    ----------
    probe
        May be read from its file as it is needed.
    rate : (condition, time, cell)
        Hz.
    """
    module = registry.load("probe", probe.attrs["probe"])
    sweeps = {name: v for name, v in probe.variables.items() if name not in {"stimulus", "y", "x"}}
    response = xr.Dataset(
        {"rate": variable(("condition", "time", "cell"), rate, "Hz", "firing rate")}, coords={"cell": cell}
    ).assign(sweeps)
    response = response.set_coords([name for name in probe.coords if name in sweeps])
    response = response.assign(module.readout(response["rate"], probe))
    for name, value in module.EXPECTED.items():
        response[name].attrs["expected"] = value
    response["verdict"] = variable("cell", module.verdict(response).astype(str), "1", "what physiology found, by the criterion")
    response.attrs = {key: probe.attrs[key] for key in ("probe", "found", "source")} | {"criterion": module.CRITERION}
    return response


def answered_in_trials(
    probe: xr.Dataset, trials: Sequence[NDArray[np.floating]], cell: xr.Variable, draws: int, rng: np.random.Generator
) -> xr.Dataset:
    """Return the mean responses as :func:`answered` does, with the uncertainty that trials differ by.

    Parameters
    ----------
    trials : of each condition, (trial, time, cell)
        Hz; conditions may have different numbers of them.
    draws
        Bootstrap draws: in each, the trials of every condition are drawn anew with replacement.

    Returns
    -------
    responses
        With a standard error, ``NAME_error``, of every readout: its standard deviation over draws; NaN where it is known in
        fewer than half of them.
    """
    response = answered(probe, np.stack([rate.mean(axis=0) for rate in trials]), cell)
    module = registry.load("probe", probe.attrs["probe"])
    names = readouts_of(response, probe)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for _ in range(draws):
        again = np.stack([rate[rng.integers(len(rate), size=len(rate))].mean(axis=0) for rate in trials])
        found = module.readout(response["rate"].copy(data=again), probe)
        for name in names:
            drawn[name].append(np.asarray(found[name].values, np.float64))
    for name in names:
        meaning = f"standard error of {name}, bootstrap over trials"
        values = np.stack(drawn[name])
        often = np.isfinite(values).mean(axis=0) >= 0.5
        error = np.where(often, spread(values), np.nan)
        response[f"{name}_error"] = variable(tuple(map(str, response[name].dims)), error, response[name].attrs["units"], meaning)
    counts = [len(rate) for rate in trials]
    response["trials"] = variable("condition", counts, "1", "presentations whose mean the rate is")
    return response


def readouts_of(response: xr.Dataset, probe: xr.Dataset) -> list[str]:
    """Names of the readouts that are numbers of single cells, without their errors."""
    own = [str(n) for n, v in response.data_vars.items() if "cell" in v.dims and n not in probe.variables and v.dtype.kind == "f"]
    return [name for name in own if name != "rate" and not name.endswith("_error")]
