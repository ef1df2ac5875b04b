"""One training: a trainer on whatever devices there are, from the last checkpoint if there is one, to the best weights."""

import logging
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy

from retmech.errors import RetmechError
from retmech.models.checkpoints import best_checkpoint, finished, read_checkpoint, saved_history
from retmech.models.data import ClipData
from retmech.models.lightning import RetinaModule
from retmech.models.processes import processes
from retmech.models.progress import History, progress_bar

LIGHTNING_PRECISION = {"float32": "32-true", "tf32": "32-true", "bfloat16": "bf16-mixed", "float64": "64-true"}


@dataclass(frozen=True)
class Devices:
    """What a training runs on; beside rounding only the noise in the hidden layers depends on it.

    Attributes
    ----------
    per_node, nodes
        One process each for so many devices on so many nodes.
    accelerator
        As Lightning names it; ``auto`` takes a GPU where there is one.
    """

    per_node: int = 1
    nodes: int = 1
    accelerator: str = "auto"

    @property
    def processes(self) -> int:
        """Number of processes."""
        return self.per_node * self.nodes


ONE_PROCESS = Devices()


def fit(module: RetinaModule, data: ClipData, scratch: Path, devices: Devices = ONE_PROCESS) -> None:
    """Train until the validation loss stops falling and leave the best weights in the module.

    Parameters
    ----------
    scratch
        Folder of this training's checkpoints. If it holds a last checkpoint, training goes on from there.

    Raises
    ------
    RetmechError
        If the processes that were asked for did not come together, or the loss is no number.
    """
    if module.config.batch_clips < devices.processes:
        raise RetmechError(f"{devices.processes} processes cannot share batches of batch_clips = {module.config.batch_clips}.")
    if devices.processes > 1 and SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) != devices.processes:
        _disagree(devices, int(os.environ["SLURM_NTASKS"]))  # they would wait for each other in vain
    last = scratch / "last.ckpt"
    history = saved_history(last)
    if finished(history, module.config):
        module.history = history
        best_path = best_checkpoint(last)
    else:
        if history:
            print(f"resuming after epoch {len(history)}", file=sys.stderr, flush=True)
        best = _MovableCheckpoint(scratch, filename="best", monitor="validation_loss", save_on_train_epoch_end=True)
        try:
            trainer = _trainer(module, scratch, devices, best)
        except (MisconfigurationException, ValueError) as error:
            raise RetmechError(f"training cannot start on {devices}: {error}") from None
        trainer.fit(module, datamodule=data, ckpt_path=last if history else None, weights_only=True)
        best_path = Path(best.best_model_path)
    module.load_state_dict(read_checkpoint(best_path)["state_dict"])
    module.cpu().float().eval()


def _trainer(module: RetinaModule, scratch: Path, devices: Devices, best: ModelCheckpoint) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for harmless in ("Checkpoint directory", ".*isinstance.treespec, LeafSpec", "The `srun` command is available"):
        warnings.filterwarnings("ignore", harmless)
    torch.set_float32_matmul_precision("high" if module.config.precision == "tf32" else "highest")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # results do not need it
    torch.backends.cudnn.allow_tf32 = module.config.precision == "tf32"
    accelerator = ("gpu" if torch.cuda.is_available() else "cpu") if devices.accelerator == "auto" else devices.accelerator
    bar = progress_bar()
    # `save_last` of the checkpoint with a monitor would save only when there is a new best.
    every = _MovableCheckpoint(scratch, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
    stopping = EarlyStopping("validation_loss", patience=module.config.patience, check_on_train_epoch_end=True)
    return pl.Trainer(
        accelerator=accelerator,
        devices=devices.per_node,
        num_nodes=devices.nodes,
        # Buffers are the same everywhere already; sent in validation, where processes may have unequal numbers of batches, they
        # would be waited for in vain.
        strategy=DDPStrategy(broadcast_buffers=False) if devices.processes > 1 else "auto",
        precision=LIGHTNING_PRECISION[module.config.precision],  # type: ignore[arg-type]
        gradient_clip_val=module.config.gradient_clip,
        max_epochs=module.config.epochs,
        deterministic=True,
        callbacks=[_AllProcesses(devices), History(scratch / "metrics.csv"), stopping, best, every, *bar],
        use_distributed_sampler=False,  # ours shares each batch out
        plugins=_environment(devices),
        default_root_dir=scratch,
        logger=False,
        enable_progress_bar=bool(bar),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _environment(devices: Devices) -> ClusterEnvironment | None:
    """Who starts the processes; None leaves it to Lightning."""
    if devices.processes == 1:
        return LightningEnvironment()  # alone, also in a batch job that has more tasks for other work
    # What is preempted starts again from the last checkpoint; Lightning need not catch signals for that.
    return SLURMEnvironment(auto_requeue=False) if SLURMEnvironment.detect() else None


class _MovableCheckpoint(ModelCheckpoint):
    """Knows its files and the best epoch so far also after the folder was moved, where Lightning's own would start anew."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state with all paths in the folder as it is now."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        moved = {name: here(state_dict[name]) for name in ("best_model_path", "kth_best_model_path")}
        models = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": models, "dirpath": self.dirpath})


class _AllProcesses(pl.Callback):
    """Stops a training whose processes each believe that they are alone: they would train the same model side by side."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the processes that were asked for with those that met."""
        if processes() != self.devices.processes:
            _disagree(self.devices, processes())


def _disagree(devices: Devices, met: int) -> NoReturn:
    asked = f"--devices {devices.per_node} --nodes {devices.nodes}"
    raise RetmechError(
        f"training: {devices.processes} processes were asked for ({asked}), {met} came together. "
        "Under SLURM start one task for each device with srun."
    )
