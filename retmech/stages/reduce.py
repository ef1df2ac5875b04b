"""Reduce the attributions of all probes to a few factors."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from retmech.errors import RetmechError
from retmech.labels import variable
from retmech.reduction.factors import principal, restarts, stability
from retmech.reduction.matrix import SIGNS, channel_attribution, row_coordinates, signed_matrix
from retmech.settings import ReduceSettings


def reduce(probes: Mapping[str, xr.Dataset], settings: ReduceSettings) -> xr.Dataset:
    """Return the factors of the attributions of all probes.

    Parameters
    ----------
    probes
        Probe -> attributions, all of one model.

    Raises
    ------
    RetmechError
        If the rank asked for is larger than the matrix allows, or all attributions are zero.
    """
    matrix = signed_matrix(probes, settings.split)
    if not matrix.any():
        raise RetmechError("reduce: all attributions are zero: the model does not respond to any probe.")
    largest = min(matrix.shape)
    if settings.rank > largest:
        raise RetmechError(f"reduce.rank = {settings.rank}: at most {largest} factors exist for a matrix of {matrix.shape}.")
    ranks = np.arange(1, min(max(settings.max_rank, settings.rank), largest) + 1)
    runs = {int(rank): restarts(matrix, int(rank), settings.restarts, settings.seed) for rank in ranks}
    best = runs[settings.rank][0]
    net = np.concatenate([channel_attribution(p).values.reshape(-1, p.sizes["channel"]) for p in probes.values()])
    axes, error = principal(net.astype(np.float64), min(len(ranks), net.shape[1]))
    channel = next(iter(probes.values()))["channel"]
    loading = best.loading.reshape(settings.rank, len(SIGNS), -1)
    return xr.Dataset(
        {
            "activation": variable(("row", "factor"), best.activation.astype(np.float32), "Hz", "activation of a factor"),
            "loading": variable(("factor", "sign", "channel"), loading.astype(np.float32), "1", "share of a channel in a factor"),
            "reconstruction_error": variable("rank", [runs[r][0].error for r in runs], "1", "relative error of NMF"),
            "stability": variable("rank", [stability(runs[r]) for r in runs], "1", "agreement of restarts"),
            "pca_loading": variable(
                ("component", "channel"), axes.astype(np.float32), "1", "principal axis of the net attributions"
            ),
            "pca_error": variable("component", error, "1", "relative error of PCA on the net attributions"),
        },
        coords={
            "factor": variable("factor", [f"factor{k + 1}" for k in range(settings.rank)], "1", "factor"),
            "sign": variable("sign", list(SIGNS), "1", "sign of the attribution"),
            "channel": channel.variable,
            "rank": variable("rank", ranks.astype(np.int64), "1", "number of factors"),
            "component": variable("component", np.arange(1, len(axes) + 1), "1", "number of components"),
        }
        | row_coordinates(probes),
    )
