"""Where a training keeps its checkpoints, and what they hold. Nothing in them is executed."""

import hashlib
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from retmech.errors import RetmechError
from retmech.locks import lock
from retmech.models.lightning import Row
from retmech.provenance import canonical_json
from retmech.settings import TrainSettings


class CheckpointError(RetmechError):
    """A checkpoint that a training cannot go on from."""


@contextmanager
def scratch_folder(parent: Path, identity: Mapping[str, Any], processes: int) -> Iterator[Path]:
    """The folder for the checkpoints of one training, named by a digest of all that determines it.

    While it is in use no other training works there: an orphan of a killed run may still be at it, and is waited for. Each of the
    processes of one training waits for its own predecessor, so that all find the same checkpoint.
    """
    digest = hashlib.sha256(canonical_json({**identity, "processes": processes}).encode()).hexdigest()[:16]
    folder = parent / digest
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"lock{_label(processes)}", "w") as file:
        lock(file.fileno(), wait=True)
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


def _label(processes: int) -> str:
    """What tells a process from the others of its training; nothing for the first one."""
    if is_first_process(processes):
        return ""
    known = [os.environ[name] for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ]
    return "-" + "-".join(known)


def saved_history(last: Path) -> list[Row]:
    """Return the epochs from which a training can go on; none if there is no checkpoint of this very training, or it is damaged.

    Parameters
    ----------
    last
        The last checkpoint, in the training's own folder; the best one that it names lies beside it.
    """
    if not last.exists():
        return []
    try:
        history = read_checkpoint(last)["history"]
        read_checkpoint(best_checkpoint(last))
    except CheckpointError as error:
        print(f"{error}: starting over", file=sys.stderr, flush=True)
        return []
    return list(history)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint after comparing it with its checksums, which torch does not do.

    Raises
    ------
    CheckpointError
        If it is damaged, or belongs to a training that keeps its checkpoints in a folder of another name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        checkpoint = torch.load(path, map_location="cpu", weights_only=True) if damaged is None else None
    except Exception as error:  # damage shows in as many ways as there are bytes
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__})") from None
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged (checksum of {damaged})")
    if not isinstance(checkpoint, dict) or not {"training", "history", "callbacks"} <= set(checkpoint):
        raise CheckpointError(f"{path} is no checkpoint of a training")
    if checkpoint["training"] != path.parent.name:
        raise CheckpointError(f"{path} is of another training ({checkpoint['training']})")
    return checkpoint


def finished(history: Sequence[Row], config: TrainSettings) -> bool:
    """Whether training would have stopped after these epochs: by their number, or with ``patience`` since the best."""
    losses = [row["validation_loss"] for row in history]
    waited = len(losses) - 1 - losses.index(min(losses)) if losses else 0
    return len(losses) >= config.epochs or waited >= config.patience


def best_checkpoint(last: Path) -> Path:
    """The checkpoint of the best epoch, as the last one names it; the folder may have been moved."""
    for key, state in read_checkpoint(last)["callbacks"].items():
        if "validation_loss" in key and state.get("best_model_path"):
            return last.with_name(Path(state["best_model_path"]).name)
    raise CheckpointError(f"{last} names no best epoch")
