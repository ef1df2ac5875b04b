"""The published implementation: every large kernel is a chain of 3 x 3 ones, and each cell reads out one position.

Maheswaranathan et al. (Neuron 2023), the last configuration of their public code. A chain of linear convolutions is one
convolution with a larger kernel, and as that the trained network is used.
"""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from retmech.geometry import Geometry
from retmech.models.convolution import SpatialConv2d, SpatiotemporalConv2d, spatial, spatiotemporal
from retmech.models.network import Network, check_fit, norm_dims, size_of, valid
from retmech.models.normalization import BatchNorm, GaussianNoise
from retmech.models.rectifiers import Rectifiers, folded
from retmech.settings import Kernel, TrainSettings

Size = tuple[int, int]


class Config(TrainSettings):
    """Settings of the stacked network. The defaults are the published ones."""

    architecture: Literal["stacked"] = "stacked"
    channels: list[int] = Field([8, 8], min_length=2, max_length=2, description="of layers 1 and 2")
    kernels: list[Kernel] = Field(
        [15, 11, 11],
        min_length=3,
        max_length=3,
        description="of layers 1, 2 and readout, odd, pixels; [height, width] where they differ",
    )
    dropout: float = Field(0.05, ge=0, lt=1, description="in training, between the convolutions of a chain")
    batch_norm_momentum: float = Field(0.01, gt=0, le=1, description="weight of a batch in the running statistics")
    noise: float = Field(0.05, ge=0, le=10, description="sd of the Gaussian noise before each ReLU while training")
    batch_clips: int = Field(39, ge=1, le=4096, description="clips in a batch")
    epochs: int = Field(50, ge=1, le=10000, description="at most")
    patience: int = Field(50, ge=1, le=1000, description="epochs without a better validation loss before it stops")
    halve_after: int = Field(6, ge=1, le=1000, description="epochs without a better validation loss per halving")
    weight_decay: float = Field(1e-3, ge=0, le=1, description="of the optimizer")
    weight_l2: float = Field(0.0, ge=0, le=10, description="penalty on the mean over cells of squared weights")
    output_l1: float = Field(1e-4, ge=0, le=10, description="penalty on the mean rate relative to the recorded one")

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if min(self.channels) < 1 or any(side % 2 == 0 for kernel in self.kernels for side in size_of(kernel)):
            raise ValueError("channels must be at least 1, kernels odd: they are chains of 3 x 3")
        return self


