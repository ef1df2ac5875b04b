"""Whole training steps at the paper's geometry: retmech, the same network in plain PyTorch, and openretina's core and readout.

`python -m benchmarks.training` runs all of them in turn; `python -m benchmarks.training NAME` one, which prints its figures.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.compare import Comparison, measure, median, peak_memory, save, seconds_per_call
from benchmarks.plain import PlainBNCNN
from retmech.geometry import Geometry
from retmech.memory import keep_freed_memory
from retmech.models.architectures.bn_cnn import BNCNN, Config
from retmech.models.data import Batch, ClipDataset, Clips, clip_starts
from retmech.models.lightning import RetinaModule

THREADS, ROUNDS, CELLS, FRAMES = 2, 3, 5, 18_000
GEOMETRY = Geometry((50, 50), 100.0, 50.0)
CONFIG = Config(history=400, clip_length=64, batch_clips=16)
PAPER = {"frames": "50 x 50", "history": 40, "channels": [8, 8], "kernels": [15, 11], "cells": CELLS, "threads": THREADS}
MEAN, STD = 127.5, 74.0
LOSS_STEPS = 8
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dataset() -> ClipDataset:
    """Random frames and rates: neither changes how long a step takes."""
    generator = torch.Generator().manual_seed(0)
    movie = torch.randint(0, 256, (FRAMES, *GEOMETRY.shape), generator=generator, dtype=torch.uint8)
    rate = 2 * torch.rand(FRAMES, CELLS, generator=generator)
    history = GEOMETRY.frames(CONFIG.history)
    starts, skips = torch.tensor(clip_starts(FRAMES, history, CONFIG.clip_length)).T
    clips = Clips(movie, rate, torch.zeros(FRAMES, CELLS, dtype=torch.int32), slice(0, CELLS), starts, skips)
    return ClipDataset([clips], history, CONFIG.clip_length, CELLS)


def batches(size: int) -> Iterator[Batch]:
    """Batches of clips in a fixed random order, for ever; all are gathered where the movie is."""
    clips = dataset()
    clips.to(DEVICE)
    order = torch.randperm(len(clips) - 1, generator=torch.Generator().manual_seed(1)).tolist()
    while True:
        for start in range(0, len(order) - size + 1, size):
            yield clips.__getitems__(order[start : start + size])


def network(config: Config) -> BNCNN:
    """The same initial weights for all who have this architecture."""
    torch.manual_seed(0)
    return BNCNN(config, GEOMETRY, CELLS).to(DEVICE)


class _StandAlone(RetinaModule):
    """The module outside a trainer: nothing is logged."""

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""


def ours(config: Config) -> Callable[[], float]:
    """A training step of retmech, as Lightning would call it, that returns the loss."""
    module = _StandAlone(network(config), config, MEAN, STD, seed=0).to(DEVICE).train()
    optimizer, source = module.configure_optimizers(), batches(config.batch_clips)

    def step() -> float:
        loss = module.training_step(next(source), 0)
        return _descend(optimizer, loss)

    return step


def plain(config: Config) -> Callable[[], float]:
    """The same step on the same responses, each with its own gathered window."""
    model = PlainBNCNN(network(config), config).to(DEVICE).train()
    optimizer, source = torch.optim.Adam(model.parameters(), lr=config.learning_rate), batches(config.batch_clips)
    weights = [p for p in model.parameters() if p.ndim > 1]

    def step() -> float:
        batch = next(source)
        windows = batch.frames.unfold(1, 40, 1).permute(0, 1, 4, 2, 3).flatten(0, 1)
        predicted = model((windows.to(model.dense.weight.dtype) - MEAN) / STD)
        loss = torch.nn.functional.poisson_nll_loss(predicted, batch.recorded.flatten(0, 1), log_input=False)
        return _descend(optimizer, loss + config.weight_l2 * _squares(weights) / CELLS)

    return step


def openretina(config: Config) -> Callable[[], float]:
    """A training step of openretina's example model with as many frames of history, on the same movie, rates and clips."""
    peers.use("openretina")
    from openretina.data_io.base_dataloader import DataPoint
    from openretina.models.core_readout import ExampleCoreReadout

    cut = 20  # frames that its first temporal kernel takes away; its second pads
    model = ExampleCoreReadout(
        in_shape=(1, config.clip_length + cut, *GEOMETRY.shape),
        hidden_channels=(16, 32),
        temporal_kernel_sizes=(21, 11),
        spatial_kernel_sizes=(15, 11),
        n_neurons_dict={"movie": CELLS},
        cut_first_n_frames_in_core=0,
    ).to(DEVICE)
    model.train()
    model.log = lambda *args, **kwargs: None
    optimizer, source = torch.optim.AdamW(model.parameters(), lr=1e-3), batches(config.batch_clips)

    def step() -> float:
        batch = next(source)
        frames = (batch.frames[:, -config.clip_length - cut :].float() - MEAN) / STD
        return _descend(optimizer, model.training_step(("movie", DataPoint(frames[:, None], batch.recorded)), 0))

    return step


CONTESTANTS = {"retmech": ours, "plain": plain, "openretina": openretina}


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _squares(weights: list[torch.nn.Parameter]) -> Tensor:
    return sum((w.square().sum() for w in weights), torch.zeros((), device=DEVICE))


def contestant(name: str) -> None:
    """Time one contestant's training steps."""
    torch.set_num_threads(THREADS)
    if name == "retmech":
        keep_freed_memory()
    step = CONTESTANTS[name](CONFIG)
    seconds = seconds_per_call(step, 9 if name == "retmech" else 2)
    print(json.dumps({"rate": CONFIG.batch_clips * CONFIG.clip_length / seconds, "memory": peak_memory()}))


def loss_difference() -> float:
    """Largest relative difference between the losses of two ways to train the same network on equal batches.

    Without noise and in float64: in float32 a rounding error moves some units across the ReLU's edge, which changes the gradient
    by a thousandth between any two ways to sum.
    """
    torch.set_default_dtype(torch.float64)
    config = CONFIG.model_copy(update={"noise": 0.0, "batch_clips": 2})
    ours_, plain_ = ([step() for _ in range(LOSS_STEPS)] for step in (ours(config), plain(config)))
    return max(abs(a / b - 1) for a, b in zip(ours_, plain_, strict=True))


def main() -> None:
    """Compare all contestants."""
    peers.install("openretina")
    results = measure("benchmarks.training", list(CONTESTANTS), ROUNDS)
    comparisons = []
    for peer in ("plain", "openretina"):
        for name, key, unit in (("speed", "rate", "responses/s"), ("memory", "memory", "MB")):
            we, they = median(results["retmech"], key), median(results[peer], key)
            ratio = we / they if key == "rate" else they / we
            comparisons.append(Comparison(f"training-{name}-{peer}", ratio, we, they, unit, PAPER))
    save(comparisons)
    print(f"largest relative difference of the losses over {LOSS_STEPS} equal steps: {loss_difference():.1e}")


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else contestant(sys.argv[1])
