"""LN-LN: cells that pool rectified subunits with weights of one sign, e.g. bipolar cells.

The subunits of a kind have one filter, at every position (Freeman et al., eLife 2015; Maheswaranathan et al., PLoS Comput. Biol.
2018). What it cannot do is inhibit: a cell is driven by its subunits, never suppressed.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from retmech.geometry import Geometry
from retmech.models.convolution import SpatiotemporalConv2d
from retmech.models.network import Network, check_fit, norm_dims, size_of, valid
from retmech.models.normalization import BatchNorm
from retmech.models.rectifiers import Rectifiers, folded
from retmech.settings import Kernel, TrainSettings


class Config(TrainSettings):
    """Settings of the LN-LN model."""

    architecture: Literal["lnln"] = "lnln"
    subunits: int = Field(4, ge=1, le=1000, description="kinds of subunits, each with one filter")
    kernel: Kernel = Field(9, description="of the filters, pixels; [height, width] where they differ")
    batch_norm_momentum: float = Field(0.05, gt=0, le=1, description="weight of a batch in the running statistics")


class LNLN(Network):
    """``rate_k = scale_k softplus(norm(sum_i |w_ki| relu(norm(f_i * s))))``."""

    def __init__(self, config: Config, geometry: Geometry, cells: int) -> None:
        super().__init__(cells)
        kernel = size_of(config.kernel)
        check_fit([kernel], geometry.shape)
        shape = valid(geometry.shape, kernel)
        self.first_layer = SpatiotemporalConv2d(config.subunits, geometry.frames(config.history), kernel)
        self.norm_1 = BatchNorm((config.subunits,), config.batch_norm_momentum, positive=True)
        self.weight = nn.Parameter(torch.rand(cells, config.subunits, *shape) / (config.subunits * shape[0] * shape[1]))
        self.norm_2 = BatchNorm((cells,), config.batch_norm_momentum, positive=True)
        self.weight_dims = {
            "rate_scale": ("cell",),
            "first_layer.weight": ("channel", "lag", "kernel_y", "kernel_x"),
            "weight": ("cell", "channel", "unit_y", "unit_x"),
        } | norm_dims({"norm_1": ("channel",), "norm_2": ("cell",)})

    def upper(self, drive: Tensor) -> Tensor:
        """Map the subunits' drive (n, subunit, y, x) to firing rates (n, cell) in Hz."""
        subunits = nn.functional.relu(self.norm_1(drive))
        pooled = nn.functional.linear(subunits.flatten(1), self.weight.abs().flatten(1))
        return self.rate_scale * nn.functional.softplus(self.norm_2(pooled))

    def rectifiers(self, shape: tuple[int, int]) -> Rectifiers:
        """Return the subunits' rectification and their pooling with the batch norms folded in."""
        return folded(self.norm_1, None, self.weight.abs(), self.norm_2, self.rate_scale, shape)


def interneurons(config: Config) -> int:
    """Number of kinds of subunits between stimulus and cells."""
    return config.subunits


def build(config: Config, geometry: Geometry, cells: int) -> LNLN:
    """Return an untrained LN-LN model."""
    return LNLN(config, geometry, cells)
