"""GLM: a stimulus filter and a filter over the cell's own past spikes (Pillow et al., Nature 2008; Truccolo et al. 2005)."""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from retmech.geometry import Geometry
from retmech.models.convolution import SpatiotemporalConv2d
from retmech.models.network import Network
from retmech.settings import TrainSettings
from retmech.streams import derived_seed


class Config(TrainSettings):
    """Settings of the GLM."""

    architecture: Literal["glm"] = "glm"
    target: Literal["spikes"] = Field("spikes", description="what is fitted: spike counts, in which the cell's own past shows")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="of the optimizer, at the start")
    weight_l2: float = Field(0.1, ge=0, le=10, description="penalty on the mean over cells of squared weights")
    spike_history: float = Field(200.0, gt=0, le=2000, description="length of the filter over past spikes, ms")
    simulated_trials: int = Field(200, ge=1, le=100000, description="spike trains whose mean is the predicted rate")

    @model_validator(mode="after")
    def _within_history(self) -> Self:
        if self.spike_history >= self.history:
            raise ValueError("spike_history must be shorter than history, whose first frames give the spikes before a clip")
        return self


class GLM(Network):
    """rate_k(t) = scale_k softplus(w_k . s + sum_j h_kj n_k(t - j) + b_k), with the spike counts n of the bins before.

    In training the counts are the recorded ones. To predict a rate from the stimulus alone, spike trains are drawn from the
    model, each with its own history, and averaged. With softplus instead of the usual exponential they run away far less easily.
    """

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        super().__init__(cells)
        first = SpatiotemporalConv2d(cells, geometry.frames(config.history), geometry.shape)
        nn.init.zeros_(first.weight)
        self.first_layer = first
        self.frame_rate = geometry.frame_rate
        self.trials = config.simulated_trials
        self.spike_lags = min(geometry.frames(config.spike_history), self.history - 1)
        self.spike_filter = nn.Parameter(torch.zeros(cells, self.spike_lags))
        self.bias = nn.Parameter(torch.zeros(cells))
        self.weight_dims = {
            "rate_scale": ("cell",),
            "first_layer.weight": ("cell", "lag", "y", "x"),
            "spike_filter": ("cell", "spike_lag"),
            "bias": ("cell",),
        }

    def upper(self, drive: Tensor) -> Tensor:
        """Map the sum of both filters' outputs (n, cell, 1, 1) to firing rates (n, cell) in Hz."""
        return self.rate_scale * nn.functional.softplus(drive.flatten(1) + self.bias)

    def forward(self, clip: Tensor, spikes: Tensor | None = None) -> Tensor:
        """Map clips and the spike counts in their bins (batch, time, cell) to firing rates in Hz, given those before."""
        if spikes is None:
            raise TypeError("the GLM needs spikes; predict() simulates them")
        drive: Tensor = self.first_layer(clip)
        before = spikes[:, self.history - 1 - self.spike_lags : -1].unfold(1, self.spike_lags, 1)  # oldest first
        own = torch.einsum("btcj,cj->btc", before.to(drive.dtype), self.spike_filter.flip(1))
        return self.upper((drive.flatten(2) + own).flatten(0, 1)).unflatten(0, drive.shape[:2])

    def predict(self, movie: Tensor) -> Tensor:
        """Return the mean rate (time - history + 1, cell) in Hz of simulated spike trains; the same at every call."""
        drive = torch.cat([part.flatten(1) for part in self.drives(movie)])
        generator = torch.Generator(drive.device).manual_seed(derived_seed(0, "spikes that a GLM simulates"))
        past = drive.new_zeros(self.spike_lags, self.trials, drive.shape[1])  # newest first
        rates = []
        for filtered in drive:
            rate = self.upper(filtered + torch.einsum("jnc,cj->nc", past, self.spike_filter))
            rates.append(rate.mean(dim=0))
            past = torch.cat([torch.poisson(rate / self.frame_rate, generator)[None], past[:-1]])
        return torch.stack(rates)


def interneurons(config: Config) -> int:
    """Number of first-layer channels that stand between stimulus and cells: its filters are the cells."""
    return 0


def build(config: Config, geometry: Geometry, cells: int) -> GLM:
    """Return an untrained GLM."""
    return GLM(config, geometry, cells)
