"""How long a training at the paper's frame size takes to reach 95 % of its final validation correlation.

A simulated retina of 50 x 50 pixels is trained on by retmech. Plain PyTorch takes the same steps to the same losses
(`benchmarks.training`), so its time is that of as many of its steps, measured there.
"""

import csv
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from benchmarks.compare import OUT, Comparison, save
from retmech.insilico import session
from retmech.memory import keep_freed_memory
from retmech.models.architectures.bn_cnn import Config
from retmech.readers import stanford
from retmech.settings import IngestSettings, SimulatedMovie, SimulatedScenes, SimulateSettings
from retmech.stages.ingest import ingest
from retmech.stages.simulate import simulate
from retmech.stages.train import train

SCENES = SimulatedScenes(blocks=3, block_duration=120, test_duration=10, repeats=10)
SHORT = SimulatedMovie(blocks=3, block_duration=6, test_duration=2, repeats=2)
SIMULATE = SimulateSettings(cells=4, size=50, pixel_size=25, naturalscene=SCENES, whitenoise=SHORT)
INGEST = IngestSettings(blocks=3, skip=1, pixel_size=25)
TRAIN = Config(batch_norm="channel", epochs=12, patience=12)
SHARE = 0.95


@dataclass(frozen=True)
class Convergence:
    """A training from its beginning to its end.

    Attributes
    ----------
    rows
        Of each epoch, as in metrics.csv.
    final
        The largest validation correlation.
    first
        The row of the first epoch that reaches 95 % of it.
    """

    recording: xr.DataTree
    model: xr.DataTree
    rows: list[dict[str, float]]
    final: float
    first: dict[str, float]


def converge(simulation: SimulateSettings, ingestion: IngestSettings, config: Config) -> Convergence:
    """Train the published network on a simulated retina."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "naturalscene.h5"
        session.write(raw, simulate(simulation).sessions["naturalscene"], np.random.default_rng(0))
        recording = ingest({"naturalscene": stanford.read(raw, ingestion)}, ingestion).gather().load()
        model = train({"simulated": recording}, config, "bn_cnn", 1, Path(folder))["simulated"]
        with open(Path(folder) / "metrics.csv", newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    final = max(row["validation_correlation"] for row in rows)
    first = next(row for row in rows if row["validation_correlation"] >= SHARE * final)
    return Convergence(recording, model, rows, final, first)


def main() -> None:
    """Train once and compare the time with that of plain steps."""
    torch.set_num_threads(2)
    keep_freed_memory()
    speed = json.loads((OUT / "training-speed-plain.json").read_text())
    found = converge(SIMULATE, INGEST, TRAIN)
    first = found.first
    responses = first["epoch"] * found.recording["naturalscene/train"].sizes["time"]
    size = {"frames": "50 x 50", "cells": SIMULATE.cells, "minutes": 6}
    config = {**size, "r": found.final, "epoch": first["epoch"], "share": SHARE}
    plain = responses / speed["peer"]
    save([Comparison("training-convergence-plain", plain / first["seconds"], first["seconds"], plain, "s", config)])


if __name__ == "__main__":
    main()
