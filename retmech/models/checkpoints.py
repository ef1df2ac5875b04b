"""Where a training keeps its checkpoints, and what they hold. Nothing in them is executed."""

import fcntl
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from retmech.models.lightning import Row
from retmech.provenance import canonical_json
from retmech.settings import TrainSettings


@contextmanager
def scratch_folder(parent: Path, identity: Mapping[str, Any], processes: int) -> Iterator[Path]:
    """The folder for the checkpoints of one training, named by a digest of all that determines it.

    While it is in use no other training works there: an orphan of a killed run may still be at it, and is waited for. Of the
    processes of one training the first holds the lock.
    """
    digest = hashlib.sha256(canonical_json({**identity, "processes": processes}).encode()).hexdigest()[:16]
    folder = parent / digest
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        if is_first_process(processes):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def is_first_process(processes: int) -> bool:
    """Whether this process is the only one of its training or the one that writes, by what its launcher told it."""
    if processes == 1:
        return True
    environment = os.environ
    if "RANK" in environment:
        return environment["RANK"] == "0"
    if "LOCAL_RANK" in environment or "NODE_RANK" in environment:
        return environment.get("LOCAL_RANK", "0") == environment.get("NODE_RANK", "0") == "0"
    return environment.get("SLURM_PROCID", "0") == "0"


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


def best_checkpoint(last: Path) -> Path:
    """The checkpoint of the best epoch, as the last one names it; the folder may have been moved."""
    callbacks = torch.load(last, map_location="cpu", weights_only=True)["callbacks"]
    state = next(state for key, state in callbacks.items() if "validation_loss" in key and "best_model_path" in state)
    return last.with_name(Path(state["best_model_path"]).name)
