"""BN-CNN: the network of Tanaka et al. (NeurIPS 2019, arXiv 1912.06207) and Maheswaranathan et al. (Neuron 2023)."""

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from retmech.geometry import Geometry
from retmech.models.convolution import SpatialConv2d, SpatiotemporalConv2d
from retmech.models.network import Network, check_fit, norm_dims, size_of, valid
from retmech.models.normalization import BatchNorm, GaussianNoise
from retmech.models.rectifiers import Rectifiers, folded
from retmech.settings import Kernel, TrainSettings


class Config(TrainSettings):
    """Settings of the BN-CNN. The defaults are the published geometry."""

    architecture: Literal["bn_cnn"] = "bn_cnn"
    channels: list[int] = Field([8, 8], min_length=2, max_length=2, description="of layers 1 and 2")
    kernels: list[Kernel] = Field(
        [15, 11], min_length=2, max_length=2, description="of layers 1 and 2, pixels; [height, width] where they differ"
    )
    batch_norm: Literal["unit", "channel"] = Field("unit", description="what has its own mean, variance and affine")
    batch_norm_momentum: float = Field(0.05, gt=0, le=1, description="weight of a batch in the running statistics")
    noise: float = Field(0.05, ge=0, le=10, description="sd of the Gaussian noise before each ReLU while training")

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.channels) < 1:
            raise ValueError("channels must be at least 1")
        return self


class BNCNN(Network):
    """conv -> batch norm -> noise -> ReLU -> conv -> batch norm -> noise -> ReLU -> dense -> batch norm -> softplus.

    Only the first convolution sees time. Convolutions and dense layer have no bias: the batch norms after them have one.
    """

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        super().__init__(cells)
        kernel_1, kernel_2 = map(size_of, config.kernels)
        check_fit((kernel_1, kernel_2), geometry.shape)
        channels_1, channels_2 = config.channels
        shape_1 = valid(geometry.shape, kernel_1)
        shape_2 = valid(shape_1, kernel_2)
        per_unit = config.batch_norm == "unit"
        momentum = config.batch_norm_momentum
        self.first_layer = SpatiotemporalConv2d(channels_1, geometry.frames(config.history), kernel_1)
        self.norm_1 = BatchNorm((channels_1, *shape_1) if per_unit else (channels_1,), momentum)
        self.noise = GaussianNoise(config.noise)
        self.second_layer = SpatialConv2d(channels_1, channels_2, kernel_2)
        self.norm_2 = BatchNorm((channels_2, *shape_2) if per_unit else (channels_2,), momentum)
        self.dense = nn.Linear(channels_2 * shape_2[0] * shape_2[1], cells, bias=False)
        self.norm_3 = BatchNorm((cells,), momentum)
        self.weight_dims = {
            "rate_scale": ("cell",),
            "first_layer.weight": ("channel", "lag", "kernel_y", "kernel_x"),
            "second_layer.weight": ("channel_2", "channel", "kernel_2_y", "kernel_2_x"),
            "dense.weight": ("cell", "unit_2"),
        } | norm_dims(
            {
                "norm_1": ("channel", "unit_y", "unit_x") if per_unit else ("channel",),
                "norm_2": ("channel_2", "unit_2_y", "unit_2_x") if per_unit else ("channel_2",),
                "norm_3": ("cell",),
            }
        )

    def channel_gain(self) -> Tensor:
        """Mean over each channel's units of the first batch norm's gamma / sigma."""
        gain = self.norm_1.gain().detach()
        return gain.view(len(gain), -1).mean(dim=1)

    def upper(self, drive: Tensor) -> Tensor:
        """Map the first convolution's output (n, channel, y, x) to firing rates (n, cell) in Hz."""
        hidden = nn.functional.relu(self.noise(self.norm_1(drive)))
        hidden = nn.functional.relu(self.noise(self.norm_2(self.second_layer(hidden))))
        return self.rate_scale * nn.functional.softplus(self.norm_3(self.dense(hidden.flatten(1))))

    def rectifiers(self, shape: tuple[int, int]) -> Rectifiers:
        """Return the layers above the first with their batch norms folded in."""
        return folded(
            self.norm_1, (self.second_layer.weight, self.norm_2), self.dense.weight, self.norm_3, self.rate_scale, shape
        )


def interneurons(config: Config) -> int:
    """Number of first-layer channels that stand between stimulus and cells."""
    return config.channels[0]


def build(config: Config, geometry: Geometry, cells: int) -> BNCNN:
    """Return an untrained BN-CNN."""
    return BNCNN(config, geometry, cells)
