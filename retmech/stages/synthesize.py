"""Draw a probe stimulus on the geometry of a recording."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import xarray as xr

from retmech import registry
from retmech.geometry import Geometry
from retmech.labels import geometry_variables, pixel_coordinates, time_coordinate, variable
from retmech.pieces import Pieces
from retmech.probes._probe import Movies
from retmech.settings import Settings

# What a probe's movies are made from, by the function in its module that makes them.
SOURCES: dict[str, Literal["geometry", "recording", "model"]] = {
    "stimulus": "geometry",
    "excerpt": "recording",
    "climbed": "model",
}


def synthesize(geometry: Geometry, config: Settings, probe: str, source: xr.DataTree | None = None) -> Pieces:
    """Return a probe's movies, one condition at a time, with their sweeps and the symmetry that the probe declares.

    Contrast is in standard deviations of the training movie; time 0 is the first frame, and before it the screen is grey.

    Parameters
    ----------
    source
        The recording or the trained model that the movies are made from, for probes that need one.
    """
    module = registry.load("probe", probe)
    made_by = next(name for name in SOURCES if hasattr(module, name))
    drawn = getattr(module, made_by)(config, geometry if SOURCES[made_by] == "geometry" else source)
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


def source_of(probe: str) -> Literal["geometry", "recording", "model"]:
    """What a probe's movies are made from: drawn on a geometry, cut from the recording, or climbed with a trained model."""
    module = registry.load("probe", probe)
    return next(source for name, source in SOURCES.items() if hasattr(module, name))


def drawn_from_defaults(probe: str) -> bool:
    """Whether a probe needs nothing but a geometry: neither a recording, nor a model, nor a file."""
    config = registry.load("probe", probe).Config
    return source_of(probe) == "geometry" and not any(field.is_required() for field in config.model_fields.values())
