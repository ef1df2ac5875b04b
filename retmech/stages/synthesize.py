"""Draw a probe stimulus on the geometry of a recording."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from retmech import registry
from retmech.geometry import Geometry
from retmech.labels import geometry_variables, pixel_coordinates, time_coordinate, variable
from retmech.pieces import Pieces
from retmech.probes._probe import Movies
from retmech.settings import Settings


def synthesize(geometry: Geometry, config: Settings, probe: str, recording: xr.DataTree | None = None) -> Pieces:
    """Return a probe's movies, one condition at a time, with their sweeps and the symmetry that the probe declares.

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
    header = xr.Dataset(
        geometry_variables(geometry) | {name: v for name, v in sweeps.items() if name not in along},
        coords={
            "condition": variable("condition", np.asarray(drawn.labels), "1", "condition"),
            "time": time_coordinate(drawn.movies.shape[1], geometry.frame_rate),
            **pixel_coordinates(geometry.shape, geometry.pixel_size),
            **along,
        },
        attrs={"probe": probe, "symmetry": " ".join(module.SYMMETRY), "found": module.FOUND, "source": module.SOURCE},
    )
    return Pieces(xr.DataTree(header), _parts(header, drawn.movies))


def _parts(header: xr.Dataset, movies: Movies) -> Iterator[xr.DataTree]:
    for i in range(movies.shape[0]):
        movie = variable(("condition", "time", "y", "x"), movies[i].astype(np.float32)[None], "1", "contrast, training sd")
        where = {"condition": header["condition"].variable[i : i + 1], "time": header["time"].variable}
        yield xr.DataTree(xr.Dataset({"stimulus": movie}, coords=where))


def drawn_from_defaults(probe: str) -> bool:
    """Whether a probe needs nothing but a geometry: neither a recording nor a file."""
    config = registry.load("probe", probe).Config
    return not takes_recording(probe) and not any(field.is_required() for field in config.model_fields.values())


def takes_recording(probe: str) -> bool:
    """Whether a probe's movie is taken from the recording itself, not drawn on its geometry."""
    return hasattr(registry.load("probe", probe), "excerpt")
