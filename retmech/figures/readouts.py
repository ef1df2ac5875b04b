"""Figure of all that is read from the responses to one probe: models and retinas beside each other."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.figures.layout import wrapped
from retmech.figures.style import colour, with_unit
from retmech.labels import RECORDED, TRUTH

RETINAS = {RECORDED: ("black", "s"), TRUTH: ("#555555", "D")}
MARKERS = "o^vP<>Xp"  # of seeds

Responses = Mapping[str, xr.Dataset]  # by run or retina


def mark(name: str, names: list[str]) -> tuple[str, str]:
    """Colour and marker of a run or retina: models differ in colour, their seeds in the marker."""
    if name in RETINAS:
        return RETINAS[name]
    models = list(dict.fromkeys(n.partition("/")[0] for n in names if n not in RETINAS))
    model = name.partition("/")[0]
    seeds = [n for n in names if n.partition("/")[0] == model]
    return colour(models.index(model)), MARKERS[seeds.index(name) % len(MARKERS)]


def per_cell(response: xr.Dataset) -> list[str]:
    """Names of the readouts that are one number for each cell."""
    names = [str(n) for n, v in response.data_vars.items() if v.dims == ("cell",) and v.dtype.kind == "f"]
    return [n for n in names if not n.endswith("_error")]


def of_cells(responses: Responses) -> Figure:
    """Readouts of every cell with their errors; dashed: what is expected of retinas, where a number is known."""
    names = list(responses)
    first = next(iter(responses.values()))
    readouts = per_cell(first)
    figure, panels = wrapped(len(readouts), 1.9, extra=0.5, across=3)
    cells = first["cell"].values
    for axes, readout in zip(panels, readouts, strict=True):
        attributes = first[readout].attrs
        for i, name in enumerate(names):
            response = responses[name]
            place = np.arange(len(cells)) + 0.6 * ((i + 0.5) / len(names) - 0.5)
            shade, marker = mark(name, names)
            values = response[readout].values
            errors = response[f"{readout}_error"].values if f"{readout}_error" in response else np.full(len(values), np.nan)
            known = np.isfinite(values)
            axes.errorbar(
                place[known], values[known], np.nan_to_num(errors[known]), fmt=marker, color=shade, ms=3.5, lw=0.7, label=name
            )
        if "expected" in attributes:
            axes.axhline(float(attributes["expected"]), color="black", ls="--", lw=0.7, label="expected")
        axes.set_xticks(range(len(cells)), cells, rotation=0 if len(cells) <= 5 else 60)
        axes.set_xlim(-0.6, len(cells) - 0.4)
        axes.set_ylabel(with_unit(readout.replace("_", " "), attributes["units"]))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure
