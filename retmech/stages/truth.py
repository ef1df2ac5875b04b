"""Show probes to the simulated retina itself, and attribute its responses to its true pathways."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from retmech.insilico.retina import contrast_of, from_dataset
from retmech.insilico.truth import attributed
from retmech.labels import variable
from retmech.readouts import answered
from retmech.settings import TruthSettings


def truth(retina: xr.Dataset, recording: xr.DataTree, probes: Mapping[str, xr.Dataset], settings: TruthSettings) -> xr.DataTree:
    """Return, for each probe, what the recorded cells of the retina answer, with readouts, drives and attributions.

    Parameters
    ----------
    recording, probes
        May be read from their files as they are needed.
    """
    simulated = from_dataset(retina)
    names = [str(cell) for cell in retina["cell"].values]
    cells = [names.index(str(cell)) for cell in recording.dataset["cell"].values]
    mean, std = float(recording.dataset["stimulus_mean"]), float(recording.dataset["stimulus_std"])
    grey = float(contrast_of(np.array(mean)))
    groups = {}
    for name, probe in probes.items():
        movies = (contrast_of(mean + std * probe["stimulus"][i].values) for i in range(probe.sizes["condition"]))
        found = [attributed(simulated, movie, grey, settings.nodes) for movie in movies]
        response = answered(
            probe, np.stack([f.rate[:, cells] for f in found]).astype(np.float32), recording.dataset["cell"].variable
        )
        dims = ("condition", "time", "cell", "pathway")
        drive, attribution = (
            np.stack([getattr(f, key)[:, cells] for f in found]).astype(np.float32) for key in ("drive", "attribution")
        )
        groups[f"/{name}"] = response.assign(
            baseline_rate=variable("cell", found[0].baseline_rate[cells], "Hz", "rate at grey"),
            drive=variable(dims, drive, "1", "change of the pooled filtered contrast from grey, before rectification"),
            attribution=variable(dims, attribution, "Hz", "part of a pathway in the change of the rate from grey"),
        ).assign_coords(pathway=retina["pathway"].variable)
    return xr.DataTree.from_dict({"/": xr.Dataset()} | groups)
