"""The network once more, for what attributions alone do not say: fixed weights, ablations, held-out movies."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from retmech.attribution import measures
from retmech.attribution.drives import Drives, Span
from retmech.attribution.path import Attributor, attributor
from retmech.circuit.faithfulness import Chosen
from retmech.circuit.fixed import PIECE, Fixed, Output, fit_output, mean_weights
from retmech.circuit.module import ReducedCircuit
from retmech.labels import variable
from retmech.models.store import load_network
from retmech.settings import AttributeSettings

FloatArray = NDArray[np.float64]
CLIP = 256  # responses that are computed together
SAMPLED = 100  # of each probe, over which effective weights are averaged and to which outputs are fitted

STRICT = AttributeSettings(layer="rectified", path="layer", target="input", compare=[])


@dataclass(frozen=True)
class Run:
    """One probe.

    Attributes
    ----------
    rate : (condition, time, cell)
        Of the network, Hz.
    ablated : (choice, condition, time, cell)
        What is attributed, without some channels, Hz.
    contribution : (condition, time, cell, channel)
        To the softplus's input, by the fixed weights; None for networks that have none.
    """

    rate: NDArray[np.float32]
    ablated: NDArray[np.float32]
    contribution: FloatArray | None


@dataclass(frozen=True)
class Movie:
    """A held-out movie from its first full history on: recorded (time, cell) and predicted rates (predictor, time, cell), Hz."""

    time: FloatArray
    recorded: NDArray[np.float32]
    names: list[str]
    rates: FloatArray


@dataclass(frozen=True)
class Reruns:
    """All that was run again.

    Attributes
    ----------
    fixed
        Mean effective weights; None for networks that do not say that they are made of rectifiers.
    """

    paths: Attributor
    mean_frame: NDArray[np.float32]
    fixed: Fixed | None
    probes: Mapping[str, Run]
    _outputs: dict[bytes, Output] = field(default_factory=dict)

    def output(self, chosen: Chosen) -> Output:
        """Output of the fixed circuit of some channels, fitted once to some of the network's responses to every probe."""
        key = chosen.tobytes()
        if key not in self._outputs:
            self._outputs[key] = self._fitted(chosen)
        return self._outputs[key]

    def _fitted(self, chosen: Chosen) -> Output:
        fixed = self._fixed()
        contributions, rates = [], []
        for run in self.probes.values():
            assert run.contribution is not None
            rate = run.rate.reshape(-1, run.rate.shape[-1]).astype(np.float64)
            some = evenly(len(rate), SAMPLED)
            contributions.append(run.contribution[..., chosen].sum(axis=-1).reshape(rate.shape)[some])
            rates.append(rate[some])
        return fit_output(fixed.scale, np.concatenate(contributions), np.concatenate(rates), fixed.current)

    def fixed_rate(self, run: Run, output: Output, chosen: Chosen) -> FloatArray:
        """Rate (condition, time, cell) in Hz of the fixed circuit of some channels."""
        assert run.contribution is not None
        return output.rate(self._fixed().scale, run.contribution[..., chosen].sum(axis=-1))

    def movie(
        self, recording: xr.DataTree, name: str, model: xr.DataTree, seconds: float, candidates: Mapping[str, Chosen]
    ) -> Movie:
        """Show the beginning of a class's test movie to the network and to reduced circuits.

        The baseline is that of the attributions, or grey if that is a frame of each probe.
        """
        probe = as_probe(recording, name, model, seconds)
        baseline = "grey" if self.paths.settings.baseline == "frame" else self.paths.settings.baseline
        own = self.paths.settings.model_copy(update={"baseline": baseline, "target": "rate", "layer_2": False})
        paths = replace(self.paths, settings=own)
        drives = Drives(paths.network, probe, name, self.mean_frame, own)
        net, start, response = attributed(paths, drives)
        rates = {"model": response} | {kind: net[..., kept].sum(axis=-1) + start for kind, kept in candidates.items()}
        if self.fixed is not None:
            fixed = self.fixed
            contribution = np.concatenate([fixed.contribution(drives.drive(span)) for span in drives.spans(CLIP)])
            for kind, kept in candidates.items():
                rates[f"{kind}_fixed"] = self.output(kept).rate(fixed.scale, contribution[..., kept].sum(axis=-1))
        first = min(paths.network.history - 1, len(response) - 1)
        recorded = probe["rate"].values.T[first:]
        stacked = np.stack(list(rates.values()))[:, first:]
        return Movie(probe["time"].values[first:], recorded, list(rates), stacked)

    def circuit(self, model: xr.DataTree, chosen: Chosen) -> ReducedCircuit:
        """The fixed circuit of some channels, by itself."""
        fixed, output = self._fixed(), self.output(chosen)
        kept = torch.from_numpy(chosen)
        weight = torch.from_numpy(output.gain)[:, None, None, None] * fixed.weight[:, kept]
        offset = torch.from_numpy(output.offset) - torch.einsum("kcyx,cyx->k", weight, fixed.baseline[kept])
        tensors = {
            "filters": self.paths.network.filters.detach()[kept],
            "gain": fixed.rectifiers.gain[kept],
            "bias": fixed.rectifiers.bias[kept],
            "weight": weight,
            "offset": offset,
            "scale": fixed.rectifiers.scale,
            "stimulus_mean": torch.tensor(float(model.dataset["stimulus_mean"])),
            "stimulus_std": torch.tensor(float(model.dataset["stimulus_std"])),
        }
        return ReducedCircuit({name: tensor.float() for name, tensor in tensors.items()})

    def _fixed(self) -> Fixed:
        assert self.fixed is not None, "checked by the caller"
        return self.fixed


