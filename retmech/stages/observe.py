"""Read the recorded cells' own responses to the probes that their recording contains."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from retmech.errors import warn
from retmech.presentations import cut, presentations
from retmech.probes._probe import Movies
from retmech.readouts import answered_in_trials
from retmech.settings import ObserveSettings
from retmech.stages.synthesize import source_of
from retmech.streams import stream


def observe(recording: xr.DataTree, probes: Mapping[str, xr.Dataset], settings: ObserveSettings) -> xr.DataTree:
    """Return, for each probe whose movies are all in one of the test movies, what the cells answered and its readouts.

    Probes that are cut from the recording itself are left out: what was recorded then stands in them already.

    Parameters
    ----------
    recording, probes
        May be read from their files as they are needed.
    """
    mean, std = float(recording.dataset["stimulus_mean"]), float(recording.dataset["stimulus_std"])
    drawn = {name: probe for name, probe in probes.items() if source_of(probe.attrs["probe"]) != "recording"}
    found: dict[str, xr.Dataset] = {}
    for stimulus_class in recording.children:
        test = recording.children[stimulus_class].children["test"].to_dataset()
        intensity = test["stimulus"].values
        contrast = (intensity.astype(np.float32) - np.float32(mean)) / np.float32(std)
        step = 1 / std if intensity.dtype == np.uint8 else 0.0
        for name, probe in drawn.items():
            onsets = presentations(contrast, _movies(probe), settings.tolerance, step)
            seen = sum(map(bool, onsets))
            if 0 < seen < len(onsets):
                warn(f"{name}: {seen} of its {len(onsets)} movies are in {stimulus_class}: without the others it is not read.")
            elif seen and name not in found:
                trials = [cut(test["trial_rate"].values, places, probe.sizes["time"]) for places in onsets]
                found[name] = answered_in_trials(
                    probe.load(),
                    trials,
                    recording.dataset["cell"].variable,
                    settings.draws,
                    stream(settings.seed, "trials drawn anew", name),
                ).assign_attrs(stimulus_class=stimulus_class)
    return xr.DataTree.from_dict({"/": xr.Dataset()} | {f"/{name}": response for name, response in found.items()})


def _movies(probe: xr.Dataset) -> Movies:
    sizes = probe["stimulus"].sizes
    shape = sizes["condition"], sizes["time"], sizes["y"], sizes["x"]
    return Movies(shape, lambda condition: probe["stimulus"][condition].values)
