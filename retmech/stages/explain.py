"""Build the reduced circuits of the most important channels, test them, and describe what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit import description
from retmech.circuit.curves import chance, correlation, curves, random_sets, share_as_good
from retmech.circuit.discriminate import discriminate
from retmech.circuit.faithfulness import Chosen, Moments, moments, nested
from retmech.circuit.module import ReducedCircuit
from retmech.circuit.rerun import Reruns, rerun
from retmech.circuit.search import best_of_size, by_factor, by_importance, greedy, rival_of, scorer, smallest
from retmech.circuit.units import describe_channels
from retmech.errors import RetmechError
from retmech.labels import pixel_coordinates, time_coordinate, variable
from retmech.models.store import load_network
from retmech.reduction.matrix import Probes, channel_attribution
from retmech.settings import ExplainSettings
from retmech.streams import stream

FloatArray = NDArray[np.float64]
FRAME = ("condition", "time", "cell")


@dataclass(frozen=True)
class Inputs:
    """What is explained.

    Attributes
    ----------
    probes, attributions
        By name; read from their files as they are needed.
    recording
        For its test movies.
    """

    model: xr.DataTree
    probes: Probes
    attributions: Probes
    reduction: xr.Dataset
    recording: xr.DataTree


def explain(inputs: Inputs, settings: ExplainSettings, threads: int = 1) -> xr.DataTree:
    """Return the circuit: which channels it keeps, how faithful it is, and each channel and factor in a physiologist's terms.

    Raises
    ------
    RetmechError
        If more channels are asked for than there are.
    """
    net = {name: channel_attribution(a).transpose(*FRAME, "channel") for name, a in inputs.attributions.items()}
    channel = next(iter(net.values()))["channel"]
    if settings.channels is not None and settings.channels > channel.size:
        raise RetmechError(f"explain.channels = {settings.channels}: the model has only {channel.size} channels.")
    described = _described(inputs, net)
    found = {
        name: moments(net[name].values, a["baseline_response"].values, a["response"].values)
        for name, a in inputs.attributions.items()
    }
    orders = _orders(inputs.reduction, described, found)
    chosen = _chosen(found, orders, channel.size, settings)
    removed = np.vstack([nested(orders["greedy"].tolist(), channel.size), chosen])
    reruns = rerun(inputs.model, inputs.probes, inputs.attributions, removed, threads)
    rival = rival_of(scorer(found), chosen)
    candidates = {"circuit": chosen} | ({} if rival is None else {"rival": rival})
    root = xr.merge(
        [
            described,
            curves(found, orders, channel.values),
            chance(found, channel.size, settings.random_draws, stream(settings.seed, "random sets of all sizes")),
            _verdict(inputs, found, chosen, settings),
        ]
    )
    root = root.assign(_controls(inputs, reruns, orders["greedy"]))
    tree = {f"/probes/{name}": _responses(inputs, net[name], reruns, name, candidates) for name in inputs.probes}
    root["circuit_correlation"] = _agreement(inputs, tree, reruns)
    for name in inputs.recording.children:
        tree[f"/movies/{name}"] = _movie(inputs, reruns, name, candidates, settings)
    circuits = {name: reruns.circuit(inputs.model, kept) for name, kept in candidates.items()} if reruns.fixed else {}
    if circuits:
        tree["/fixed"] = _stored(circuits["circuit"], channel.values[chosen])
    if "rival" in circuits:
        tree["/discriminating"] = _discriminating(inputs, (circuits["circuit"], circuits["rival"]), settings)
    return xr.DataTree.from_dict({"/": root} | tree)


def _described(inputs: Inputs, net: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Channels and factors in a physiologist's terms."""
    model = inputs.model.dataset
    lag, pixel_size, frame_rate = model["lag"].values, float(model["pixel_size"]), float(model["frame_rate"])
    units = describe_channels(load_network(inputs.model), lag)
    kernel = pixel_coordinates(units[0].spatial.shape, pixel_size)
    found = xr.merge(
        [
            description.channels(units, pixel_size),
            description.factors(inputs.reduction, units, lag, pixel_size),
            description.actions(net, inputs.attributions, frame_rate),
            description.effects(inputs.attributions, load_network(inputs.model).channel_gain().sign().numpy()),
        ]
    )
    importance = found["strength"].mean(["probe", "cell"]).values
    rank = np.empty(len(importance), np.int64)
    rank[by_importance(importance)] = np.arange(1, len(importance) + 1)
    share = inputs.reduction["loading"].sum("sign")
    own = share.idxmax("factor").values.astype(str)
    own[~share.any("factor").values] = "none"
    cell = next(iter(net.values()))["cell"]
    return found.assign(
        frame_rate=model["frame_rate"].variable,
        pixel_size=model["pixel_size"].variable,
        importance=variable("channel", importance, "Hz", "mean magnitude of the attribution"),
        rank=variable("channel", rank, "1", "place in the order of importance"),
        channel_factor=variable("channel", own, "1", "factor with the largest share of the channel"),
    ).assign_coords(
        channel=next(iter(net.values()))["channel"].variable,
        cell=cell.variable,
        probe=variable("probe", list(net), "1", "probe"),
        factor=inputs.reduction["factor"].variable,
        kept=variable("kept", np.arange(1, len(importance) + 1), "1", "channels kept"),
        lag=model["lag"].variable,
        kernel_y=variable("kernel_y", kernel["y"].values, "um", "vertical position in the filter"),
        kernel_x=variable("kernel_x", kernel["x"].values, "um", "horizontal position in the filter"),
    )


