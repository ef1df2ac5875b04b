"""Build the reduced circuit of the most important channels and say how faithful it is."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit.reduced import curve, reduced_rate
from retmech.circuit.units import describe
from retmech.errors import RetmechError
from retmech.labels import pixel_coordinates, variable
from retmech.models.store import load_network
from retmech.reduction.matrix import channel_attribution
from retmech.settings import ExplainSettings

QUANTILES = (0.05, 0.5, 0.95)
Probes = Mapping[str, xr.Dataset]


def explain(model: xr.DataTree, probes: Probes, reduction: xr.Dataset, settings: ExplainSettings) -> xr.DataTree:
    """Return the circuit: channels in order of importance and described, the reduced responses and their faithfulness.

    Importance is the mean magnitude of a channel's attribution in Hz, over probes, cells, conditions and times; cells that fire
    more count more.

    Parameters
    ----------
    probes
        Probe -> attributions.
    reduction
        Factors of these attributions; each channel is named after the factor that it has the largest share in.
    """
    net = {name: channel_attribution(p).transpose("condition", "time", "cell", "channel") for name, p in probes.items()}
    n_channels = next(iter(probes.values())).sizes["channel"]
    if settings.channels > n_channels:
        raise RetmechError(f"explain.channels = {settings.channels}: the model has only {n_channels} channels.")
    importance = np.array([np.abs(a.values).mean(axis=(0, 1, 2), dtype=np.float64) for a in net.values()]).mean(axis=0)
    order = np.argsort(-importance, kind="stable")
    root = _faithfulness(probes, net, order, settings).assign(_description(model, net, importance, order))
    share = reduction["loading"].sum("sign")
    root["factor"] = variable(
        "channel", share.idxmax("factor").values.astype(str), "1", "factor with the largest share of the channel"
    )
    tree = {"/": root}
    for name, attributions in probes.items():
        reduced = reduced_rate(net[name].values, attributions["baseline_response"].values, order[: settings.channels].tolist())
        tree[f"/{name}"] = xr.Dataset(
            {
                "reduced_rate": variable(
                    ("condition", "time", "cell"),
                    reduced.astype(np.float32),
                    "Hz",
                    f"response of the {settings.channels} most important channels",
                )
            },
            coords={d: attributions[d].variable for d in ("condition", "time")},
        )
    return xr.DataTree.from_dict(tree)


def _faithfulness(
    probes: Probes, net: Mapping[str, xr.DataArray], order: NDArray[np.integer], settings: ExplainSettings
) -> xr.Dataset:
    """Faithfulness against the number of channels kept, beside random sets of the same size."""
    rng = np.random.default_rng(settings.seed)
    draws = [rng.permutation(len(order)).tolist() for _ in range(settings.random_draws)]
    correlation, explained, chance = [], [], []
    for name, attributions in probes.items():
        rate, baseline = attributions["response"].values, attributions["baseline_response"].values
        r, ev = curve(net[name].values, rate, baseline, order.tolist())
        correlation.append(r)
        explained.append(ev)
        chance.append(_chance(net[name].values, rate, baseline, draws))
    dims = ("probe", "cell", "kept")
    cell = next(iter(probes.values()))["cell"]
    return xr.Dataset(
        {
            "correlation": variable(dims, np.stack(correlation), "1", "correlation of reduced and full response"),
            "explained_variance": variable(dims, np.stack(explained), "1", "variance explained by the reduced response"),
            "random_correlation": variable(
                ("quantile", *dims), np.stack(chance, axis=1), "1", "correlation with channels kept at random"
            ),
        },
        coords={
            "probe": variable("probe", list(probes), "1", "probe"),
            "cell": cell.variable,
            "kept": variable("kept", np.arange(1, len(order) + 1), "1", "channels kept"),
            "quantile": variable("quantile", list(QUANTILES), "1", "quantile over random sets"),
        },
    )


def _chance(
    attribution: NDArray[np.floating], rate: NDArray[np.floating], baseline: NDArray[np.floating], draws: list[list[int]]
) -> NDArray[np.float64]:
    """Quantiles of the correlation over random orders of the channels, (quantile, cell, kept); NaN where it is undefined."""
    r = np.stack([curve(attribution, rate, baseline, draw)[0] for draw in draws])
    return np.quantile(np.where(np.isfinite(r), r, 0.0), QUANTILES, axis=0)


def _description(
    model: xr.DataTree, net: Mapping[str, xr.DataArray], importance: NDArray[np.float64], order: NDArray[np.integer]
) -> xr.Dataset:
    network = load_network(model)
    sign = network.channel_gain().sign().numpy()[:, None, None, None]  # a negative gain turns a unit's filter round
    weight, lag = sign * network.filters.detach().numpy(), model.dataset["lag"].values
    units = [describe(w, lag) for w in weight]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    action = np.mean([a.values.mean(axis=(0, 1), dtype=np.float64) for a in net.values()], axis=0)
    kernel = pixel_coordinates((weight.shape[2], weight.shape[3]), float(model.dataset["pixel_size"]))

    def column(name: str, units_: str, text: str) -> xr.Variable:
        return variable("channel", np.array([getattr(u, name) for u in units]), units_, text)

    return xr.Dataset(
        {
            "importance": variable("channel", importance, "Hz", "mean magnitude of the attribution"),
            "rank": variable("channel", rank, "1", "place in the order of importance"),
            "action": variable(("cell", "channel"), action, "Hz", "mean attribution; positive: excitatory"),
            "temporal_filter": variable(
                ("channel", "lag"), np.stack([u.temporal for u in units]).astype(np.float32), "1", "temporal filter"
            ),
            "spatial_filter": variable(
                ("channel", "kernel_y", "kernel_x"),
                np.stack([u.spatial for u in units]).astype(np.float32),
                "1",
                "spatial filter",
            ),
            "separability": column("separability", "1", "share of power in the separable filter"),
            "polarity": column("polarity", "1", "1 for ON, -1 for OFF"),
            "time_to_peak": column("time_to_peak", "s", "lag of the temporal filter's main peak"),
            "biphasic_index": column("biphasic_index", "1", "opposite lobe over main lobe"),
        },
        coords={
            "channel": next(iter(net.values()))["channel"].variable,
            "lag": model.dataset["lag"].variable,
            "kernel_y": variable("kernel_y", kernel["y"].values, "um", "vertical position in the filter"),
            "kernel_x": variable("kernel_x", kernel["x"].values, "um", "horizontal position in the filter"),
        },
    )
