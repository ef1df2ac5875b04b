"""Fit a network to a recording, or to several that share it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech import registry
from retmech.errors import RecordingError
from retmech.labels import geometry_of, geometry_variables, variable
from retmech.models.data import ClipData, ClipDataset, cut
from retmech.models.fitting import ONE_PROCESS, Devices, fit
from retmech.models.lightning import RetinaModule
from retmech.models.network import Network
from retmech.models.progress import COLUMNS
from retmech.models.store import weights_to_dataset
from retmech.provenance import canonical_json
from retmech.receptive_field import receptive_field_centre
from retmech.settings import TrainSettings
from retmech.streams import derived_seed

MIN_RATE_SCALE = 0.1  # Hz: a cell that never fires must not divide by zero

CURVES = {
    "train_loss": "Poisson loss on the training part",
    "validation_loss": "Poisson loss on the validation part",
    "validation_correlation": "mean over cells of Pearson's r on the validation part",
    "learning_rate": "learning rate",
}


def train(
    recordings: Mapping[str, xr.DataTree],
    config: TrainSettings,
    architecture: str,
    seed: int,
    scratch: Path,
    devices: Devices = ONE_PROCESS,
) -> dict[str, xr.DataTree]:
    """Return the trained model of each recording.

    Parameters
    ----------
    recordings
        Name -> recording, as :func:`retmech.stages.ingest.ingest` gives it. Several are fitted together: they share all of the
        network that does not belong to single cells.
    seed
        Of the initial weights, the order of the clips and the noise.
    scratch
        Folder for checkpoints, to go on from after an interruption. It must belong to these inputs and settings alone.
    """
    recordings = dict(sorted(recordings.items()))  # the order in which they are named changes nothing
    _check_stimuli(recordings, config.stimulus)
    _check_same_geometry(recordings)
    cells = _places([recording.sizes["cell"] for recording in recordings.values()])
    first = next(iter(recordings.values()))
    torch.manual_seed(derived_seed(seed, "initial weights"))
    network: Network = registry.load("architecture", architecture).build(config, geometry_of(first), cells[-1].stop)
    if config.target == "spikes" or network.spike_lags:
        _check_spikes(recordings, config.stimulus)
    network.place(torch.from_numpy(np.concatenate([_centres(recording) for recording in recordings.values()])))
    classes = [r.children[name] for r in recordings.values() for name in config.stimulus]
    mean, std = _normalization(recordings)
    mean_frame = ((_mean_frame(classes) - mean) / std).astype(np.float32)
    scale = np.concatenate([_mean_rate(recording, config.stimulus) for recording in recordings.values()])
    network.rate_scale.copy_(torch.from_numpy(scale))
    module = RetinaModule(network, config, mean, std, seed)
    training, validation = (_clips(recordings, cells, part, network.history, config) for part in ("train", "validation"))
    fit(module, ClipData(training, validation, config.batch_clips, seed), scratch, devices)
    models = {}
    for (name, recording), place in zip(recordings.items(), cells, strict=True):
        root = _root(recording, module, scale[place], mean_frame)
        models[name] = xr.DataTree.from_dict({"/": root, "/weights": weights_to_dataset(network, place)})
        models[name].attrs |= {
            "architecture": architecture,
            "architecture_settings": canonical_json(config.model_dump(mode="json")),
            "trained_with": canonical_json(sorted(recordings)),
            "processes": devices.processes,
        }
    return models


def _clips(
    recordings: Mapping[str, xr.DataTree], cells: Sequence[slice], part: str, history: int, config: TrainSettings
) -> ClipDataset:
    """The clips of one part of all recordings and stimulus classes."""
    parts = []
    for recording, place in zip(recordings.values(), cells, strict=True):
        spike_rate = geometry_of(recording).frame_rate if config.target == "spikes" else None
        for name in config.stimulus:
            dataset = recording.children[name].children[part].to_dataset()
            parts.append(cut(dataset, history, config.clip_length, place, spike_rate))
    return ClipDataset(parts, history, config.clip_length, cells[-1].stop)


def _check_stimuli(recordings: Mapping[str, xr.DataTree], stimuli: Sequence[str]) -> None:
    for name, recording in recordings.items():
        missing = sorted(set(stimuli) - set(recording.children))
        if missing:
            raise RecordingError(f"{name}: it has no stimulus class {', '.join(missing)}, only {', '.join(recording.children)}.")


def _check_spikes(recordings: Mapping[str, xr.DataTree], stimuli: Sequence[str]) -> None:
    for name, recording in recordings.items():
        for stimulus in stimuli:
            if "spike_count" not in recording.children[stimulus].children["train"].data_vars:
                raise RecordingError(f"{name}: {stimulus} has rates but no spikes, which this model is fitted to. Train another.")


def _check_same_geometry(recordings: Mapping[str, xr.DataTree]) -> None:
    found = {name: geometry_of(recording) for name, recording in recordings.items()}
    if len(set(found.values())) > 1:
        listed = "; ".join(f"{name}: {geometry}" for name, geometry in found.items())
        raise RecordingError(f"recordings that share a model must have equal frames, frame rate and pixel size, found {listed}")


def _places(numbers: Sequence[int]) -> list[slice]:
    """Where each recording's cells stand among all."""
    edges = np.cumsum([0, *numbers]).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _centres(recording: xr.DataTree) -> NDArray[np.float32]:
    return receptive_field_centre(recording.dataset["receptive_field"].transpose("cell", "lag", "y", "x").values)


