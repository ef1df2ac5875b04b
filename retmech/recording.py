"""A recording as the stages after `ingest` see it."""

import numpy as np
import xarray as xr

from retmech.errors import RecordingError


def well_recorded(recording: xr.DataTree) -> xr.DataTree:
    """Return the recording of those of its cells that were recorded well enough to train on.

    Parameters
    ----------
    recording
        May be read from its file as it is needed.

    Raises
    ------
    RecordingError
        If there is none, naming what is wrong with each.
    """
    included = np.flatnonzero(recording.dataset["included"].values)
    if not len(included):
        reasons = zip(recording.dataset["cell"].values, recording.dataset["exclusion"].values, strict=True)
        raise RecordingError(
            "no cell was recorded well enough: "
            + ", ".join(f"{cell}: {why}" for cell, why in reasons)
            + ". Change ingest.quality."
        )
    if len(included) == recording.sizes["cell"]:
        return recording
    groups = {node.path: node.to_dataset(inherit=False).isel(cell=included, missing_dims="ignore") for node in recording.subtree}
    return xr.DataTree.from_dict(groups)
