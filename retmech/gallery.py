"""The page of all probes: stimulus, parameters, readouts, and what physiology found."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from retmech import registry
from retmech.geometry import Geometry
from retmech.labels import cell_coordinate
from retmech.reference import rows_of
from retmech.stages.synthesize import drawn_from_defaults, synthesize

PAGE = Path("docs/probes.md")
IMAGES = Path("docs/images/probes")
GEOMETRY = Geometry((50, 50), 100.0, 25.0)  # pictures are drawn on the published geometry

INTRODUCTION = """# The probes

Made by `make docs` from the files in `retmech/probes/`. Contrast is in standard deviations of the training movie (sd), and
0 is grey; durations are rounded to whole frames. Pictures: defaults at 50 x 50 pixels of 25 um and 100 Hz; beside position
against time through the middle of the field, one frame. A cell that does not respond has no readout (NaN) and the verdict
`no response`; else the criterion says whether it `matches` or `differs` from what physiology found. A slope or an index is
NaN, too, where a cell responds in too few conditions; then it `differs`. `NAME_error` is a standard error.
"""


def page() -> str:
    """Return the page as Markdown."""
    names = sorted(registry.names("probe"))
    listed = "".join(f"- [{name}](#{name})\n" for name in names)
    return INTRODUCTION + "\n" + listed + "".join(_probe(name) for name in names)


def _probe(name: str) -> str:
    module = registry.load("probe", name)
    parts = [f"\n## {name}\n\n{_text(module)}\n"]
    if drawn_from_defaults(name):
        parts.append(f"\n![Stimulus of {name}](images/probes/{name}.png)\n")
    parts.append(f"\n**Found in retinas.** {module.FOUND} ({module.SOURCE})\n")
    parts.append("\n| parameter | type | range | default | meaning |\n|---|---|---|---|---|\n")
    parts += list(rows_of(module.Config))
    parts.append(f"\n**Readouts.** {_text(module.readout)}\n")
    if drawn_from_defaults(name):
        parts.append("\n| readout | dims | unit | meaning |\n|---|---|---|---|\n")
        parts += list(_readouts(name, module))
    parts.append(f"\n**Matches:** {module.CRITERION}.\n")
    return "".join(parts)


def _text(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def _readouts(name: str, module: Any) -> Iterator[str]:
    """What the readout of a cell that does nothing has, which is what that of any cell has."""
    drawn = module.stimulus(module.Config(), GEOMETRY)
    probe = synthesize(GEOMETRY, module.Config(), name)
    header = probe.header.to_dataset()
    if name == "white_noise":  # the only one that reads the movie itself
        header = probe.gather().to_dataset()
    shape = (drawn.movies.shape[0], drawn.movies.shape[1], 1)
    rate = xr.DataArray(
        np.ones(shape), dims=("condition", "time", "cell"), coords={"time": header["time"], "cell": cell_coordinate(["a"])}
    )
    for readout, values in module.readout(rate, header).items():
        if readout not in {"lag", "state", "x", "y"}:
            yield f"| `{readout}` | {', '.join(values.dims)} | {values.attrs['units']} | {values.attrs['long_name']} |\n"


def write(folder: Path) -> None:
    """Write the page and its pictures below a folder."""
    from retmech.figures.stimuli import stimuli
    from retmech.figures.style import style

    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    for name in registry.names("probe"):
        if drawn_from_defaults(name):
            config = registry.load("probe", name).Config()
            with style():
                picture = stimuli(synthesize(GEOMETRY, config, name).gather().to_dataset())
                picture.savefig(folder / IMAGES / f"{name}.png", dpi=110, metadata={"Software": None})
    (folder / PAGE).write_text(page(), encoding="utf-8")
