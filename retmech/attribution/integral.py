"""What every way to integrate along a path returns."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Integral:
    """Effective weights of n paths, and how well they are known. All are float64 but the number of nodes.

    Attributes
    ----------
    difference : (n, channel, y, x)
        x - x0, the units' change from one end of the path to the other.
    weight : (n, cell, channel, y, x)
        G = int_0^1 dF_k/dx [x(a)] da, Hz per unit of x; the attribution is A = (x - x0) G.
    response, baseline_response : (n, cell)
        F_k at both ends, Hz.
    error : (n, cell)
        Completeness residual sum A - (F(x) - F(x0)), Hz: the error of the integral.
    nodes : (n,), int
        Quadrature nodes that were used; of the exact integral, the segments of the path.
    """

    difference: Tensor
    weight: Tensor
    response: Tensor
    baseline_response: Tensor
    error: Tensor
    nodes: Tensor

    @classmethod
    def of(cls, difference: Tensor, weight: Tensor, response: Tensor, baseline_response: Tensor, nodes: Tensor) -> Self:
        """Put together what was integrated; the baseline's response may be one for all, (1, cell)."""
        total = (difference[:, None] * weight).sum(dim=(2, 3, 4))
        return cls(
            difference, weight, response, baseline_response.expand_as(response), total - (response - baseline_response), nodes
        )
