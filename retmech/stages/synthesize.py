"""Draw a probe stimulus on the geometry of a recording."""

import numpy as np
import xarray as xr

from retmech import registry
from retmech.geometry import Geometry
from retmech.labels import geometry_variables, pixel_coordinates, time_coordinate, variable
from retmech.settings import Settings


def synthesize(geometry: Geometry, config: Settings, probe: str, recording: xr.DataTree | None = None) -> xr.Dataset:
    """Return a probe's movies with their sweeps, and the symmetry that the probe declares.

    Contrast is in standard deviations of the training movie; time 0 is the first frame, and before it the screen is grey.

    Parameters
    ----------
    recording
        Only for probes that take their movie from it.
    """
    module = registry.load("probe", probe)
    drawn = module.excerpt(config, recording) if takes_recording(probe) else module.stimulus(config, geometry)
    sweeps = dict(drawn.sweeps)
    along = {name: v for name, v in sweeps.items() if v.dims == ("condition",)}
    return xr.Dataset(
        {"stimulus": variable(("condition", "time", "y", "x"), drawn.contrast, "1", "contrast, training sd")}
        | geometry_variables(geometry)
        | {name: v for name, v in sweeps.items() if name not in along},
        coords={
            "condition": variable("condition", np.asarray(drawn.labels), "1", "condition"),
            "time": time_coordinate(drawn.contrast.shape[1], geometry.frame_rate),
            **pixel_coordinates(geometry.shape, geometry.pixel_size),
            **along,
        },
        attrs={"probe": probe, "symmetry": " ".join(module.SYMMETRY), "found": module.FOUND, "source": module.SOURCE},
    )


def takes_recording(probe: str) -> bool:
    """Whether a probe's movie is taken from the recording itself, not drawn on its geometry."""
    return hasattr(registry.load("probe", probe), "excerpt")
