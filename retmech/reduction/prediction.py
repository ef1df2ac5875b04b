"""Are factors a result? They are if they predict attributions that their fit has not seen."""

import json

import xarray as xr

LEAST = 0.1  #: share below which nine tenths of what tells one time from another are not in the factors


def predicted_share(error: float, null: float) -> float:
    """Share of hidden attributions, beyond their means, that factors predict; 0 where there is nothing to predict.

    Parameters
    ----------
    error, null
        Relative errors on hidden entries: of the factors, and of each column's mean, which does not know the time.

    Returns
    -------
    share
        1 - error^2 / null^2, a fraction of explained variance: 1 if all is predicted, negative if the means predict better.
    """
    return 1 - (error / null) ** 2 if null > 0 else 0.0


def doubt(reduction: xr.Dataset) -> str:
    """Say by what numbers the factors are no result; empty if they are one."""
    if float(reduction["predicted_share"]) >= LEAST:
        return ""
    if not reduction["activation"].any():
        return "all attributions are zero"
    error = float(reduction["held_out_error"].sel(rank=reduction.sizes["factor"]).mean())
    return f"error {error:.2f}, of each channel's mean {float(reduction['null_error'].mean()):.2f}; 1: nothing is predicted"


def doubt_of_runs(consensus: xr.Dataset) -> str:
    """Say which runs' factors are no result, and what rests on them; empty if all are one."""
    runs = consensus["run"].values[consensus["predicted_share"].values < LEAST]
    if not runs.size:
        return ""
    return (
        f"The factors of {', '.join(map(str, runs))} do not predict hidden attributions: "
        "their matches are no result, and channels there do not act together as those of one cell type would."
    )


def doubt_of_circuit(circuit: xr.Dataset, reduction: xr.Dataset) -> str:
    """Say that a circuit was chosen by factors that are no result; empty if it was not."""
    if json.loads(circuit.attrs["settings"])["selection"] != "factor" or not doubt(reduction):
        return ""
    return "The circuit was chosen by factors that do not predict hidden attributions: it is no result."
