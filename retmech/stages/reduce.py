"""Reduce the attributions of all probes to a few factors."""

import numpy as np
import xarray as xr

from retmech.errors import RetmechError
from retmech.labels import variable
from retmech.reduction.alternatives import METHODS, time_errors
from retmech.reduction.factors import Factors, Matrix, restarts
from retmech.reduction.matrix import SIGNS, Probes, Signed, row_coordinates, signed_matrix
from retmech.reduction.prediction import predicted_share
from retmech.reduction.rank import DRAWS, Choice, Judged, judge
from retmech.reduction.units import large_factors, space_of, unit_matrix
from retmech.settings import ReduceSettings
from retmech.streams import stream

UNIT_RESTARTS = 2
SILENT = Choice(1, "1: all attributions are zero, since the model does not respond to any probe")


def reduce(probes: Probes, settings: ReduceSettings) -> xr.DataTree:
    """Return the factors of the attributions of all probes.

    Parameters
    ----------
    probes
        Probe -> attributions, all of one model.

    Raises
    ------
    RetmechError
        If the rank asked for is larger than the matrix allows, or the probes named for unit-level factors do not go together.
    """
    space = space_of(probes, settings.units) if settings.units else ()
    signed = signed_matrix(probes, settings.split, settings.weighting)
    largest = min(signed.values.shape)
    if settings.rank != "auto" and settings.rank > largest:
        raise RetmechError(
            f"reduce.rank = {settings.rank}: at most {largest} factors exist for a matrix of {signed.values.shape}."
        )
    asked = 1 if settings.rank == "auto" else settings.rank
    ranks = range(1, min(max(settings.max_rank, asked), largest) + 1)
    sample = _sample(signed, settings)
    judged = judge(sample.values, sample.chunk, ranks, settings.restarts, settings.seed)
    if not signed.values.any():
        choice = SILENT
    elif settings.rank == "auto":
        choice = judged.choose(settings.stability)
    else:
        choice = Choice(settings.rank, f"{settings.rank}: set in the config")
    factors = _scaled(restarts(signed.values, choice.rank, settings.restarts, stream(settings.seed, "factors"))[0], signed.weight)
    root = _curves(sample, judged, settings.seed).assign(_factors(factors, choice)).assign_coords(row_coordinates(probes))
    root = root.assign_coords(channel=next(iter(probes.values()))["channel"].variable)
    share = predicted_share(float(root["held_out_error"].sel(rank=choice.rank).mean()), float(judged.null_error.mean()))
    root["predicted_share"] = variable((), share, "1", "share of hidden attributions, beyond their means, that factors predict")
    root["weight"] = variable("row", signed.weight, "1/Hz", "weight of the row in the factorization")
    root["alternative_loading"] = _alternatives(sample.values, choice.rank, settings.seed)
    root.attrs |= {"rank_choice": choice.reason, "weighting": settings.weighting, "split": settings.split}
    tree = {"/": root}
    if settings.units:
        tree["/units"] = _units(probes, signed.weight, settings, choice.rank, space)
    return xr.DataTree.from_dict(tree)


def _sample(signed: Signed, settings: ReduceSettings) -> Signed:
    """Some of the rows in which anything happens, to judge ranks and methods by."""
    rows = np.flatnonzero(signed.values.any(axis=1))
    if len(rows) > settings.rows:
        rows = np.sort(stream(settings.seed, "rows to judge by").choice(rows, settings.rows, replace=False))
    elif not len(rows):
        rows = np.arange(len(signed.values))
    return Signed(signed.values[rows], signed.weight[rows], signed.chunk[rows])