class _Chain(nn.Module):
    """3 x 3 convolutions one after the other, with dropout between them in training; otherwise the one they amount to."""

    def __init__(self, first: SpatiotemporalConv2d | SpatialConv2d, channels: int, kernel: Size, dropout: float) -> None:
        super().__init__()
        others = [SpatialConv2d(channels, channels, link) for link in _links(kernel)[1:]]
        self.links = nn.ModuleList([first, *others])
        self.dropout = nn.Dropout(dropout)

    @property
    def weight(self) -> Tensor:
        """The one kernel, whose correlation is that of the chain: the full convolution of all links' kernels."""
        first, *others = (link.weight for link in self.links)
        assert isinstance(first, Tensor)
        with torch.autocast(first.device.type, enabled=False):
            kernel = first.transpose(0, 1)  # what a link sums over comes second
            for link in others:
                assert isinstance(link, Tensor)
                kernel = nn.functional.conv2d(kernel, link.flip(2, 3), padding=[side - 1 for side in link.shape[2:]])
        return kernel.transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip, or maps, as the first link does."""
        if not self.training or not self.dropout.p:
            return (spatiotemporal if isinstance(self.links[0], SpatiotemporalConv2d) else spatial)(x, self.weight)
        x = self.links[0](x)
        batch = x.shape[:-3]
        x = x.flatten(0, -4)
        for link in self.links[1:]:
            x = link(self.dropout(x))
        return x.unflatten(0, batch)


class _LocalReadout(nn.Module):
    """A kernel for each cell, applied at the cell's own position."""

    position: Tensor

    def __init__(self, cells: int, channels: int, kernel: Size) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(cells, channels, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.register_buffer("position", torch.zeros(cells, 2, dtype=torch.int64))

    def dense(self, shape: tuple[int, int]) -> Tensor:
        """Weights (cell, channel, y, x) on whole maps, most of them zero."""
        rows, columns = (size - side for size, side in zip(shape, self.weight.shape[2:], strict=True))
        around = [(x, columns - x, y, rows - y) for y, x in self.position.tolist()]
        return torch.stack([nn.functional.pad(w, pad) for w, pad in zip(self.weight, around, strict=True)])

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channel, y, x) to (n, cell)."""
        return nn.functional.linear(maps.flatten(1), self.dense((maps.shape[2], maps.shape[3])).flatten(1))


class Stacked(Network):
    """chain -> batch norm -> noise -> ReLU -> chain -> batch norm -> noise -> ReLU -> local readout -> batch norm -> softplus."""

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        super().__init__(cells)
        (channels_1, channels_2), kernels = config.channels, [size_of(kernel) for kernel in config.kernels]
        check_fit(kernels, geometry.shape)
        shape = geometry.shape
        for kernel in kernels:
            shape = valid(shape, kernel)
        first = SpatiotemporalConv2d(channels_1, geometry.frames(config.history), _links(kernels[0])[0])
        momentum = config.batch_norm_momentum
        self.first_layer = _Chain(first, channels_1, kernels[0], config.dropout)
        self.norm_1 = BatchNorm((channels_1,), momentum, positive=True)
        self.noise = GaussianNoise(config.noise)
        self.second_layer = _Chain(
            SpatialConv2d(channels_1, channels_2, _links(kernels[1])[0]), channels_2, kernels[1], config.dropout
        )
        self.norm_2 = BatchNorm((channels_2,), momentum, positive=True)
        self.readout = _LocalReadout(cells, channels_2, kernels[2])
        self.norm_3 = BatchNorm((cells,), momentum, positive=True)
        self.last_position = torch.tensor(shape) - 1
        self.margin = torch.tensor([sum(kernel[axis] // 2 for kernel in kernels) for axis in (0, 1)])
        self.weight_dims = {
            "rate_scale": ("cell",),
            "readout.weight": ("cell", "channel_2", "kernel_3_y", "kernel_3_x"),
            "readout.position": ("cell", "axis"),
            **_chain_dims("first_layer", kernels[0], ("lag", "channel")),
            **_chain_dims("second_layer", kernels[1], ("channel", "channel_2")),
        } | norm_dims({"norm_1": ("channel",), "norm_2": ("channel_2",), "norm_3": ("cell",)})

    def place(self, centres: Tensor) -> None:
        """Read each cell out where its receptive field's centre (cell, 2), in pixels, lies in the map, or nearest to it."""
        position = (centres.round().long() - self.margin).clamp(min=0)
        self.readout.position.copy_(torch.minimum(position, self.last_position))

    def upper(self, drive: Tensor) -> Tensor:
        """Map the first chain's output (n, channel, y, x) to firing rates (n, cell) in Hz."""
        hidden = nn.functional.relu(self.noise(self.norm_1(drive)))
        hidden = nn.functional.relu(self.noise(self.norm_2(self.second_layer(hidden))))
        return self.rate_scale * nn.functional.softplus(self.norm_3(self.readout(hidden)))

    def rectifiers(self, shape: tuple[int, int]) -> Rectifiers:
        """Return the layers above the first with chain and batch norms folded in."""
        kernel = self.second_layer.weight
        readout = self.readout.dense(valid(shape, (kernel.shape[2], kernel.shape[3])))
        return folded(self.norm_1, (kernel, self.norm_2), readout, self.norm_3, self.rate_scale, shape)

    def channel_gain(self) -> Tensor:
        """The first batch norm's ``|gamma| / sigma``."""
        return self.norm_1.gain().detach()


def interneurons(config: Config) -> int:
    """Number of first-layer channels that stand between stimulus and cells."""
    return config.channels[0]


def build(config: Config, geometry: Geometry, cells: int) -> Stacked:
    """Return an untrained stacked network."""
    return Stacked(config, geometry, cells)


def _links(kernel: Size) -> list[Size]:
    """Sizes of the convolutions that amount to a kernel: 3 x 3, but 1 along an axis that the kernel is through with."""
    height, width = (side // 2 for side in kernel)
    return [(3 if i < height else 1, 3 if i < width else 1) for i in range(max(1, height, width))]


def _chain_dims(name: str, kernel: Size, dims: tuple[str, str]) -> dict[str, tuple[str, ...]]:
    into, out = dims
    links = {f"{name}.links.0.weight": (out, into, "link_y", "link_x")}
    later = {f"{name}.links.{i}.weight": (out, f"{out}_before", "link_y", "link_x") for i in range(1, len(_links(kernel)))}
    return {**links, **later}
