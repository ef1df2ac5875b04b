"""Training with Lightning. Everything random is a function of the seed and the step, so a killed training resumes exactly."""

import csv
import fcntl
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from retmech.errors import RetmechError
from retmech.models.data import Clip
from retmech.models.network import Network
from retmech.provenance import canonical_json
from retmech.settings import TrainSettings

COLUMNS = ("epoch", "train_loss", "validation_loss", "validation_correlation", "learning_rate")
Row = dict[str, float]


class RetinaModule(pl.LightningModule):
    """Poisson regression of firing rates on clips.

    The loss is the mean over responses and cells of q - p log q, where q and p are the predicted and the recorded rate
    divided by the cell's mean rate: it does not change with the batch, the length of the clips or the number of cells.
    """

    def __init__(self, network: Network, config: TrainSettings, mean: float, std: float, seed: int) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.mean, self.std, self.seed_ = mean, std, seed
        self.history: list[Row] = []
        self._predicted: list[tuple[Tensor, Tensor]] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam; the learning rate is set before each epoch from the validation losses so far."""
        return torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate)

    def on_train_epoch_start(self) -> None:
        """Halve the learning rate where the validation loss has stalled."""
        losses = [row["validation_loss"] for row in self.history]
        rate = self.config.learning_rate * 0.5 ** halvings(losses, self.config.halve_after)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the noise by the step."""
        torch.manual_seed((self.seed_ * 1_000_003 + self.global_step) % 2**63)

    def rates(self, frames: Tensor) -> Tensor:
        """Normalize raw frames to contrast and predict."""
        rate: Tensor = self.network((frames.float() - self.mean) / self.std)
        return rate

    def training_step(self, batch: Clip, batch_idx: int) -> Tensor:
        """Return the penalized loss of a batch; stop where it is not a number."""
        frames, recorded, counts = batch
        predicted = self.rates(frames)
        loss = poisson_loss(predicted / self.network.rate_scale, recorded / self.network.rate_scale, counts)
        if not torch.isfinite(loss):
            raise RetmechError(
                f"training: the loss is {loss.item()} in epoch {self.current_epoch + 1}. Lower learning_rate; "
                "the last good checkpoint is kept."
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=int(counts.sum()))
        return loss + self._penalty(predicted)

    def _penalty(self, predicted: Tensor) -> Tensor:
        weights = [p for name, p in self.network.named_parameters() if name.endswith("weight") and p.ndim > 1]
        l2 = sum((w.square().sum() for w in weights), torch.zeros(())) / self.network.rate_scale.numel()
        l1 = (predicted / self.network.rate_scale).mean()
        return self.config.weight_l2 * l2 + self.config.output_l1 * l1

    def validation_step(self, batch: Clip, batch_idx: int) -> None:
        """Keep a batch's predictions for the end of the epoch."""
        frames, recorded, counts = batch
        self._predicted.append((self.rates(frames)[counts], recorded[counts]))

    def on_validation_epoch_end(self) -> None:
        """Log loss and mean correlation over the whole validation part."""
        predicted, recorded = (torch.cat(parts) for parts in zip(*self._predicted, strict=True))
        self._predicted.clear()
        scale = self.network.rate_scale
        loss = poisson_loss(predicted / scale, recorded / scale, torch.ones(len(recorded), dtype=torch.bool))
        self.log("validation_loss", loss)
        self.log("validation_correlation", correlation(predicted, recorded).nanmean().nan_to_num())


class History(pl.Callback):
    """Keeps the training curves in the checkpoint, writes them as CSV and prints a line for each epoch."""

    def __init__(self, csv_path: Path) -> None:
        self.csv_path = csv_path
        self.started: float | None = None
        self.epochs_here = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add an epoch's row before the checkpoint of the epoch is written."""
        assert isinstance(pl_module, RetinaModule)
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            **{name: float(trainer.callback_metrics[name]) for name in COLUMNS[1:4]},
        }
        pl_module.history.append(row)
        self._write_csv(pl_module.history)
        self._print(row, pl_module.config.epochs)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the rows with the weights."""
        assert isinstance(pl_module, RetinaModule)
        checkpoint["history"] = pl_module.history

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the rows with the weights."""
        assert isinstance(pl_module, RetinaModule)
        pl_module.history = list(checkpoint["history"])

    def _write_csv(self, rows: Sequence[Row]) -> None:
        partial = self.csv_path.with_suffix(".partial")
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.csv_path)

    def _print(self, row: Row, epochs: int) -> None:
        now = time.monotonic()
        if self.started is None:
            self.started, left = now, ""
        else:
            self.epochs_here += 1
            seconds = (now - self.started) / self.epochs_here
            left = f"  {seconds:.1f} s/epoch, at most {seconds * (epochs - row['epoch']):.0f} s left"
        print(
            f"epoch {row['epoch']:.0f}/{epochs}  loss {row['train_loss']:.4f}  validation {row['validation_loss']:.4f}  "
            f"r {row['validation_correlation']:.3f}  lr {row['learning_rate']:.2g}{left}",
            file=sys.stderr,
            flush=True,
        )