def rerun(
    model: xr.DataTree,
    probes: Mapping[str, xr.Dataset],
    attributions: Mapping[str, xr.Dataset],
    removed: Chosen,
    threads: int,
) -> Reruns:
    """Run all probes through the network without some choices of channels, and through the fixed weights.

    The baseline and the target are those of the attributions.

    Parameters
    ----------
    removed : (choice, channel)
    """
    network, kind = load_network(model), str(model.attrs["architecture"])
    shape = (model.sizes["y"], model.sizes["x"])
    own = AttributeSettings.model_validate_json(next(iter(attributions.values())).attrs["settings"])
    paths = attributor(network, kind, shape, own, threads)
    mean_frame = model.dataset["mean_frame"].values.astype(np.float32)
    drives = {name: Drives(network, probe, name, mean_frame, own) for name, probe in probes.items()}
    fixed = None
    if paths.rectifiers is not None:
        with torch.no_grad():
            grey = network.first_layer(torch.zeros(1, network.history, *shape))[0]
        strict = attributor(network, kind, shape, STRICT, threads)
        fixed = mean_weights(strict, {name: sampled(d, SAMPLED) for name, d in drives.items()}, grey)
    runs = {name: _run(paths, d, fixed, removed) for name, d in drives.items()}
    largest = max(float(np.abs(a["response"]).max()) for a in attributions.values())
    return Reruns(paths.within(own.tolerance * largest), mean_frame, fixed, runs)


def sampled(drives: Drives, number: int) -> Tensor:
    """Return the drive (n, channel, y, x) of some responses to a probe, evenly spaced over its conditions and times."""
    n_conditions, n_times = drives.probe.sizes["condition"], drives.probe.sizes["time"]
    chosen = evenly(n_conditions * n_times, number)
    return torch.cat([drives.drive(Span(i // n_times, i % n_times, i % n_times + 1)) for i in chosen.tolist()])


def evenly(total: int, number: int) -> NDArray[np.int64]:
    """Indices of some of so many, evenly spaced."""
    return np.unique(np.linspace(0, total - 1, min(number, total)).astype(np.int64))


def _run(paths: Attributor, drives: Drives, fixed: Fixed | None, removed: Chosen) -> Run:
    contributions, without, rates = [], [], []
    for span in drives.spans(CLIP):
        drive = drives.drive(span)
        start = drives.baseline(span, drives.settings.baseline)
        with torch.no_grad():
            rates.append(drives.network.upper(drive).numpy())
        without.append(measures.without(paths, drive, start, torch.from_numpy(removed)).numpy())
        if fixed is not None:
            contributions.append(fixed.contribution(drive))
    frame = (drives.probe.sizes["condition"], drives.probe.sizes["time"])
    rate, held = (np.concatenate(parts) for parts in (rates, without))
    contribution = np.concatenate(contributions) if contributions else None
    return Run(
        rate=rate.reshape(*frame, *rate.shape[1:]),
        ablated=np.moveaxis(held.reshape(*frame, *held.shape[1:]), 2, 0),
        contribution=None if contribution is None else contribution.reshape(*frame, *contribution.shape[1:]),
    )


def attributed(paths: Attributor, drives: Drives) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Attribute all responses to a movie to the channels.

    Returns
    -------
    net : (time, cell, channel)
    baseline, response : (time, cell)
        Hz.
    """
    net, baseline, response = [], [], []
    for span in drives.spans(PIECE):
        found, _ = paths.integrate(drives.drive(span), drives.baseline(span, drives.settings.baseline))
        net.append((found.difference[:, None] * found.weight).sum(dim=(-2, -1)).numpy())
        response.append(found.response.numpy())
        baseline.append(found.baseline_response.numpy())
    return np.concatenate(net), np.concatenate(baseline), np.concatenate(response)


def as_probe(recording: xr.DataTree, name: str, model: xr.DataTree, seconds: float) -> xr.Dataset:
    """The beginning of a class's test movie in the model's contrast, as a probe with one condition; times before it are grey."""
    test = recording.children[name].children["test"].to_dataset()
    frame_rate = float(recording.dataset["frame_rate"])
    test = test.isel(time=slice(0, max(1, round(seconds * frame_rate))))
    mean, std = float(model.dataset["stimulus_mean"]), float(model.dataset["stimulus_std"])
    contrast = (test["stimulus"].values.astype(np.float32) - np.float32(mean)) / np.float32(std)
    return xr.Dataset(
        {
            "stimulus": variable(("condition", "time", "y", "x"), contrast[None], "1", "contrast"),
            "frame_rate": recording.dataset["frame_rate"].variable,
            "pixel_size": recording.dataset["pixel_size"].variable,
            "rate": test["rate"].variable,
        },
        coords={"condition": [name], "time": test["time"].variable},
    )