def _orders(reduction: xr.Dataset, described: xr.Dataset, found: Mapping[str, Moments]) -> dict[str, NDArray[np.int64]]:
    """Channels in the orders in which they may be added to a circuit."""
    loading = reduction["loading"].sum("sign").values.astype(np.float64)
    weight = reduction["activation"].values.mean(axis=0, dtype=np.float64)
    return {
        "attribution": by_importance(described["importance"].values),
        "factor": by_factor(loading, weight),
        "greedy": greedy(scorer(found), loading.shape[1]),
    }


def _chosen(
    found: Mapping[str, Moments], orders: Mapping[str, NDArray[np.int64]], n_channels: int, settings: ExplainSettings
) -> Chosen:
    """The channels of the circuit."""
    scored = scorer(found)
    if settings.selection == "smallest":
        if settings.channels is None:
            return smallest(scored, n_channels, settings.faithfulness)
        return best_of_size(scored, n_channels, settings.channels)
    sets = nested(orders[settings.selection].tolist(), n_channels)
    if settings.channels is not None:
        return sets[settings.channels - 1]
    enough = scored(sets) >= settings.faithfulness
    return sets[int(enough.argmax())] if enough.any() else sets[-1]


def _verdict(inputs: Inputs, found: Mapping[str, Moments], chosen: Chosen, settings: ExplainSettings) -> xr.Dataset:
    """What was chosen, whether it is faithful, how many random sets are, and the smallest circuit of each cell alone."""
    scored, n_channels = scorer(found), len(chosen)
    cells = range(next(iter(inputs.attributions.values())).sizes["cell"])
    alone = [smallest(scorer(found, k), n_channels, settings.faithfulness) for k in cells]
    reached = [bool(scorer(found, k)(own[None])[0] >= settings.faithfulness) for k, own in zip(cells, alone, strict=True)]
    score = float(scored(chosen[None])[0])
    rng = stream(settings.seed, "random sets of the circuit's size")
    random = scored(random_sets(n_channels, int(chosen.sum()), settings.random_draws, rng))
    return xr.Dataset(
        {
            "in_circuit": variable("channel", chosen.astype(np.int8), "1", "whether the circuit has the channel"),
            "faithful": variable((), np.int8(score >= settings.faithfulness), "1", "whether the circuit is as faithful as asked"),
            "faithfulness_asked": variable((), settings.faithfulness, "1", "smallest correlation asked for on every probe"),
            "circuit_score": variable((), score, "1", "lowest correlation over probes, mean over cells"),
            "circuit_chance": variable(
                (), share_as_good(random, score), "1", "share of random sets of as many channels with such a score"
            ),
            "in_cell_circuit": variable(
                ("cell", "channel"),
                np.array(alone).astype(np.int8),
                "1",
                "whether the cell's own smallest circuit has the channel",
            ),
            "cell_faithful": variable("cell", np.array(reached, np.int8), "1", "whether that is as faithful as asked"),
        }
    )