def fit(module: RetinaModule, train: DataLoader[Clip], validation: DataLoader[Clip], scratch: Path) -> None:
    """Train until the validation loss stops falling and leave the best weights in the module.

    Parameters
    ----------
    scratch
        Folder of this training's checkpoints. If it holds a last checkpoint, training goes on from there.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    last = scratch / "last.ckpt"
    history = saved_history(last)
    best = ModelCheckpoint(scratch, filename="best", monitor="validation_loss", save_on_train_epoch_end=True)
    # `save_last` of the above would save only when there is a new best.
    every = ModelCheckpoint(scratch, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
    stopping = EarlyStopping("validation_loss", patience=module.config.patience, check_on_train_epoch_end=True)
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=module.config.epochs,
        deterministic=True,
        callbacks=[History(scratch / "metrics.csv"), stopping, best, every],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    if finished(history, module.config):
        module.history = history
        best_path = _best_path(last)
    else:
        if history:
            print(f"resuming after epoch {len(history)}", file=sys.stderr, flush=True)
        trainer.fit(module, train, validation, ckpt_path=last if history else None, weights_only=True)
        best_path = best.best_model_path
    module.load_state_dict(torch.load(best_path, map_location="cpu", weights_only=True)["state_dict"])
    module.eval()


@contextmanager
def scratch_folder(parent: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """The folder for the checkpoints of one training, named by a digest of all that determines it.

    While it is in use no other process trains there: an orphan of a killed run may still be at work, and is waited for.
    """
    digest = hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]
    folder = parent / digest
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def saved_history(checkpoint: Path) -> list[Row]:
    """Return the epochs that a checkpoint holds; none if there is no checkpoint or it was cut off while it was written."""
    if not checkpoint.exists():
        return []
    try:
        return list(torch.load(checkpoint, map_location="cpu", weights_only=True)["history"])
    except (RuntimeError, EOFError, KeyError, OSError, UnpicklingError) as error:
        print(f"{checkpoint} cannot be read ({error}): starting over", file=sys.stderr, flush=True)
        return []


def finished(history: Sequence[Row], config: TrainSettings) -> bool:
    """Whether training would have stopped after these epochs: by their number, or with ``patience`` since the best."""
    losses = [row["validation_loss"] for row in history]
    waited = len(losses) - 1 - losses.index(min(losses)) if losses else 0
    return len(losses) >= config.epochs or waited >= config.patience


def _best_path(last: Path) -> str:
    callbacks = torch.load(last, map_location="cpu", weights_only=True)["callbacks"]
    state = next(state for key, state in callbacks.items() if key.startswith("ModelCheckpoint") and "validation_loss" in key)
    return str(last.with_name(Path(state["best_model_path"]).name))  # the folder may have been moved


def poisson_loss(predicted: Tensor, recorded: Tensor, counts: Tensor) -> Tensor:
    """Mean of q - p log q over the responses that count and over cells.

    Parameters
    ----------
    predicted, recorded : (..., cell)
        Rates in units of the cell's mean rate.
    counts : (...,)
        Boolean mask of the responses.
    """
    loss = torch.nn.functional.poisson_nll_loss(predicted, recorded, log_input=False, reduction="none")
    return loss[counts].mean()


def correlation(predicted: Tensor, recorded: Tensor) -> Tensor:
    """Pearson correlation over the first axis, (cell,)."""
    a, b = (x.double() - x.double().mean(dim=0) for x in (predicted, recorded))
    return (a * b).sum(dim=0) / (a.square().sum(dim=0) * b.square().sum(dim=0)).sqrt()


def halvings(losses: Sequence[float], patience: int) -> int:
    """How often the learning rate is halved by now: once whenever ``patience`` epochs in a row brought no new best loss."""
    best, waited, count = float("inf"), 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            count, waited = count + 1, 0
    return count
