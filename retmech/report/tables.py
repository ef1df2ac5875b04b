"""Tables of the page: cells of a recording, readouts of a probe, scores of a recovery. Numbers are formatted here."""

from typing import Any

import numpy as np
import xarray as xr

from retmech.report.blocks import numbers, texts
from retmech.stages.summarize import readouts_per_cell

Table = dict[str, Any]
LEAST_SHARE = 0.02  # of a response; a pathway that has less is left out


def table(caption: str, header: list[str], rows: list[list[str]]) -> Table:
    """Return a table for the page."""
    return {"caption": caption, "header": header, "rows": rows}


def recording_tables(recording: xr.DataTree) -> list[Table]:
    """What was recorded, and how well."""
    return [_parts(recording), _responses(recording), _quality(recording)]


def _parts(recording: xr.DataTree) -> Table:
    rate = float(recording["frame_rate"])
    rows = [
        [name, part, f"{node[part].sizes['time'] / rate:.0f}", str(node[part].attrs.get("timing", "")) or "even"]
        for name, node in recording.children.items()
        for part in ("train", "validation", "test")
    ]
    return table("Length of the parts", ["stimulus", "part", "s", "times of frames"], rows)


def _responses(recording: xr.DataTree) -> Table:
    rows = []
    for name, node in recording.children.items():
        test = node.children["test"].dataset
        for cell in recording.dataset["cell"].values:
            own = test.sel(cell=cell)
            rate = float(node["train/rate"].sel(cell=cell).mean())
            low, high = own["noise_ceiling_interval"].values
            ceiling = f"{float(own['noise_ceiling']):.2f} ({low:.2f} to {high:.2f})"
            rows.append([name, str(cell), f"{rate:.1f}", ceiling, f"{float(own['signal_to_noise']):.3f}"])
    header = ["stimulus", "cell", "mean rate (Hz)", "noise ceiling (r, 95 % interval)", "signal to noise of a trial, bin by bin"]
    return table("Responses", header, rows)


def _quality(recording: xr.DataTree) -> Table:
    rows = []
    for cell in recording.dataset["cell"].values:
        own = recording.dataset.sel(cell=cell)
        violations = float(own["refractory_violations"])
        rows.append(
            [
                str(cell),
                "unknown" if np.isnan(violations) else f"{100 * violations:.1f} %",
                f"{float(own['rate_drift']):+.2f}",
                f"{float(own['field_strength']):.0f}",
                _whole(own["field_diameter"]),
                f"{_whole(own['field_x'])}, {_whole(own['field_y'])}",
                "yes" if own["included"] else f"no: {own['exclusion'].item()}",
            ]
        )
    header = [
        "cell",
        "intervals within the refractory period",
        "drift of the rate, over its mean",
        "receptive field, sd of the null",
        "its diameter (um)",
        "its place x, y (um)",
        "used",
    ]
    return table("Quality of the cells", header, rows)


def _whole(value: xr.DataArray) -> str:
    return f"{float(value):.0f}" if np.isfinite(value) else "undefined"


def readouts(responses: dict[str, xr.Dataset]) -> dict[str, Any]:
    """All readouts of one probe that are one number for each cell, with errors and expectation, by what they are read from."""
    first = list(responses.values())[-1]  # a model's: a retina's own has further numbers
    rows = []
    for name in readouts_per_cell(first):
        attributes = first[name].attrs
        values = {source: numbers(response[name]) for source, response in responses.items() if name in response}
        errors = {s: numbers(r[f"{name}_error"]) for s, r in responses.items() if f"{name}_error" in r}
        expected = attributes.get("expected")
        rows.append(
            {
                "name": name.replace("_", " "),
                "meaning": attributes["long_name"],
                "unit": attributes["units"],
                "expected": None if expected is None else float(expected),
                "values": values,
                "errors": errors,
            }
        )
    return {"readouts": rows, "verdicts": {source: texts(r["verdict"]) for source, r in responses.items()}}


def sweeps(response: xr.Dataset) -> list[dict[str, Any]]:
    """Quantities that are swept over a probe's conditions; their number where there is none."""
    found = [
        {"name": str(v.attrs["long_name"]), "unit": str(v.attrs["units"]), "values": numbers(v)}
        for n, v in response.coords.items()
        if n != "condition" and v.dims == ("condition",) and v.dtype.kind in "if"
    ]
    order = list(range(1, response.sizes["condition"] + 1))
    return found or [{"name": "number of the condition", "unit": "1", "values": order}]