def _controls(inputs: Inputs, reruns: Reruns, order: NDArray[np.int64]) -> dict[str, xr.Variable]:
    """The fixed circuit of the first 1, 2, ... channels of an order, and the network without them."""
    kept = nested(order.tolist(), len(order))
    outputs = [reruns.output(chosen) if reruns.fixed else None for chosen in kept]
    ablated, of_circuit, fixed = [], [], []
    for name, attributions in inputs.attributions.items():
        run, response = reruns.probes[name], attributions["response"].values
        *without, whole = (correlation(held, response) for held in run.ablated)
        ablated.append(without)
        of_circuit.append(whole)
        nothing = np.full(response.shape[2], np.nan)
        fixed.append(
            [
                nothing if output is None else correlation(reruns.fixed_rate(run, output, chosen), run.rate)
                for output, chosen in zip(outputs, kept, strict=True)
            ]
        )
    dims = ("probe", "cell", "kept")
    return {
        "circuit_ablation_correlation": variable(
            ("probe", "cell"), np.array(of_circuit), "1", "correlation of the response without the circuit's channels"
        ),
        "ablation_correlation": variable(
            dims, np.array(ablated).swapaxes(1, 2), "1", "correlation of the response without these channels, in greedy order"
        ),
        "fixed_correlation": variable(
            dims, np.array(fixed).swapaxes(1, 2), "1", "correlation of the circuit with fixed weights, in greedy order"
        ),
    }


def _responses(inputs: Inputs, net: xr.DataArray, reruns: Reruns, name: str, candidates: Mapping[str, Chosen]) -> xr.Dataset:
    """The reduced responses to a probe."""
    attributions, run = inputs.attributions[name], reruns.probes[name]
    rates = {
        kind: net.values[..., chosen].sum(axis=-1, dtype=np.float64) + attributions["baseline_response"].values
        for kind, chosen in candidates.items()
    }
    if reruns.fixed is not None:
        rates |= {f"{kind}_fixed": reruns.fixed_rate(run, reruns.output(chosen), chosen) for kind, chosen in candidates.items()}
    values = np.stack(list(rates.values())).astype(np.float32)
    return xr.Dataset(
        {"reduced_rate": variable(("candidate", *FRAME), values, "Hz", "response of the reduced circuit")},
        coords={"candidate": _candidates(list(rates))} | {d: attributions[d].variable for d in ("condition", "time")},
    )


def _candidates(names: list[str]) -> xr.Variable:
    return variable("candidate", names, "1", "reduced circuit, with stimulus-dependent or with fixed weights")


def _agreement(inputs: Inputs, tree: Mapping[str, xr.Dataset], reruns: Reruns) -> xr.DataArray:
    """Correlation of every reduced response with the model's: with what is attributed, or of fixed circuits with the rate."""
    found = [
        [
            correlation(rate, reruns.probes[name].rate if candidate.endswith("_fixed") else attributions["response"].values)
            for candidate, rate in zip(
                tree[f"/probes/{name}"]["candidate"].values, tree[f"/probes/{name}"]["reduced_rate"].values, strict=True
            )
        ]
        for name, attributions in inputs.attributions.items()
    ]
    names = next(iter(tree.values()))["candidate"].values.tolist()
    return xr.DataArray(
        variable(("probe", "candidate", "cell"), np.array(found), "1", "correlation with the model's response"),
        coords={"candidate": _candidates(names)},
    )


