"""Compare what models that differ in their seed, or their recording, have found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit.curves import QUANTILES
from retmech.circuit.units import describe_channels
from retmech.errors import RetmechError
from retmech.labels import variable
from retmech.models.store import load_network
from retmech.reduction.consensus import Match, Profiles, match, pooled, profiles
from retmech.reduction.matrix import Probes, channel_attribution
from retmech.reduction.types import Types, group
from retmech.settings import ConsensusSettings
from retmech.streams import stream


@dataclass(frozen=True)
class Finding:
    """What one model and its reduction say."""

    model: xr.DataTree
    probes: Probes
    reduction: xr.Dataset


@dataclass(frozen=True)
class _Described:
    channels: Profiles
    factors: Profiles
    share: NDArray[np.float64]  # (channel,), of the sum of magnitudes of all attributions


def consensus(findings: Mapping[str, Finding], settings: ConsensusSettings) -> xr.Dataset:
    """Match the channels and the factors of all runs, and group all their channels into cell types.

    Items are alike if their attributions have the same time courses over all probes and cells, and they see the stimulus through
    the same temporal filter. A single run has nothing to be compared with; its channels are grouped all the same.

    Raises
    ------
    RetmechError
        If the runs were not shown the same probes.
    """
    names = list(findings)
    over_cells = _check(findings)
    described = [_describe(finding, over_cells) for finding in findings.values()]
    channel = [str(c) for c in _some_attributions(next(iter(findings.values())))["channel"].values]
    factor = [f"factor{k + 1}" for k in range(max(len(d.factors.filters) for d in described))]
    data = {
        **_matches("channel", channel, [d.channels for d in described], settings),
        **_matches("factor", factor, [d.factors for d in described], settings),
    }
    types = group(pooled([d.channels for d in described]), settings.max_types, settings.seed)
    lag = next(iter(findings.values())).model.dataset["lag"].variable
    found = xr.Dataset(
        data,
        coords={
            "run": variable("run", names, "1", "model that is compared"),
            "other": variable("other", names, "1", "model that it is compared with"),
            "channel": variable("channel", channel, "1", "first-layer channel"),
            "factor": variable("factor", factor, "1", "factor"),
            "quantile": variable("quantile", list(QUANTILES), "1", "quantile over draws of shuffled channels"),
            "lag": lag,
        },
    ).assign(_types(types, list(findings.values()), described, settings.least_share))
    reproduction = _mean_over_others(found["factor_similarity"].values)
    for own, finding in zip(reproduction, described, strict=True):
        own[len(finding.factors.filters) :] = np.nan  # factors that the run does not have
    found["factor_reproduction"] = variable(("run", "factor"), reproduction, "1", "mean similarity to the partners")
    share = [float(finding.reduction["predicted_share"]) for finding in findings.values()]
    found["predicted_share"] = variable("run", share, "1", "share of hidden attributions that the run's factors predict")
    found.attrs["compared"] = "mean over the cells of each recording" if over_cells else "cell by cell"
    return found


def _check(findings: Mapping[str, Finding]) -> bool:
    """Whether the runs differ in their cells; refuse runs that differ in their probes."""
    first = next(iter(findings.values()))
    for name, finding in findings.items():
        if list(finding.probes) != list(first.probes):
            raise RetmechError(
                f"consensus: {name} was shown {', '.join(finding.probes)}; the first run {', '.join(first.probes)}."
            )
        for probe, attributions in finding.probes.items():
            sizes, expected = ({d: a.sizes[d] for d in ("condition", "time")} for a in (attributions, first.probes[probe]))
            if sizes != expected:
                raise RetmechError(
                    f"consensus: {probe} of {name} has {sizes}; that of the first run {expected}. Compare equal probes."
                )
    return (
        any(not _some_attributions(f)["cell"].equals(_some_attributions(first)["cell"]) for f in findings.values())
        or len({name.rpartition("/")[0] for name in findings}) > 1
    )


def _some_attributions(finding: Finding) -> xr.Dataset:
    return next(iter(finding.probes.values()))


def _describe(finding: Finding, over_cells: bool) -> _Described:
    units = describe_channels(load_network(finding.model), finding.model.dataset["lag"].values)
    filters = np.stack([unit.temporal for unit in units])
    net = {name: channel_attribution(a) for name, a in finding.probes.items()}
    size = sum(np.abs(a.values).sum(axis=(0, 1, 2), dtype=np.float64) for a in net.values())
    loading = finding.reduction["loading"].sum("sign").values.astype(np.float64)
    return _Described(
        channels=profiles(net, filters, over_cells),
        factors=profiles(_activations(finding), loading @ filters, over_cells),
        share=_shares(size),
    )


def _shares(size: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = size / max(size.sum(), np.finfo(float).tiny)
    return shares


def _activations(finding: Finding) -> dict[str, xr.DataArray]:
    """Activations by probe, (condition, time, cell, factor), from the rows of all probes one after the other."""
    found, start = {}, 0
    for name, attributions in finding.probes.items():
        dims = ("condition", "time", "cell")
        shape = tuple(attributions.sizes[d] for d in dims)
        stop = start + int(np.prod(shape))
        rows = finding.reduction["activation"].values[start:stop]
        found[name], start = xr.DataArray(rows.reshape(*shape, -1), dims=(*dims, "factor")), stop
    return found


def _matches(item: str, names: list[str], items: Sequence[Profiles], settings: ConsensusSettings) -> dict[str, xr.Variable]:
    """All pairs of runs; what a run has fewer of than others, and what contributes nothing, has no partner."""
    n = len(items)
    partner = np.full((n, n, len(names)), "", dtype=object)
    similarity = np.full((n, n, len(names)), np.nan)
    null = np.full((len(QUANTILES), n, n), np.nan)
    p_value = np.full((n, n), np.nan)
    for a, b in combinations(range(n), 2):
        found = match(items[a], items[b], settings.draws, stream(settings.seed, "shuffled items", item, a, b))
        _enter(found, names, a, b, partner, similarity)
        if np.isfinite(found.mean):
            null[:, a, b] = null[:, b, a] = np.quantile(found.null, QUANTILES)
            p_value[a, b] = p_value[b, a] = found.p_value
    pair = ("run", "other")
    return {
        f"{item}_partner": variable(
            (*pair, item), partner.astype(str), "1", f"the other run's {item} that is most like it, one to one"
        ),
        f"{item}_similarity": variable((*pair, item), similarity, "1", "similarity to the partner"),
        f"{item}_null": variable(("quantile", *pair), null, "1", f"mean similarity of the best matching of shuffled {item}s"),
        f"{item}_p_value": variable(pair, p_value, "1", f"share of shuffled {item}s that match as well"),
    }


def _enter(found: Match, names: list[str], a: int, b: int, partner: NDArray[np.object_], similarity: NDArray[np.float64]) -> None:
    for i, j in enumerate(found.partner.tolist()):
        if j >= 0:
            partner[a, b, i], partner[b, a, j] = names[j], names[i]
            similarity[a, b, i] = similarity[b, a, j] = found.similarity[i]


def _mean_over_others(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of (run, other, item) over the other runs; no partner counts as no similarity, and no other run is undefined."""
    n = len(similarity)
    others = ~np.eye(n, dtype=bool)
    return np.array(
        [np.nan_to_num(own[mask]).mean(axis=0) if mask.any() else own[0] for own, mask in zip(similarity, others, strict=True)]
    )


