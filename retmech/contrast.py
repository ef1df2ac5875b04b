"""The unit of contrast that a recording's probes have: the standard deviation of a training movie."""

import xarray as xr

from retmech.errors import RetmechError


def contrast_unit(recording: xr.DataTree, stimulus: str | None = None) -> tuple[float, float]:
    """Mean and standard deviation of the training movie of a stimulus class; of natural scenes or the first class when omitted.

    Raises
    ------
    RetmechError
        If the recording does not have that class.
    """
    classes = list(recording.children)
    name = stimulus or ("naturalscene" if "naturalscene" in classes else classes[0])
    if name not in classes:
        raise RetmechError(f"observe.unit = {name!r}: the recording has only {', '.join(classes)}.")
    norm = recording.children[name].dataset
    return float(norm["stimulus_mean"]), float(norm["stimulus_std"])
