"""Poisson regression with Lightning.

Everything random is a function of the seed and the step, so that a killed training resumes exactly.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from retmech.errors import RetmechError
from retmech.models.data import Batch
from retmech.models.network import Network
from retmech.models.processes import processes, sum_over_processes
from retmech.settings import TrainSettings
from retmech.streams import derived_seed

Row = dict[str, float]
ROUNDING = 1e-12  # of a sum of squares: a smaller variance is rounding error of a constant


class RetinaModule(pl.LightningModule):
    """Poisson regression of firing rates on clips.

    The loss is the mean over responses and cells of q - p log q, where q and p are the predicted and the recorded rate
    divided by the cell's mean rate: it does not change with the batch, the length of the clips, the number of cells or
    the number of processes that share a batch.
    """

    def __init__(self, network: Network, config: TrainSettings, mean: float, std: float, seed: int) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.mean, self.std, self.seed_ = mean, std, seed
        self.history: list[Row] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The learning rate is set before each epoch, see :func:`learning_rate`."""
        parameters, config = self.network.parameters(), self.config
        if config.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, lr=config.learning_rate, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
            )
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
        return kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)

    def on_train_epoch_start(self) -> None:
        """Set the learning rate of the epoch."""
        rate = learning_rate(self.config, [row["validation_loss"] for row in self.history])
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed noise and dropout by the step, differently in each process."""
        torch.manual_seed(derived_seed(self.seed_, "noise in training", self.global_step, self.global_rank))

    def rates(self, batch: Batch) -> Tensor:
        """Normalize a batch's raw frames to contrast and predict (clip, response, cell) in Hz."""
        contrast = (batch.frames.to(self.network.rate_scale.dtype) - self.mean) / self.std
        rate: Tensor = self.network(contrast, batch.spikes)
        return rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the penalized loss of a batch; stop where it is not a number."""
        predicted = self.rates(batch) / self.network.rate_scale
        number = sum_over_processes(batch.counts.sum())
        share = share_of_mean(batch.counts, number, predicted.dtype)
        loss = poisson_loss(predicted, batch.recorded / self.network.rate_scale, share)
        self._check(loss, "loss")
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=int(number), sync_dist=True)
        l2 = sum((w.square().sum() for w in self.network.weights()), loss.new_zeros(())) / len(self.network.rate_scale)
        return loss + self.config.weight_l2 * l2 + self.config.output_l1 * (predicted * share).sum()

    def _check(self, loss: Tensor, name: str) -> None:
        """Stop where a loss is no number, before anything of the epoch is saved."""
        if not torch.isfinite(loss):
            raise RetmechError(
                f"training: the {name} is {loss.item()} in epoch {self.current_epoch + 1}. Lower learning_rate or set "
                "gradient_clip; the last good checkpoint is kept."
            )

    def on_validation_epoch_start(self) -> None:
        """Begin the sums anew."""
        self._sums = Sums(len(self.network.rate_scale), self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums from which loss and correlation follow."""
        self._sums.add(self.rates(batch), batch.recorded, batch.counts, self.network.rate_scale)

    def on_validation_epoch_end(self) -> None:
        """Log loss and mean correlation over the whole validation part, and over all processes."""
        loss, correlation = self._sums.result()
        self._check(loss, "validation loss")
        self.log("validation_loss", loss.float())
        self.log("validation_correlation", correlation.nanmean().nan_to_num().float())


class Sums:
    """What loss and correlation of any number of responses need, summed in float64 over batches and processes."""

    def __init__(self, cells: int, device: torch.device | str = "cpu") -> None:
        self.total = torch.zeros(7, cells, dtype=torch.float64, device=device)

    def add(self, predicted: Tensor, recorded: Tensor, counts: Tensor, scale: Tensor) -> None:
        """Add responses (clip, response, cell) where ``counts``."""
        a, b, n = (x.flatten(0, 1).double() for x in (predicted, recorded, counts))
        scale = scale.double()
        loss = torch.nn.functional.poisson_nll_loss(a / scale, b / scale, log_input=False, reduction="none")
        self.total += torch.stack([(n * x).sum(0) for x in (torch.ones_like(a), a, b, a * a, b * b, a * b, loss)])

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean loss over responses and cells, and Pearson's r of each cell (NaN where a side is constant)."""
        n, a, b, aa, bb, ab, loss = sum_over_processes(self.total)
        covariance, variance_a, variance_b = n * ab - a * b, n * aa - a * a, n * bb - b * b
        varies = (variance_a > ROUNDING * n * aa) & (variance_b > ROUNDING * n * bb)
        r = covariance / (variance_a * variance_b).abs().sqrt()
        return loss.sum() / n.sum(), torch.where(varies, r.clamp(-1, 1), torch.nan)


def poisson_loss(predicted: Tensor, recorded: Tensor, share: Tensor) -> Tensor:
    """Sum of (q - p log q) * share.

    Parameters
    ----------
    predicted, recorded : (..., cell)
        Rates in units of the cell's mean rate.
    share : (..., cell)
        Of each response in the mean, see :func:`share_of_mean`.
    """
    loss = torch.nn.functional.poisson_nll_loss(predicted, recorded, log_input=False, reduction="none")
    return (loss * share).sum()


def share_of_mean(counts: Tensor, number: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights whose sum gives the mean over the ``number`` of responses that count in all processes that share a batch.

    The processes' gradients are averaged, so each one's sum stands for the whole: it is multiplied with their number.
    """
    return counts.to(dtype) * processes() / number.clamp(min=1)


def learning_rate(config: TrainSettings, losses: Sequence[float]) -> float:
    """The next epoch's learning rate: a function of the validation losses so far, which a resumed training has, too."""
    if config.schedule == "plateau":
        return config.learning_rate * 0.5 ** halvings(losses, config.halve_after)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * len(losses) / config.epochs))
    return config.learning_rate


def halvings(losses: Sequence[float], patience: int) -> int:
    """How often the learning rate is halved by now: once whenever ``patience`` epochs in a row brought no new best loss."""
    best, waited, count = float("inf"), 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            count, waited = count + 1, 0
    return count
