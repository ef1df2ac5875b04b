"""Fit a network to a recording."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from retmech import registry
from retmech.labels import geometry_of, geometry_variables, variable
from retmech.models.data import ClipDataset, loader
from retmech.models.lightning import COLUMNS, RetinaModule, fit
from retmech.models.store import weights_to_dataset
from retmech.provenance import canonical_json
from retmech.settings import TrainSettings

MIN_RATE_SCALE = 0.1  # Hz: a cell that never fires must not divide by zero

CURVES = {
    "train_loss": "Poisson loss on the training part",
    "validation_loss": "Poisson loss on the validation part",
    "validation_correlation": "mean over cells of Pearson's r on the validation part",
    "learning_rate": "learning rate",
}


def train(recording: xr.DataTree, config: TrainSettings, architecture: str, seed: int, scratch: Path) -> xr.DataTree:
    """Return the trained model of a recording.

    Parameters
    ----------
    recording
        As :func:`retmech.stages.ingest.ingest` gives it.
    seed
        Of the initial weights, the order of the clips and the noise.
    scratch
        Folder for checkpoints, to go on from after an interruption. It must belong to these inputs and settings alone.
    """
    torch.manual_seed(seed)
    network = registry.load("architecture", architecture).build(config, geometry_of(recording), recording.sizes["cell"])
    mean, std = _normalization([recording.children[name] for name in config.stimulus])
    rate = np.concatenate([recording.children[name].children["train"].dataset["rate"].values for name in config.stimulus], axis=1)
    scale = np.maximum(rate.mean(axis=1), MIN_RATE_SCALE)
    network.rate_scale.copy_(torch.from_numpy(scale))
    module = RetinaModule(network, config, mean, std, seed)
    parts = {
        part: [
            ClipDataset(recording.children[name].children[part].to_dataset(), network.history, config.clip_length)
            for name in config.stimulus
        ]
        for part in ("train", "validation")
    }
    fit(
        module,
        loader(parts["train"], config.batch_clips, seed),
        loader(parts["validation"], config.batch_clips, None),
        scratch,
    )
    model = xr.DataTree.from_dict({"/": _root(recording, module, mean, std, scale), "/weights": weights_to_dataset(network)})
    model.attrs |= {"architecture": architecture, "architecture_settings": canonical_json(config.model_dump(mode="json"))}
    return model


def _normalization(classes: list[xr.DataTree]) -> tuple[float, float]:
    """Mean and standard deviation of the training movies of all classes together."""
    weight = np.array([c.children["train"].sizes["time"] for c in classes], np.float64)
    mean, std = (np.array([float(c.dataset[name]) for c in classes]) for name in ("stimulus_mean", "stimulus_std"))
    total = np.average(mean, weights=weight)
    return float(total), float(np.sqrt(np.average(std**2 + (mean - total) ** 2, weights=weight)))


def _root(recording: xr.DataTree, module: RetinaModule, mean: float, std: float, scale: NDArray[np.float32]) -> xr.Dataset:
    history = module.network.history
    curves = {name: np.array([row[name] for row in module.history]) for name in COLUMNS}
    best = int(curves["epoch"][curves["validation_loss"].argmin()])
    lag = np.arange(history)[::-1] / float(recording.dataset["frame_rate"])
    return xr.Dataset(
        geometry_variables(geometry_of(recording))
        | {
            "stimulus_mean": variable((), mean, "1", "luminance of zero contrast"),
            "stimulus_std": variable((), std, "1", "luminance of unit contrast"),
            "rate_scale": variable("cell", scale.astype(np.float32), "Hz", "mean rate in training"),
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