def varying(responses: dict[str, xr.Dataset]) -> list[dict[str, Any]]:
    """Readouts along the sweep, for each cell, by what they are read from."""
    first = list(responses.values())[-1]
    names = [n for n, v in first.data_vars.items() if v.dims == ("condition", "cell")]
    return [
        {
            "name": str(first[n].attrs["long_name"]),
            "unit": str(first[n].attrs["units"]),
            "values": {source: numbers(r[n].transpose("cell", "condition")) for source, r in responses.items() if n in r},
        }
        for n in names
    ]


def recovery_tables(recovery: xr.Dataset) -> list[Table]:
    """How well the true pathways were recovered."""
    return [_scores(recovery), _pathways(recovery)]


def _scores(recovery: xr.Dataset) -> Table:
    rows = []
    for probe in recovery["probe"].values:
        here = recovery.sel(probe=probe)
        by_level = [f"{float(here['recovery'].sel(level=level).mean()):.2f}" for level in ("group", "channel", "factor")]
        sign = 100 * float(here["sign_right"].where(here["share"] > LEAST_SHARE).mean())
        rows.append(
            [
                str(probe),
                *by_level,
                f"{float(here['untrained_recovery']):.2f}",
                f"{sign:.0f} %",
                f"{100 * float(here['unmatched_share'].mean()):.0f} %",
                f"{float(here['response_correlation'].mean()):.2f}",
            ]
        )
    header = [
        "probe",
        "groups",
        "single channels",
        "factors",
        "untrained",
        "sign on the cell right",
        "matches no pathway",
        "model's response and the retina's (r)",
    ]
    return table("Recovery of the true pathways, mean over cells", header, rows)


def _pathways(recovery: xr.Dataset) -> Table:
    rows = []
    for pathway in recovery["pathway"].values:
        here = recovery.sel(pathway=pathway)
        member = (recovery["pathway_of_channel"] == pathway).mean("probe")
        weighty = here["share"] > LEAST_SHARE
        rows.append(
            [
                str(pathway),
                ", ".join(str(c) for c in recovery["channel"].values[member.values >= 0.5]) or "none",
                f"{float(here['correlation'].sel(level='group').where(weighty).mean()):.2f}",
                f"{float(here['amplitude'].where(weighty).median()):.2f}",
                f"{float(here['kernel_similarity'].mean()):.2f}",
                "yes" if float(here["polarity_right"].mean()) > 0.5 else "no",
            ]
        )
    header = [
        "pathway",
        "channels, for most probes",
        "correlation of parts",
        "size of parts, found / true (median)",
        "cosine of temporal kernels",
        "ON or OFF right",
    ]
    return table("The true pathways and what stands for them", header, rows)


def movies_table(circuit: xr.DataTree) -> Table:
    """The circuits on held-out movies that they were not made for."""
    rows = [
        [movie, str(predictor), against, *(_number(r) for r in node.dataset[key].values[i])]
        for movie, node in circuit.children["movies"].children.items()
        for i, predictor in enumerate(node.dataset["predictor"].values)
        for key, against in (("recorded_correlation", "the recorded rate"), ("model_correlation", "the model"))
        if not (i == 0 and key == "model_correlation")
    ]
    header = ["movie", "predictor", "held against", *texts(circuit.dataset["cell"])]
    return table("Correlation on held-out test movies, of the model and of its circuits", header, rows)


def agreement_table(attributions: xr.DataTree) -> Table | None:
    """Other baselines and measures beside the attributions."""
    if "agreement" not in attributions.children:
        return None
    found = attributions.children["agreement"].to_dataset(inherit=True)
    rows = [
        [
            str(measure),
            *(_number(r) for r in found["correlation"].values[i]),
            _number(100 * float(found["incompleteness"][i].mean()), " %"),
        ]
        for i, measure in enumerate(found["measure"].values)
    ]
    header = ["measure", *(f"r, {cell}" for cell in found["cell"].values), "what its sum misses"]
    return table("Other baselines and measures: correlation with the attributions to channels", header, rows)


def _number(value: float, unit: str = "") -> str:
    return f"{value:.2f}{unit}" if np.isfinite(value) else "undefined"
