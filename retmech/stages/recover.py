"""Hold a model's channels and factors against the true pathways of the simulated retina that was recorded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech import registry
from retmech.insilico.description import CircuitDescription
from retmech.labels import geometry_of, variable
from retmech.models.store import network_settings, weights_to_dataset
from retmech.quality import pearson
from retmech.recovery import Moments, chance, grouped, moments, one_to_one, shares, similarity, weighted_mean
from retmech.reduction.matrix import Probes, channel_attribution
from retmech.settings import AttributeSettings, RecoverSettings
from retmech.stages.attribute import attribute
from retmech.streams import derived_seed

FloatArray = NDArray[np.float64]
QUANTILES = (0.025, 0.5, 0.975)
LEVELS = ("channel", "group", "factor")
UNTRAINED = 3  # conditions of each probe that an untrained network sees
BATCHES = 60  # after which its batch norms know their statistics


@dataclass(frozen=True)
class Inputs:
    """What is compared.

    Attributes
    ----------
    probes, attributions
        By name; read from their files as they are needed.
    truth
        A group for each probe.
    circuit
        Its root: the channels' filters, and how important they are.
    """

    model: xr.DataTree
    retina: xr.Dataset
    truth: xr.DataTree
    probes: Probes
    attributions: Probes
    reduction: xr.Dataset
    circuit: xr.Dataset


def recover(inputs: Inputs, settings: RecoverSettings, threads: int = 1) -> xr.Dataset:
    """Return how well the parts that channels, groups of channels and factors have in responses match those of true pathways.

    Which channel or factor stands for which pathway is decided for each probe by all other probes: nothing is scored by what it
    was fitted to. With one probe alone, it decides itself.
    """
    compared = _compared(inputs)
    names, groups = list(compared.true), [compared.groups["group"][name] for name in compared.true]
    correlation = np.stack(
        [[compared.moments(level)[n].correlation(compared.groups[level][n]) for n in names] for level in LEVELS]
    )
    share = np.stack([compared.share[name] for name in names])
    channels = compared.moments("channel")
    random = chance(
        [(channels[n], compared.share[n]) for n in names], inputs.circuit.sizes["channel"], settings.draws, settings.seed
    )
    dims = ("level", "probe", "cell")
    return xr.Dataset(
        {
            "correlation": variable(
                (*dims, "pathway"), correlation, "1", "of the part of what stands for a pathway with its own"
            ),
            "amplitude": variable(
                ("probe", "cell", "pathway"),
                np.stack([channels[name].amplitude(group) for name, group in zip(names, groups, strict=True)]),
                "1",
                "standard deviation of the part of the group over that of its pathway",
            ),
            "share": variable(("probe", "cell", "pathway"), share, "1", "share of the pathway in the magnitude of all parts"),
            "recovery": variable(dims, weighted_mean(correlation, share), "1", "mean correlation over pathways, by their shares"),
            "shuffled_recovery": variable(
                "quantile", np.quantile(random, QUANTILES), "1", "mean recovery with channels given to pathways at random"
            ),
            "shuffled_mean": variable((), random.mean(), "1", "mean of that over draws"),
            "untrained_recovery": _untrained(inputs, compared.true, settings, threads),
            "pathway_of_channel": variable(
                ("probe", "channel"),
                _named(groups, inputs.retina),
                "1",
                "pathway that the channel stands for, decided by the other probes",
            ),
            **_response(inputs, compared.true),
            **_kernels(inputs, groups),
            **_signs(compared),
        },
        coords={
            "level": variable(
                "level", list(LEVELS), "1", "what stands for pathways: single channels, groups of them, or factors"
            ),
            "probe": variable("probe", names, "1", "probe"),
            "quantile": variable("quantile", np.array(QUANTILES), "1", "quantile"),
            "cell": inputs.model.dataset["cell"].variable,
            "channel": inputs.circuit["channel"].variable,
            "pathway": inputs.retina["pathway"].variable,
        },
        attrs={"memory": CircuitDescription.model_validate_json(inputs.retina.attrs["circuit"]).memory},
    )


@dataclass(frozen=True)
class _Compared:
    """What is found beside what is true, by probe.

    Attributes
    ----------
    channels : (condition, time, cell, channel)
        Attributions, Hz.
    groups
        By level, the pathway of each unit, decided by the other probes.
    """

    true: dict[str, xr.Dataset]
    share: dict[str, FloatArray]
    channels: dict[str, NDArray[np.floating]]
    measured: dict[str, dict[str, Moments]]  # of channels and of factors
    groups: dict[str, dict[str, NDArray[np.int64]]]

    def moments(self, level: str) -> dict[str, Moments]:
        """Of what stands for pathways at one level."""
        return self.measured["factor" if level == "factor" else "channel"]


def _compared(inputs: Inputs) -> _Compared:
    names = list(inputs.attributions)
    true = {name: inputs.truth.children[name].to_dataset() for name in names}
    parts = {name: _rows(true[name]["attribution"].values) for name in names}
    channels = {
        name: channel_attribution(a).transpose("condition", "time", "cell", "channel").values
        for name, a in inputs.attributions.items()
    }
    found = {"channel": channels, "factor": _factor_parts(inputs.reduction, inputs.attributions)}
    measured = {
        kind: {name: moments(_rows(values), parts[name]) for name, values in by_probe.items()} for kind, by_probe in found.items()
    }
    groups = {
        "channel": {name: one_to_one(similarity(_others(measured["channel"], name))) for name in names},
        "group": {name: _grouped(_others(measured["channel"], name)) for name in names},
        "factor": {name: one_to_one(similarity(_others(measured["factor"], name))) for name in names},
    }
    return _Compared(true, {name: shares(part) for name, part in parts.items()}, channels, measured, groups)


def _rows(values: NDArray[np.floating]) -> FloatArray:
    """Conditions and times as rows: (row, cell, unit)."""
    return values.reshape(-1, *values.shape[2:]).astype(np.float64)


def _others(measured: Mapping[str, Moments], name: str) -> list[Moments]:
    others = [m for other, m in measured.items() if other != name]
    return others or [measured[name]]


def _grouped(probes: list[Moments]) -> NDArray[np.int64]:
    return grouped(probes, similarity(probes))


def _factor_parts(reduction: xr.Dataset, attributions: Probes) -> dict[str, NDArray[np.floating]]:
    """Each factor's part in the responses (condition, time, cell, factor), Hz, excitation minus suppression."""
    loading = reduction["loading"].values.astype(np.float64)
    net = loading[:, 0].sum(axis=1) - loading[:, 1].sum(axis=1)
    probe = reduction["probe"].values
    parts = {}
    for name, a in attributions.items():
        shape = (a.sizes["condition"], a.sizes["time"], a.sizes["cell"], len(net))
        parts[name] = (reduction["activation"].values[probe == name] * net).reshape(shape)
    return parts


