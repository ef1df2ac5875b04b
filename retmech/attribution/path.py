"""Integrated gradients of firing rates with respect to the first layer, along a straight path in the stimulus.

The first layer is affine in the stimulus, so a straight path from a baseline stimulus to a stimulus is a straight path in the
layer's output too: the layer is evaluated at the two ends only, and the layers above it are walked along the path, once for
all cells (Tanaka et al., NeurIPS 2019, section 2; Sundararajan et al., ICML 2017).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

Upper = Callable[[Tensor], Tensor]  # (n, channel, y, x) -> (n, cell)

ROWS = 1024  # points of paths that are evaluated together


@dataclass(frozen=True)
class PathIntegral:
    """Effective weights and how well they are known.

    Attributes
    ----------
    weight : (n, cell, channel, y, x), float64
        G = int_0^1 dF_k/dz [z0 + a (z - z0)] da, Hz per unit of z.
    rate, baseline_rate : (n, cell), (cell,), float64
        F_k at both ends, Hz.
    error : (n, cell), float64
        Completeness residual sum (z - z0) G - (F(z) - F(z0)), Hz: the error of the quadrature.
    nodes : (n,), int
        Quadrature nodes that were used.
    """

    weight: Tensor
    rate: Tensor
    baseline_rate: Tensor
    error: Tensor
    nodes: Tensor


def integrate(upper: Upper, drive: Tensor, baseline: Tensor, tolerance: float, nodes: int, max_nodes: int) -> PathIntegral:
    """Integrate the gradient from a baseline to each of many points with Gauss-Legendre nodes.

    The number of nodes is doubled, for each point by itself, until the completeness residual of all its cells is within the
    tolerance or ``max_nodes`` is reached. Where a point equals the baseline, G is the gradient there.

    Parameters
    ----------
    upper
        The layers above, in evaluation mode.
    drive : (n, channel, y, x)
        Output z of the first layer.
    baseline : (channel, y, x)
        Its output z0 for the baseline stimulus.
    tolerance
        Hz.
    nodes, max_nodes
        Nodes to begin with, and where doubling stops.
    """
    difference = drive - baseline
    with torch.no_grad():
        rate = torch.cat([upper(part) for part in drive.split(ROWS)]).double()
        baseline_rate = upper(baseline[None])[0].double()
    target = rate - baseline_rate
    weight = torch.zeros(len(drive), rate.shape[1], *drive.shape[1:], dtype=torch.float64)
    error = torch.zeros_like(rate)
    used = torch.zeros(len(drive), dtype=torch.int32)
    waiting = torch.arange(len(drive))
    while len(waiting):
        weight[waiting] = _quadrature(upper, difference[waiting], baseline, nodes)
        total = (difference[waiting, None].double() * weight[waiting]).sum(dim=(2, 3, 4))
        error[waiting] = total - target[waiting]
        used[waiting] = nodes
        if 2 * nodes > max_nodes:
            break
        waiting = waiting[(error[waiting].abs() > tolerance).any(dim=1)]
        nodes *= 2
    return PathIntegral(weight, rate, baseline_rate, error, used)


def _quadrature(upper: Upper, difference: Tensor, baseline: Tensor, nodes: int) -> Tensor:
    """Weighted sum of gradients at the nodes of [0, 1] for paths (n, channel, y, x), in pieces of bounded size."""
    points, weights = leggauss(nodes)
    position = torch.from_numpy((points + 1) / 2)
    share = torch.from_numpy(weights / 2)
    paths = max(1, ROWS // nodes)
    parts = []
    for part in difference.split(paths):
        total = torch.zeros(())
        for a, w in zip(position.split(ROWS), share.split(ROWS), strict=True):
            total = total + _weighted_gradients(upper, part, baseline, a, w)
        parts.append(total)
    return torch.cat(parts)


def _weighted_gradients(upper: Upper, difference: Tensor, baseline: Tensor, position: Tensor, share: Tensor) -> Tensor:
    """Sum over nodes of share * dF_k/dz, (n, cell, channel, y, x), for all cells from one forward pass."""
    along = position.to(difference.dtype)[None, :, None, None, None]
    z = (baseline + along * difference[:, None]).flatten(0, 1).requires_grad_()
    with torch.enable_grad():
        rate = upper(z)
        gradients = [
            torch.autograd.grad(rate[:, k].sum(), z, retain_graph=k + 1 < rate.shape[1])[0] for k in range(rate.shape[1])
        ]
    summed = [torch.einsum("j,njcyx->ncyx", share, g.unflatten(0, (len(difference), len(position))).double()) for g in gradients]
    return torch.stack(summed, dim=1)
