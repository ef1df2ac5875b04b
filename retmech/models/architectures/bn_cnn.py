"""BN-CNN: the network of Tanaka et al. (NeurIPS 2019, arXiv 1912.06207) and Maheswaranathan et al. (Neuron 2023)."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from retmech.errors import ConfigError
from retmech.geometry import Geometry
from retmech.models.convolution import SpatiotemporalConv2d
from retmech.models.network import GaussianNoise, Network
from retmech.settings import TrainSettings


class Config(TrainSettings):
    """Settings of the BN-CNN. The defaults are the published geometry."""

    architecture: Literal["bn_cnn"] = "bn_cnn"
    channels: list[int] = Field([8, 8], min_length=2, max_length=2, description="of layers 1 and 2")
    kernels: list[int] = Field([15, 11], min_length=2, max_length=2, description="of layers 1 and 2, pixels")
    batch_norm: Literal["unit", "channel"] = Field("unit", description="what has its own mean, variance and affine")
    batch_norm_momentum: float = Field(0.05, gt=0, le=1, description="weight of a batch in the running statistics")
    noise: float = Field(0.05, ge=0, le=10, description="sd of the Gaussian noise before each ReLU while training")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(*self.channels, *self.kernels) < 1:
            raise ValueError("channels and kernels must be at least 1")
        return self


class BNCNN(Network):
    """conv -> batch norm -> noise -> ReLU -> conv -> batch norm -> noise -> ReLU -> dense -> batch norm -> softplus.

    Only the first convolution sees time. Convolutions and dense layer have no bias: the batch norms after them have one.
    """

    weight_dims: ClassVar[dict[str, tuple[str, ...]]] = {
        "rate_scale": ("cell",),
        "first_layer.weight": ("channel", "lag", "kernel_y", "kernel_x"),
        "second_layer.weight": ("channel_2", "channel", "kernel_2_y", "kernel_2_x"),
        "dense.weight": ("cell", "unit_2"),
    } | {
        f"norm_{i}.{name}": (dim,)
        for i, dim in (("1", "norm_unit_1"), ("2", "norm_unit_2"), ("3", "cell"))
        for name in ("weight", "bias", "running_mean", "running_var")
    }

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        kernel_1, kernel_2 = config.kernels
        channels_1, channels_2 = config.channels
        shape_1 = _valid(geometry.shape, kernel_1)
        shape_2 = _valid(shape_1, kernel_2)
        if min(shape_2) < 1:
            raise ConfigError(
                f"kernels = {config.kernels} do not fit into frames of {geometry.shape[0]} x {geometry.shape[1]} pixels: "
                f"together they may cover at most {min(geometry.shape) + 1} pixels."
            )
        history = geometry.frames(config.history)
        first = SpatiotemporalConv2d(channels_1, history, (kernel_1, kernel_1), "spectral")
        super().__init__(first, cells)
        self.norm_1 = _batch_norm(channels_1, shape_1, config)
        self.noise = GaussianNoise(config.noise)
        self.second_layer = nn.Conv2d(channels_1, channels_2, kernel_2, bias=False)
        self.norm_2 = _batch_norm(channels_2, shape_2, config)
        self.dense = nn.Linear(channels_2 * shape_2[0] * shape_2[1], cells, bias=False)
        self.norm_3 = nn.BatchNorm1d(cells, eps=1e-3, momentum=config.batch_norm_momentum)

    def channel_gain(self) -> Tensor:
        """Mean over each channel's units of the first batch norm's gamma / sigma."""
        variance = self.norm_1.get_buffer("running_var") + self.norm_1.eps
        gain = self.norm_1.weight / variance.sqrt()
        return gain.detach().view(self.first_layer.weight.shape[0], -1).mean(dim=1)

    def upper(self, drive: Tensor) -> Tensor:
        """Map the first convolution's output (n, channel, y, x) to firing rates (n, cell) in Hz."""
        hidden = nn.functional.relu(self.noise(_normalize(self.norm_1, drive)))
        hidden = nn.functional.relu(self.noise(_normalize(self.norm_2, self.second_layer(hidden))))
        return self.rate_scale * nn.functional.softplus(self.norm_3(self.dense(hidden.flatten(1))))


def interneurons(config: Config) -> int:
    """Number of first-layer channels that stand between stimulus and cells."""
    return config.channels[0]


def build(config: Config, geometry: Geometry, cells: int) -> BNCNN:
    """Return an untrained BN-CNN."""
    return BNCNN(config, geometry, cells)


def _valid(shape: tuple[int, int], kernel: int) -> tuple[int, int]:
    return shape[0] - kernel + 1, shape[1] - kernel + 1


def _batch_norm(channels: int, shape: tuple[int, int], config: Config) -> nn.BatchNorm1d | nn.BatchNorm2d:
    if config.batch_norm == "channel":
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=config.batch_norm_momentum)
    return nn.BatchNorm1d(channels * shape[0] * shape[1], eps=1e-3, momentum=config.batch_norm_momentum)


def _normalize(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Apply a batch norm per channel, or per unit: the latter sees every unit as a feature of its own."""
    normalized: Tensor = norm(x) if isinstance(norm, nn.BatchNorm2d) else norm(x.flatten(1)).view_as(x)
    return normalized
