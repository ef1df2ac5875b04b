"""Faithfulness against the number of channels that are kept, by several ways to choose them, beside chance."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit.faithfulness import Chosen, FloatArray, Moments, faithfulness, nested, on_all_probes, score
from retmech.labels import variable
from retmech.quality import pearson

QUANTILES = (0.05, 0.5, 0.95)
ROUNDING = 1e-10  # variance that is none, of the mean square response


def curves(probes: Mapping[str, Moments], orders: Mapping[str, NDArray[np.int64]], channel: NDArray[np.str_]) -> xr.Dataset:
    """Correlation and explained variance with the first 1, 2, ... channels of each order."""
    pairs = [[faithfulness(found, nested(order.tolist(), len(order))) for found in probes.values()] for order in orders.values()]
    correlation, explained = (np.array([[pair[i].T for pair in row] for row in pairs]) for i in (0, 1))
    dims = ("selection", "probe", "cell", "kept")
    return xr.Dataset(
        {
            "order": variable(("selection", "kept"), np.stack([channel[o] for o in orders.values()]), "1", "channel added"),
            "correlation": variable(dims, correlation, "1", "correlation of reduced and full response"),
            "explained_variance": variable(dims, explained, "1", "variance explained by the reduced response"),
        },
        coords={"selection": variable("selection", list(orders), "1", "how channels are chosen")},
    )


def chance(probes: Mapping[str, Moments], n_channels: int, draws: int, rng: np.random.Generator) -> xr.Dataset:
    """Quantiles of correlation and score with as many channels drawn at random."""
    sets = np.stack([nested(rng.permutation(n_channels).tolist(), n_channels) for _ in range(draws)], axis=1)
    found = np.array([on_all_probes(probes, chosen) for chosen in sets])  # (kept, draw, probe, cell)
    quantiles = np.quantile(found, QUANTILES, axis=1).transpose(0, 2, 3, 1)
    scores = np.quantile([score(drawn) for drawn in found], QUANTILES, axis=1)
    dims = ("quantile", "probe", "cell", "kept")
    return xr.Dataset(
        {
            "random_correlation": variable(dims, quantiles, "1", "correlation with channels kept at random"),
            "random_score": variable(
                ("quantile", "kept"), scores, "1", "lowest correlation over probes, mean over cells, of random channels"
            ),
        },
        coords={"quantile": variable("quantile", list(QUANTILES), "1", "quantile over random sets")},
    )


def share_as_good(scores: FloatArray, of: float) -> float:
    """Share of random sets, one of all that were looked at included, whose score is as good."""
    return float((1 + (scores >= of).sum()) / (1 + len(scores)))


def random_sets(n_channels: int, size: int, draws: int, rng: np.random.Generator) -> Chosen:
    """Random sets of a size, (draw, channel)."""
    return np.stack([nested(rng.permutation(n_channels).tolist(), n_channels)[size - 1] for _ in range(draws)])


def correlation(reduced: NDArray[np.floating], response: NDArray[np.floating]) -> FloatArray:
    """Correlation of reduced and full responses (..., cell) over all but cells, (cell,).

    Defined as by :func:`retmech.circuit.faithfulness.faithfulness`: NaN where the full response is constant
    but for rounding; 0 where the reduced one alone is.
    """
    a, b = (x.reshape(-1, x.shape[-1]).T.astype(np.float64) for x in (reduced, response))
    floor = ROUNDING * (b**2).mean(axis=1)
    r = np.where(a.var(axis=1) > floor, np.nan_to_num(pearson(a, b)), 0.0)
    return np.where(b.var(axis=1) > floor, r, np.nan)
