"""The path integral of any network by quadrature, refined for each path by itself until it is complete."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from torch import Tensor

from retmech.attribution.integral import Integral
from retmech.settings import Rule

Upper = Callable[[Tensor], Tensor]  # (n, channel, y, x) -> (n, cell), Hz

ROWS = 1024  # points of paths that are evaluated together

Nodes = tuple[NDArray[np.float64], NDArray[np.float64]]


def rule_nodes(rule: Rule, nodes: int) -> Nodes:
    """Positions in [0, 1] and weights, summing to 1, of a rule.

    ``right`` and ``left`` take the ends of ``nodes - 1`` intervals between ``nodes`` points; ``right`` with 10 points is the
    published code's rule. ``exact`` stands for Gauss-Legendre where there is no closed form.
    """
    ends = np.linspace(0, 1, nodes)
    inner = np.full(max(nodes - 1, 0), 1 / max(nodes - 1, 1))
    if rule == "right":
        return ends[1:], inner
    if rule == "left":
        return ends[:-1], inner
    if rule == "trapezoid":
        return ends, (np.append(inner, 0) + np.append(0, inner)) / 2
    if rule == "midpoint":
        return (np.arange(nodes) + 0.5) / nodes, np.full(nodes, 1 / nodes)
    points, weights = leggauss(nodes)
    return (points + 1) / 2, weights / 2


def integrate(
    upper: Upper, values: Tensor, baseline: Tensor, rule: Rule, nodes: int, max_nodes: int, tolerance: float
) -> Integral:
    """Integrate the gradient along straight paths.

    The number of nodes is doubled, for each path by itself, until the completeness residual of all its cells is within the
    tolerance or ``max_nodes`` is reached. Where the ends of a path are equal, G is the gradient there.

    Parameters
    ----------
    upper
        The layers above, in evaluation mode; evaluated in the values' precision and on their device. Sums are in float64.
    values, baseline : (n, channel, y, x), (1 or n, channel, y, x)
        Both ends of the paths.
    tolerance
        Hz.
    nodes, max_nodes
        Nodes to begin with, and where doubling stops.
    """
    difference = values - baseline
    with torch.no_grad():
        response, base = (torch.cat([upper(part) for part in x.split(ROWS)]).double() for x in (values, baseline))
    weight = torch.zeros(len(values), response.shape[1], *values.shape[1:], dtype=torch.float64, device=values.device)
    used = torch.zeros(len(values), dtype=torch.int64, device=values.device)
    waiting = torch.arange(len(values), device=values.device)
    while len(waiting):
        start = baseline if len(baseline) == 1 else baseline[waiting]
        weight[waiting] = _quadrature(upper, difference[waiting], start, rule_nodes(rule, nodes))
        used[waiting] = nodes
        if 2 * nodes > max_nodes:
            break
        total = torch.einsum("ncyx,nkcyx->nk", difference[waiting].double(), weight[waiting])
        error = total - (response - base)[waiting]
        waiting = waiting[(error.abs() > tolerance).any(dim=1)]
        nodes *= 2
    found = (difference.double(), weight, response, base, used)
    return Integral.of(*(part.cpu() for part in found))


def _quadrature(upper: Upper, difference: Tensor, baseline: Tensor, nodes: Nodes) -> Tensor:
    """Weighted sum of gradients at the nodes, (n, cell, channel, y, x), in pieces of bounded size."""
    position, share = (torch.from_numpy(part).to(difference.device) for part in nodes)
    paths = max(1, ROWS // len(position))
    starts = [baseline] * -(-len(difference) // paths) if len(baseline) == 1 else baseline.split(paths)
    parts = []
    for part, start in zip(difference.split(paths), starts, strict=True):
        total = torch.zeros((), dtype=torch.float64, device=difference.device)
        for a, w in zip(position.split(ROWS), share.split(ROWS), strict=True):
            total = total + _weighted_gradients(upper, part, start, a, w)
        parts.append(total)
    return torch.cat(parts)


def _weighted_gradients(upper: Upper, difference: Tensor, baseline: Tensor, position: Tensor, share: Tensor) -> Tensor:
    """Sum over nodes of share * dF_k/dx, (n, cell, channel, y, x), for all cells from one forward pass."""
    along = position.to(difference.dtype)[None, :, None, None, None]
    points = (baseline[:, None] + along * difference[:, None]).flatten(0, 1)
    gradients = (g.unflatten(0, (len(difference), len(position))).double() for g in cell_gradients(upper, points))
    return torch.stack([torch.einsum("j,njcyx->ncyx", share, g) for g in gradients], dim=1)


def cell_gradients(upper: Upper, points: Tensor) -> list[Tensor]:
    """Gradient of each cell's response at many points (n, channel, y, x), from one forward pass."""
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        response = upper(points)
        n_cells = response.shape[1]
        return [torch.autograd.grad(response[:, k].sum(), points, retain_graph=k + 1 < n_cells)[0] for k in range(n_cells)]
