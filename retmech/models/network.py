"""What all architectures have in common: a first layer that sees time, and purely spatial layers above it."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from retmech.errors import ConfigError
from retmech.models.normalization import BatchNorm
from retmech.models.rectifiers import Rectifiers
from retmech.settings import Kernel

CHUNK = 512  # responses at a time


class Network(nn.Module):
    """Clips of contrast in, firing rates out; split where attribution needs it.

    Attributes
    ----------
    first_layer
        Maps a clip to its drive, and has the ``weight`` (channel, history, kernel_y, kernel_x) of its filters.
    weight_dims
        Names of the dimensions of the parameters and buffers, for storage. What has the dimension ``cell`` belongs to single
        cells; all else is shared by them.
    spike_lags
        Bins of each cell's own past spikes that it needs beside the stimulus.
    """

    first_layer: nn.Module
    rate_scale: Tensor
    weight_dims: Mapping[str, tuple[str, ...]]
    spike_lags = 0

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.register_buffer("rate_scale", torch.ones(cells))

    @property
    def filters(self) -> Tensor:
        """The first layer's filters (channel, history, kernel_y, kernel_x), oldest frame first."""
        weight = self.first_layer.weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def history(self) -> int:
        """Frames of stimulus history behind each response."""
        return self.filters.shape[1]

    def weights(self) -> Iterator[Tensor]:
        """Yield the weights of convolutions and readouts: what is penalized; scales and biases are not."""
        for module in self.modules():
            if not isinstance(module, BatchNorm):
                yield from (p for name, p in module.named_parameters(recurse=False) if name == "weight")

    def place(self, centres: Tensor) -> None:
        """Learn where the cells' receptive fields are, (cell, 2) as row and column; only some architectures ask for it."""

    def channel_gain(self) -> Tensor:
        """Mean gain (channel,) from the first layer's output to what its units rectify: its sign says which way they act."""
        return torch.ones(len(self.filters))

    def upper(self, drive: Tensor) -> Tensor:
        """Map the first layer's output (n, channel, y, x) to firing rates (n, cell) in Hz."""
        raise TypeError(f"{type(self).__name__} must define the layers above its first")

    def rectifiers(self, shape: tuple[int, int]) -> Rectifiers | None:
        """Return the layers above the first, whose maps have a shape (y, x), as rectifiers between affine maps.

        None where an architecture has other nonlinearities, or does not say: its attributions are then integrated numerically.
        """
        return None

    def forward(self, clip: Tensor, spikes: Tensor | None = None) -> Tensor:
        """Map clips of contrast (batch, time, y, x) to firing rates (batch, time - history + 1, cell) in Hz.

        ``spikes`` (batch, time, cell) are the counts in the bins of the clip, for architectures that need them.
        """
        drive: Tensor = self.first_layer(clip)
        rate: Tensor = self.upper(drive.flatten(0, 1))
        return rate.unflatten(0, drive.shape[:2])

    def drives(self, movie: Tensor) -> Iterator[Tensor]:
        """Yield the drive (n, channel, y, x) of a whole movie (time, y, x) in chunks of bounded memory."""
        n_responses = len(movie) - self.history + 1
        for start in range(0, n_responses, CHUNK):
            yield self.first_layer(movie[None, start : min(start + CHUNK, n_responses) + self.history - 1])[0]

    def predict(self, movie: Tensor) -> Tensor:
        """Return the rates (time - history + 1, cell) in Hz that a movie of contrast (time, y, x) alone predicts."""
        return torch.cat([self.upper(drive) for drive in self.drives(movie)])


def norm_dims(norms: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Name the dimensions of the parameters and statistics of batch norms, given those of what they normalize."""
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{norm}.{name}": dims for norm, dims in norms.items() for name in names}


def size_of(kernel: Kernel) -> tuple[int, int]:
    """Height and width of a kernel that is given by both, or by one number if it is square."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    return height, width


def valid(shape: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
    """Height and width of what a kernel leaves of a plane."""
    return shape[0] - kernel[0] + 1, shape[1] - kernel[1] + 1


def check_fit(kernels: Sequence[tuple[int, int]], shape: tuple[int, int]) -> None:
    """Refuse kernels that, one after the other, cover more than a frame.

    Raises
    ------
    ConfigError
        With what would fit.
    """
    covered = [1 + sum(kernel[axis] - 1 for kernel in kernels) for axis in (0, 1)]
    if covered[0] > shape[0] or covered[1] > shape[1]:
        sizes = ", ".join(f"{height} x {width}" for height, width in kernels)
        raise ConfigError(
            f"kernels of {sizes} pixels do not fit into frames of {shape[0]} x {shape[1]} pixels: one after the other they cover "
            f"{covered[0]} x {covered[1]}. A kernel may be [height, width], for example [1, 7] in frames of one row."
        )
