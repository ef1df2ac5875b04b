"""One table of what was read from every response: probes, cells, models and seeds."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from retmech.labels import variable

COLUMNS = {
    "model": "model, or retina",
    "seed": "training seed; empty for a retina",
    "probe": "probe",
    "cell": "ganglion cell",
    "readout": "what was read",
    "unit": "unit of value and error",
    "verdict": "what physiology found, by the probe's criterion",
}


Source = tuple[str, str, str]  # model or retina, training seed, probe


def summarize(responses: Mapping[Source, xr.Dataset]) -> xr.Dataset:
    """Return a row for every readout that is one number for each cell."""
    rows = [row for source, response in responses.items() for row in _rows(source, response)]
    columns = {key: np.array([row[key] for row in rows], dtype=np.str_) for key in COLUMNS}
    numbers = {key: np.array([row[key] for row in rows], dtype=np.float64) for key in ("value", "error", "expected")}
    texts = {"value": "readout; NaN: no response", "error": "its standard error", "expected": "what is expected of retinas"}
    return xr.Dataset(
        {key: variable("row", values, "1", texts[key]) for key, values in numbers.items()},
        coords={key: variable("row", values, "1", COLUMNS[key]) for key, values in columns.items()},
    )


def _rows(source: Source, response: xr.Dataset) -> Iterator[dict[str, Any]]:
    model, seed, probe = source
    for readout in readouts_per_cell(response):
        values = response[readout]
        errors = response[f"{readout}_error"].values if f"{readout}_error" in response else np.full(values.size, np.nan)
        for k, cell in enumerate(response["cell"].values):
            yield {
                "model": model,
                "seed": seed,
                "probe": probe,
                "cell": str(cell),
                "readout": readout,
                "unit": values.attrs["units"],
                "verdict": str(response["verdict"].values[k]),
                "value": float(values.values[k]),
                "error": float(errors[k]),
                "expected": float(values.attrs.get("expected", np.nan)),
            }


def readouts_per_cell(response: xr.Dataset) -> list[str]:
    """Names of the readouts that are one number for each cell; their errors, ``NAME_error``, stand beside them."""
    names = [str(n) for n, v in response.data_vars.items() if v.dims == ("cell",)]
    return [n for n in names if not n.endswith("_error") and n != "verdict"]