def _movie(inputs: Inputs, reruns: Reruns, name: str, candidates: Mapping[str, Chosen], settings: ExplainSettings) -> xr.Dataset:
    """The reduced circuits on a movie that neither they nor the model were fitted to."""
    found = reruns.movie(inputs.recording, name, inputs.model, settings.movie, candidates)
    return xr.Dataset(
        {
            "recorded_rate": variable(("time", "cell"), found.recorded, "Hz", "recorded rate, average over trials"),
            "rate": variable(
                ("predictor", "time", "cell"), found.rates.astype(np.float32), "Hz", "rate of the model and its circuits"
            ),
            "recorded_correlation": variable(
                ("predictor", "cell"),
                np.array([correlation(rate, found.recorded) for rate in found.rates]),
                "1",
                "correlation with the recorded rate",
            ),
            "model_correlation": variable(
                ("predictor", "cell"),
                np.array([correlation(rate, found.rates[0]) for rate in found.rates]),
                "1",
                "correlation with the model's rate",
            ),
        },
        coords={
            "predictor": variable("predictor", found.names, "1", "the model, or a reduced circuit"),
            "time": variable("time", found.time, "s", "time"),
        },
    )


def _stored(circuit: ReducedCircuit, names: NDArray[np.str_]) -> xr.Dataset:
    """All that the circuit with fixed weights is made of."""
    dims = {
        "filters": ("member", "filter_lag", "filter_y", "filter_x"),
        "gain": ("member", "unit_y", "unit_x"),
        "bias": ("member", "unit_y", "unit_x"),
        "weight": ("cell", "member", "unit_y", "unit_x"),
        "offset": ("cell",),
        "scale": ("cell",),
        "stimulus_mean": (),
        "stimulus_std": (),
    }
    texts = {
        "filters": "filters of the circuit's channels, oldest frame first",
        "gain": "gain of a unit's input",
        "bias": "bias of a unit's input",
        "weight": "weight of a unit on the input of a cell's softplus",
        "offset": "offset of the input of a cell's softplus",
        "scale": "scale of a cell's softplus",
        "stimulus_mean": "intensity of zero contrast",
        "stimulus_std": "intensity of one unit of contrast",
    }
    data = {
        key: variable(d, getattr(circuit, key).numpy(), "Hz" if key == "scale" else "1", texts[key]) for key, d in dims.items()
    }
    return xr.Dataset(data, coords={"member": variable("member", names, "1", "channel of the circuit")})


def _discriminating(inputs: Inputs, circuits: tuple[ReducedCircuit, ReducedCircuit], settings: ExplainSettings) -> xr.Dataset:
    """The movie on which the circuit and its rival disagree most."""
    model = inputs.model.dataset
    frame_rate, shape = float(model["frame_rate"]), (model.sizes["y"], model.sizes["x"])
    history = circuits[0].filters.shape[1]
    found = discriminate(
        circuits, round(settings.discriminating * frame_rate) + history - 1, shape, settings.contrast, settings.seed
    )
    intensity = found.movie * circuits[0].stimulus_std + circuits[0].stimulus_mean
    network = load_network(inputs.model)
    with torch.inference_mode():
        rates = torch.cat([network.predict(found.movie)[None], found.rates])
    pixels = pixel_coordinates(shape, float(model["pixel_size"]))
    response_time = time_coordinate(rates.shape[1], frame_rate).values + (history - 1) / frame_rate
    return xr.Dataset(
        {
            "intensity": variable(
                ("time", "y", "x"),
                intensity.round().clamp(0, 255).to(torch.uint8).numpy(),
                "1",
                "movie to be shown, in the unit of the training movie",
            ),
            "rate": variable(("predictor", "response_time", "cell"), rates.numpy(), "Hz", "response to it"),
            "disagreement": variable(
                "cell", found.disagreement.double().numpy(), "Hz", "root mean square difference of the two circuits"
            ),
            "noise_disagreement": variable(
                "cell", found.reference.double().numpy(), "Hz", "the same for white noise of the same contrast"
            ),
        },
        coords={
            "time": time_coordinate(len(intensity), frame_rate),
            "response_time": variable("response_time", response_time, "s", "time of the response"),
            "predictor": variable("predictor", ["model", "circuit", "rival"], "1", "the model, or a circuit with fixed weights"),
            **{axis: pixels[axis] for axis in ("y", "x")},
        },
    )