def _type_shares(finding: Finding, of_type: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shares of the types' parts, each the sum over its channels (channel, type): what cancels within a type is no part of it."""
    parts = (channel_attribution(a).values @ of_type.astype(np.float32) for a in finding.probes.values())
    return _shares(np.array(sum(np.abs(part).sum(axis=(0, 1, 2), dtype=np.float64) for part in parts)))


def _types(
    types: Types, findings: Sequence[Finding], described: Sequence[_Described], least_share: float
) -> dict[str, xr.Variable]:
    label = types.label.reshape(len(findings), -1)
    share = np.stack([d.share for d in described])
    filters = np.concatenate([d.channels.filters for d in described])
    numbers = np.arange(1, max(int(label.max()), 1) + 1)
    weight = (types.label[None] == numbers[:, None]) * share.ravel()[None]
    mean = weight @ filters / np.maximum(weight.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    of_type = label[..., None] == numbers
    type_share = np.stack([_type_shares(finding, own) for finding, own in zip(findings, of_type, strict=True)])
    counted = (type_share.mean(axis=0) >= least_share).astype(np.int8)
    return {
        "cell_type": variable(("run", "channel"), label, "1", "cell type of the channel; 0: it contributes nothing"),
        "channel_share": variable(("run", "channel"), share, "1", "share of the sum of magnitudes of all attributions"),
        "type_size": variable(("run", "type"), of_type.sum(axis=1), "1", "channels of the type"),
        "type_share": variable(("run", "type"), type_share, "1", "share of the sum of magnitudes of all types' parts"),
        "type_counts": variable("type", counted, "1", f"1: its share is at least {least_share:g}, mean over models"),
        "type_filter": variable(("type", "lag"), mean, "1", "mean temporal filter, by share"),
        "type": variable("type", numbers, "1", "cell type"),
        "silhouette": variable("count", types.silhouette, "1", "mean silhouette with so many types"),
        "count_probability": variable("count", types.probability, "1", "share of bootstrap draws in which it is the best number"),
        "count": variable("count", types.counts, "1", "number of cell types"),
    }