def _mean_rate(recording: xr.DataTree, stimuli: Sequence[str]) -> NDArray[np.float32]:
    rates = [recording.children[name].children["train"].dataset["rate"].values for name in stimuli]
    mean = sum(rate.sum(axis=1, dtype=np.float64) for rate in rates) / sum(rate.shape[1] for rate in rates)
    return np.maximum(mean, MIN_RATE_SCALE).astype(np.float32)


def _normalization(recordings: Mapping[str, xr.DataTree]) -> tuple[float, float]:
    """Luminance of zero and of unit contrast, whatever the classes trained on: probes must mean the same to every model.

    Recordings that share a model may differ in it; theirs is that of all movies together.
    """
    mean, std = (
        np.array([float(recording.dataset[name]) for recording in recordings.values()])
        for name in ("stimulus_mean", "stimulus_std")
    )
    return float(mean.mean()), float(np.sqrt(np.mean(std**2) + mean.var()))


def _mean_frame(classes: list[xr.DataTree]) -> NDArray[np.float64]:
    """Mean over time (y, x) of the training movies of all classes and recordings together, luminance."""
    movies = [c.children["train"].dataset["stimulus"].values for c in classes]
    total = np.sum([movie.sum(axis=0, dtype=np.float64) for movie in movies], axis=0)
    mean: NDArray[np.float64] = total / sum(len(movie) for movie in movies)
    return mean


def _root(
    recording: xr.DataTree, module: RetinaModule, scale: NDArray[np.float32], mean_frame: NDArray[np.float32]
) -> xr.Dataset:
    history = module.network.history
    curves = {name: np.array([row[name] for row in module.history]) for name in COLUMNS}
    best = int(curves["epoch"][curves["validation_loss"].argmin()])
    lag = np.arange(history)[::-1] / float(recording.dataset["frame_rate"])
    return xr.Dataset(
        geometry_variables(geometry_of(recording))
        | {
            "stimulus_mean": variable((), module.mean, "1", "luminance of zero contrast"),
            "stimulus_std": variable((), module.std, "1", "luminance of unit contrast"),
            "rate_scale": variable("cell", scale, "Hz", "mean rate in training"),
            "mean_frame": variable(("y", "x"), mean_frame, "1", "mean of the training movie, contrast"),
            "best_epoch": variable((), best, "1", "epoch whose weights are kept"),
        }
        | {name: variable("epoch", curves[name], "1", text) for name, text in CURVES.items()},
        coords={
            "cell": recording.dataset["cell"].variable,
            "epoch": variable("epoch", curves["epoch"].astype(np.int64), "1", "epoch"),
            "lag": variable("lag", lag, "s", "time before the newest frame"),
            "y": recording.dataset["y"].variable,
            "x": recording.dataset["x"].variable,
        },
    )
