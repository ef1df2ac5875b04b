"""Convolutions with two exact backends: over space and stimulus history, for clips of consecutive frames, and over space."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from retmech.models.fourier import correlate, operations, uncorrelate

Backend = Literal["direct", "spectral"]

# Measured on CPUs, training steps (docs/performance.md), in multiplications of the direct backend that take as long as
GATHERED = 26.0  # gathering one pixel of a window,
PRODUCT_OVER_TIME = 1.5  # one multiplication of the spectral backend with history,
PRODUCT_OVER_SPACE = 0.7  # and without.


def direct(clip: Tensor, weight: Tensor) -> Tensor:
    """Gather the windows of a clip and convolve each in space.

    Parameters
    ----------
    clip : (batch, time, y, x)
    weight : (channel, history, kernel_y, kernel_x), oldest frame first

    Returns
    -------
    drive : (batch, time - history + 1, channel, y - kernel_y + 1, x - kernel_x + 1)
        drive[t] = sum_j weight[j] * clip[t + j], a cross-correlation over the valid positions.
    """
    history = weight.shape[1]
    windows = clip.unfold(1, history, 1).permute(0, 1, 4, 2, 3)
    drive = nn.functional.conv2d(windows.flatten(0, 1), weight)
    return drive.unflatten(0, windows.shape[:2])


def spectral(clip: Tensor, weight: Tensor) -> Tensor:
    """Compute what :func:`direct` does as a product in the Fourier domain: a frame is transformed once, not once a window."""
    planes = clip.permute(3, 2, 0, 1).unsqueeze(2)
    return correlate(planes, weight.permute(3, 2, 0, 1).unsqueeze(3)).permute(3, 4, 2, 1, 0)


def spatial_spectral(maps: Tensor, weight: Tensor) -> Tensor:
    """Compute ``conv2d(maps, weight)`` in the Fourier domain: maps (n, channel, y, x), weight (out, channel, k_y, k_x)."""
    planes = maps.permute(3, 2, 1, 0).unsqueeze(-1)
    return correlate(planes, weight.permute(3, 2, 0, 1).unsqueeze(-1)).squeeze(-1).permute(3, 2, 1, 0)


def faster_backend(shape: tuple[int, int], kernel: tuple[int, int], channels: int, outs: int, history: int) -> Backend:
    """Choose by the number of operations per response and how long each kind takes.

    Parameters
    ----------
    shape, kernel
        Height and width of the planes and the kernels.
    channels, outs, history
        Channels of the planes, filters, and frames of history (1 for a convolution over space only).
    """
    out = (shape[0] - kernel[0] + 1) * (shape[1] - kernel[1] + 1)
    cost_direct: float = out * kernel[0] * kernel[1] * channels * outs * history
    cost_spectral = operations(shape, kernel, channels, outs, history)
    if history > 1:
        cost_direct += GATHERED * shape[0] * shape[1] * channels * history
        cost_spectral *= PRODUCT_OVER_TIME
    else:
        cost_spectral *= PRODUCT_OVER_SPACE
    return "spectral" if cost_spectral < cost_direct else "direct"


class SpatiotemporalConv2d(nn.Module):
    """Convolution over space and history, without bias, from clips to one map per channel and response.

    Parameters
    ----------
    channels, history, kernel
        Number of filters, frames of history, and height and width of the filters in pixels.
    backend
        ``direct`` or ``spectral``: both are exact and share the weights. The faster one if omitted.
    """

    def __init__(self, channels: int, history: int, kernel: tuple[int, int], backend: Backend | None = None) -> None:
        super().__init__()
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(channels, history, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, clip: Tensor) -> Tensor:
        """Map a clip (batch, time, y, x) to the drive (batch, time - history + 1, channel, y', x')."""
        return spatiotemporal(clip, self.weight, self.backend)


def spatiotemporal(clip: Tensor, weight: Tensor, backend: Backend | None = None) -> Tensor:
    """Apply the backend asked for, or the faster one, to a clip; shapes as in :func:`direct`."""
    channels, history, *kernel = weight.shape
    backend = backend or faster_backend(_pair(clip), (kernel[0], kernel[1]), 1, channels, history)
    return (direct if backend == "direct" else spectral)(clip, weight)


class SpatialConv2d(nn.Module):
    """Convolution over space without bias, (n, channel, y, x) to (n, out, y', x'), with the same choice of backends."""

    def __init__(self, channels: int, outs: int, kernel: tuple[int, int], backend: Backend | None = None) -> None:
        super().__init__()
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(outs, channels, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, maps: Tensor) -> Tensor:
        """Correlate maps (n, channel, y, x) with every kernel at the valid positions."""
        return spatial(maps, self.weight, self.backend)


def spatial(maps: Tensor, weight: Tensor, backend: Backend | None = None) -> Tensor:
    """Apply the backend asked for, or the faster one, to maps; shapes as in :func:`spatial_spectral`."""
    outs, channels, *kernel = weight.shape
    backend = backend or faster_backend(_pair(maps), (kernel[0], kernel[1]), channels, outs, 1)
    return nn.functional.conv2d(maps, weight) if backend == "direct" else spatial_spectral(maps, weight)


def spread(maps: Tensor, weight: Tensor) -> Tensor:
    """Apply the transpose of :func:`spatial`: (n, out, y', x') to (n, channel, y, x), as a gradient flows back."""
    outs, channels, *kernel = weight.shape
    shape = maps.shape[-2] + kernel[0] - 1, maps.shape[-1] + kernel[1] - 1
    if faster_backend(shape, (kernel[0], kernel[1]), channels, outs, 1) == "direct":
        return nn.functional.conv_transpose2d(maps, weight)
    planes = maps.permute(3, 2, 1, 0).contiguous()
    return uncorrelate(planes, weight.permute(3, 2, 0, 1)).permute(3, 2, 1, 0)


def _pair(planes: Tensor) -> tuple[int, int]:
    return planes.shape[-2], planes.shape[-1]
