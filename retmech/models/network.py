"""What all architectures have in common: a first layer that sees time, and purely spatial layers above it."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from retmech.models.convolution import SpatiotemporalConv2d


class Network(nn.Module):
    """Clips of contrast in, firing rates out; split where attribution needs it.

    Attributes
    ----------
    weight_dims
        Names of the dimensions of the parameters and buffers, for storage.
    """

    weight_dims: ClassVar[dict[str, tuple[str, ...]]] = {}
    rate_scale: Tensor

    def __init__(self, first_layer: SpatiotemporalConv2d, cells: int) -> None:
        super().__init__()
        self.first_layer = first_layer
        self.register_buffer("rate_scale", torch.ones(cells))

    @property
    def history(self) -> int:
        """Frames of stimulus history behind each response."""
        return self.first_layer.weight.shape[1]

    def channel_gain(self) -> Tensor:
        """Mean gain (channel,) from the first layer's output to what its units rectify: its sign says which way they act."""
        return torch.ones(self.first_layer.weight.shape[0])

    def upper(self, drive: Tensor) -> Tensor:
        """Map the first layer's output (n, channel, y, x) to firing rates (n, cell) in Hz."""
        raise TypeError(f"{type(self).__name__} must define the layers above its first")

    def forward(self, clip: Tensor) -> Tensor:
        """Map clips of contrast (batch, time, y, x) to firing rates (batch, time - history + 1, cell) in Hz."""
        drive: Tensor = self.first_layer(clip)
        rate: Tensor = self.upper(drive.flatten(0, 1))
        return rate.unflatten(0, drive.shape[:2])


class GaussianNoise(nn.Module):
    """Additive noise while training, none afterwards."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """Add noise of the layer's standard deviation in training mode."""
        return x + self.std * torch.randn_like(x) if self.training else x
