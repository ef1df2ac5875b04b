"""The first layer: a convolution over space and stimulus history, for clips of consecutive frames."""

import math
from typing import Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

Backend = Literal["direct", "spectral"]


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
    """Compute what :func:`direct` does as a product in the Fourier domain of space and time.

    Each frame is transformed once, not once for every window that contains it. The circular correlation of period n equals
    the linear one at the valid lags if n is at least the clip's length, so time is padded to a length with a fast transform.
    """
    _, n_frames, height, width = clip.shape
    _, history, kernel_y, kernel_x = weight.shape
    size = (next_fast_len(n_frames, real=True), height, width)
    product = torch.fft.rfftn(clip, size, dim=(1, 2, 3))[:, None] * torch.fft.rfftn(weight, size, dim=(1, 2, 3)).conj()
    drive = torch.fft.irfftn(product, size, dim=(2, 3, 4))
    valid = drive[:, :, : n_frames - history + 1, : height - kernel_y + 1, : width - kernel_x + 1]
    return valid.transpose(1, 2)


class SpatiotemporalConv2d(nn.Module):
    """Convolution over space and history, without bias, from clips to one map per channel and response.

    Parameters
    ----------
    channels, history, kernel
        Number of filters, frames of history, and height and width of the filters in pixels.
    backend
        ``direct`` or ``spectral``; both are exact and share the weights.
    """

    def __init__(self, channels: int, history: int, kernel: tuple[int, int], backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(channels, history, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, clip: Tensor) -> Tensor:
        """Map a clip (batch, time, y, x) to the drive (batch, time - history + 1, channel, y', x')."""
        return (direct if self.backend == "direct" else spectral)(clip, self.weight)