def _curves(sample: Signed, judged: Judged, seed: int) -> xr.Dataset:
    """The curves over the number of factors."""
    times = [time_errors(sample.values, sample.chunk, rank, seed) for rank in judged.ranks]
    by_method = np.array([[found[method] for found in times] for method in METHODS])
    return xr.Dataset(
        {
            "reconstruction_error": variable("rank", judged.error, "1", "relative error of NMF"),
            "held_out_error": variable(("rank", "draw"), judged.held_out_error, "1", "relative error of NMF on hidden entries"),
            "null_error": variable("draw", judged.null_error, "1", "relative error of each column's mean on hidden entries"),
            "restart_stability": variable("rank", judged.restart_stability, "1", "agreement of restarts"),
            "split_stability": variable("rank", judged.split_stability, "1", "agreement of two halves of the time"),
            "time_error": variable(("algorithm", "rank", "time_fold"), by_method, "1", "relative error on times held out"),
        },
        coords={
            "rank": variable("rank", np.array(judged.ranks, np.int64), "1", "number of factors"),
            "draw": variable("draw", np.arange(1, DRAWS + 1), "1", "draw of hidden entries"),
            "time_fold": variable("time_fold", np.arange(1, by_method.shape[2] + 1), "1", "fold of the times"),
            "algorithm": variable("algorithm", list(METHODS), "1", "way to summarize the attributions"),
            "sign": variable("sign", list(SIGNS), "1", "sign of the attribution"),
        },
    )


def _scaled(factors: Factors, weight: Matrix) -> Factors:
    """Activations in Hz, of what was factorized with weighted rows."""
    return Factors(factors.activation / weight[:, None], factors.loading, factors.error)


def _factors(factors: Factors, choice: Choice) -> xr.Dataset:
    loading = factors.loading.reshape(choice.rank, len(SIGNS), -1)
    return xr.Dataset(
        {
            "activation": variable(("row", "factor"), factors.activation.astype(np.float32), "Hz", "activation of a factor"),
            "loading": variable(("factor", "sign", "channel"), loading.astype(np.float32), "1", "share of a channel in a factor"),
        },
        coords={"factor": variable("factor", [f"factor{k + 1}" for k in range(choice.rank)], "1", "factor")},
    )


def _alternatives(matrix: Matrix, rank: int, seed: int) -> xr.Variable:
    """Loadings by the other methods, with as many components as there are factors."""
    rank = min(rank, len(matrix))
    found = np.array([method.fit(matrix, rank, stream(seed, "components by each method", n)) for n, method in METHODS.items()])
    dims = ("algorithm", "component", "sign", "channel")
    return variable(dims, found.reshape(len(METHODS), rank, len(SIGNS), -1).astype(np.float32), "1", "components by each method")


def _units(probes: Probes, weight: Matrix, settings: ReduceSettings, rank: int, space: tuple[str, ...]) -> xr.Dataset:
    """Factors of single units, as many as there are of channels, the best of a few initializations."""
    chosen = {name: attributions for name, attributions in probes.items() if name in settings.units}
    own = weight[np.isin(row_coordinates(probes)["probe"].values, list(chosen))]
    matrix = unit_matrix(chosen, own)
    tries = (large_factors(matrix, rank, stream(settings.seed, "factors of units", i)) for i in range(UNIT_RESTARTS))
    factors = _scaled(min(tries, key=lambda found: found.error), own)
    first = next(iter(chosen.values()))["attribution"]
    n_factors = factors.loading.shape[0]
    loading = factors.loading.reshape(n_factors, len(SIGNS), *first.shape[3:]).astype(np.float32)
    rows = {f"unit_{key}": value for key, value in row_coordinates(chosen).items()}
    return xr.Dataset(
        {
            "activation": variable(
                ("unit_row", "unit_factor"), factors.activation.astype(np.float32), "Hz", "activation of a factor of units"
            ),
            "loading": variable(("unit_factor", "sign", "channel", *space), loading, "1", "share of a unit in a factor"),
            "reconstruction_error": variable((), factors.error, "1", "relative error of the factors of units"),
        },
        coords={
            "unit_factor": variable("unit_factor", np.arange(1, n_factors + 1), "1", "factor of units"),
            **{axis: first[axis].variable for axis in space},
            **{key: xr.Variable("unit_row", value.values, value.attrs) for key, value in rows.items()},
        },
    )
