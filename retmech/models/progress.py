"""What a training shows and keeps of its epochs."""

import csv
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from retmech.models.lightning import RetinaModule, Row

COLUMNS = ("epoch", "train_loss", "validation_loss", "validation_correlation", "learning_rate")


class History(pl.Callback):
    """Keeps the training curves in the checkpoint, writes them as CSV with the time since the start, and prints each epoch."""

    def __init__(self, csv_path: Path) -> None:
        self.csv_path = csv_path
        self.started = 0.0
        self.epochs_here = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add an epoch's row before the checkpoint of the epoch is written."""
        assert isinstance(pl_module, RetinaModule)
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            **{name: float(trainer.callback_metrics[name]) for name in COLUMNS[1:4]},
            "seconds": time.monotonic() - self.started,
        }
        self.epochs_here += 1
        pl_module.history.append(row)
        if trainer.is_global_zero:
            self._write_csv(pl_module.history)
            self._print(row, pl_module.config.epochs)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the rows with the weights, and whose they are: the training that its folder is named for."""
        assert isinstance(pl_module, RetinaModule)
        checkpoint |= {"history": pl_module.history, "training": self.csv_path.parent.name}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the rows with the weights."""
        assert isinstance(pl_module, RetinaModule)
        pl_module.history = list(checkpoint["history"])

    def _write_csv(self, rows: Sequence[Row]) -> None:
        partial = self.csv_path.with_suffix(".partial")
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, (*COLUMNS, "seconds"))
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.csv_path)

    def _print(self, row: Row, epochs: int) -> None:
        seconds = row["seconds"] / self.epochs_here
        print(
            f"epoch {row['epoch']:.0f}/{epochs}  loss {row['train_loss']:.4f}  validation {row['validation_loss']:.4f}  "
            f"r {row['validation_correlation']:.3f}  lr {row['learning_rate']:.2g}  {seconds:.1f} s/epoch, "
            f"at most {seconds * (epochs - row['epoch']):.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def progress_bar() -> list[pl.Callback]:
    """A bar with the time left on a terminal; nothing where the output goes to a file."""
    return [RichProgressBar(leave=False, console_kwargs={"stderr": True})] if sys.stderr.isatty() else []
