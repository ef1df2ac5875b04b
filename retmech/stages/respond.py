"""Show a probe to a model and read its response as physiologists read a cell's."""

import numpy as np
import xarray as xr

from retmech import registry
from retmech.labels import variable
from retmech.models.predict import after_grey, predict
from retmech.models.store import load_network


def respond(model: xr.DataTree, probe: xr.Dataset) -> xr.Dataset:
    """Return the model's rate for every condition, time and cell, with the probe's readouts and what was found in retinas.

    Parameters
    ----------
    probe
        May be read from its file as it is needed.
    """
    network = load_network(model)
    movies = (probe["stimulus"][i].values for i in range(probe.sizes["condition"]))
    rates = [predict(network, after_grey(movie, network.history)) for movie in movies]
    module = registry.load("probe", probe.attrs["probe"])
    sweeps = {name: v for name, v in probe.variables.items() if name not in {"stimulus", "y", "x"}}
    response = xr.Dataset(
        {"rate": variable(("condition", "time", "cell"), np.stack(rates), "Hz", "predicted firing rate")},
        coords={"cell": model.dataset["cell"].variable},
    ).assign(sweeps)
    response = response.set_coords([name for name in probe.coords if name in sweeps])
    response = response.assign(module.readout(response["rate"], probe))
    for name, value in module.EXPECTED.items():
        response[name].attrs["expected"] = value
    response["verdict"] = variable("cell", module.verdict(response).astype(str), "1", "what physiology found, by the criterion")
    response.attrs = {key: probe.attrs[key] for key in ("probe", "found", "source")} | {"criterion": module.CRITERION}
    return response
