"""Show a probe to a model and read its response as physiologists read a cell's."""

import numpy as np
import xarray as xr

from retmech.models.predict import after_grey, predict
from retmech.models.store import load_network
from retmech.readouts import answered


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
    return answered(probe, np.stack(rates), model.dataset["cell"].variable)