def _named(groups: list[NDArray[np.int64]], retina: xr.Dataset) -> NDArray[np.str_]:
    names = np.array([*map(str, retina["pathway"].values), "none"])
    return names[np.stack(groups)]  # NONE is -1, the last


def _response(inputs: Inputs, true: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
    """How well the model's responses are those of the retina."""
    r = []
    for name, attributions in inputs.attributions.items():
        model, retina = (_rows(values) for values in (attributions["response"].values, true[name]["rate"].values))
        r.append(pearson(model.T, retina.T))
    return {"response_correlation": variable(("probe", "cell"), np.stack(r), "1", "of the model's response with the retina's")}


def _kernels(inputs: Inputs, groups: list[NDArray[np.int64]]) -> dict[str, xr.Variable]:
    """Temporal filters of the groups, means over their channels by importance, against the pathways' kernels."""
    lag = min(inputs.circuit.sizes["lag"], inputs.retina.sizes["lag"])
    filters = inputs.circuit.sortby("lag")["temporal_filter"].values[:, :lag].astype(np.float64)
    filters /= np.maximum(np.linalg.norm(filters, axis=1, keepdims=True), 1e-30)
    kernels = inputs.retina["temporal_kernel"].values[:, :lag].astype(np.float64)
    importance = inputs.circuit["importance"].values
    cosine = np.full((len(groups), len(kernels)), np.nan)
    right = np.zeros((len(groups), len(kernels)), np.int8)
    for i, group in enumerate(groups):
        for p, kernel in enumerate(kernels):
            own = (importance * (group == p)) @ filters
            if np.linalg.norm(own) > 0:
                cosine[i, p] = own @ kernel / (np.linalg.norm(own) * np.linalg.norm(kernel))
                right[i, p] = cosine[i, p] > 0
    dims = ("probe", "pathway")
    return {
        "kernel_similarity": variable(dims, cosine, "1", "cosine of the group's mean temporal filter with the pathway's kernel"),
        "polarity_right": variable(dims, right, "1", "1: the group's filter has the pathway's sign"),
    }


def _signs(compared: _Compared) -> dict[str, xr.Variable]:
    """Whether groups excite and inhibit the cells that the pathways do, and the share of channels that stand for none."""
    groups = compared.groups["group"]
    right, unmatched = [], []
    for name, values in compared.channels.items():
        rows, part = _rows(values), compared.true[name]["attribution"].values
        member = groups[name][:, None] == np.arange(part.shape[-1])
        right.append(np.sign(rows.mean(axis=0) @ member) == np.sign(_rows(part).mean(axis=0)))
        size = np.abs(rows).mean(axis=0)
        unmatched.append(size[:, groups[name] < 0].sum(axis=1) / np.maximum(size.sum(axis=1), 1e-30))
    return {
        "sign_right": variable(
            ("probe", "cell", "pathway"), np.stack(right).astype(np.int8), "1", "1: excites or inhibits as the pathway does"
        ),
        "unmatched_share": variable(("probe", "cell"), np.stack(unmatched), "1", "share of channels that stand for no pathway"),
    }


def _untrained(inputs: Inputs, true: Mapping[str, xr.Dataset], settings: RecoverSettings, threads: int) -> xr.Variable:
    """Recovery of groups of channels of the same network with random weights, mean over cells."""
    model = random_model(inputs.model, settings.seed)
    used = AttributeSettings.model_validate(_used_settings(inputs.attributions) | {"compare": [], "pixels": {}, "layer_2": False})
    measured, share = {}, {}
    for name, probe in inputs.probes.items():
        some = np.unique(np.linspace(0, probe.sizes["condition"] - 1, UNTRAINED).astype(int))
        attributions = attribute(model, probe.isel(condition=some), used, name, threads).gather().to_dataset()
        part = _rows(true[name]["attribution"].values[some])
        net = channel_attribution(attributions).transpose("condition", "time", "cell", "channel")
        measured[name], share[name] = moments(_rows(net.values), part), shares(part)
    found = [
        np.nanmean(weighted_mean(m.correlation(_grouped(_others(measured, name))), share[name])) for name, m in measured.items()
    ]
    return variable("probe", np.array(found), "1", "recovery by the same network with random weights, mean over cells")


def _used_settings(attributions: Probes) -> dict[str, object]:
    """The settings of the attributions that are compared."""
    settings: dict[str, object] = json.loads(next(iter(attributions.values())).attrs["settings"])
    return settings


def random_model(model: xr.DataTree, seed: int) -> xr.DataTree:
    """The model with new random weights; its batch norms have seen noise of the movie's contrast."""
    torch.manual_seed(derived_seed(seed, "weights of the untrained network"))
    architecture = registry.load("architecture", str(model.attrs["architecture"]))
    geometry = geometry_of(model)
    network = architecture.build(network_settings(model), geometry, model.sizes["cell"])
    network.rate_scale.copy_(torch.from_numpy(model.children["weights"].dataset["rate_scale"].values))
    noise = torch.Generator().manual_seed(derived_seed(seed, "movies that the untrained network sees"))
    with torch.no_grad():
        for _ in range(BATCHES):
            network(torch.randn(4, network.history + 16, *geometry.shape, generator=noise))
    tree = xr.DataTree.from_dict({"/": model.to_dataset(), "/weights": weights_to_dataset(network)})
    tree.attrs = dict(model.attrs)
    return tree
