"""LN: one linear filter over the whole stimulus history and field per cell, then softplus. The baseline of the field."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retmech.geometry import Geometry
from retmech.models.convolution import SpatiotemporalConv2d
from retmech.models.network import Network
from retmech.settings import TrainSettings


class Config(TrainSettings):
    """Settings of the LN model."""

    architecture: Literal["ln"] = "ln"
    learning_rate: float = Field(2e-4, gt=0, le=1, description="of the optimizer, at the start")
    weight_l2: float = Field(0.1, ge=0, le=10, description="penalty on the mean over cells of squared weights")


class LN(Network):
    """rate_k = scale_k softplus(w_k . s + b_k)."""

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        super().__init__(cells)
        first = SpatiotemporalConv2d(cells, geometry.frames(config.history), geometry.shape)
        nn.init.zeros_(first.weight)
        self.first_layer = first
        self.bias = nn.Parameter(torch.zeros(cells))
        self.weight_dims = {"rate_scale": ("cell",), "first_layer.weight": ("cell", "lag", "y", "x"), "bias": ("cell",)}

    def upper(self, drive: Tensor) -> Tensor:
        """Map the filtered stimulus (n, cell, 1, 1) to firing rates (n, cell) in Hz."""
        return self.rate_scale * nn.functional.softplus(drive.flatten(1) + self.bias)


def interneurons(config: Config) -> int:
    """Number of first-layer channels that stand between stimulus and cells: its filters are the cells."""
    return 0


def build(config: Config, geometry: Geometry, cells: int) -> LN:
    """Return an untrained LN model."""
    return LN(config, geometry, cells)
