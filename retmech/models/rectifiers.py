"""The layers above the first as rectifiers between affine maps, for the architectures that are nothing else."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from retmech.models.convolution import spatial, spread
from retmech.models.normalization import BatchNorm
from retmech.settings import Target


@dataclass(frozen=True)
class Second:
    """A second layer of rectifiers, relu(gain (kernel * h) + bias), where h is what the first pass.

    Attributes
    ----------
    kernel : (channel_2, channel, kernel_y, kernel_x)
    gain, bias : (channel_2, y_2, x_2)
    """

    kernel: Tensor
    gain: Tensor
    bias: Tensor

    def __call__(self, hidden: Tensor) -> Tensor:
        """Input (n, channel_2, y_2, x_2) of the rectifiers for what the first pass, (n, channel, y, x)."""
        return self.gain * spatial(hidden, self.kernel) + self.bias

    def back(self, gradient: Tensor) -> Tensor:
        """Gradient (n, channel, y, x) by what the first pass, given that by the rectifiers' input."""
        return spread(self.gain * gradient, self.kernel)


@dataclass(frozen=True)
class Rectifiers:
    """rate_k = scale_k softplus(readout_k . h + offset_k), where h is what the last of one or two layers of rectifiers passes.

    All tensors are float64, on the CPU: what is computed from them is exact to that precision.

    Attributes
    ----------
    gain, bias : (channel, y, x)
        Of the first rectifiers, relu(gain z + bias), whose z is the first layer's output.
    second
        The second rectifiers, if there are any.
    readout : (cell, channel, y, x)
        Weights of what the last rectifiers pass.
    offset, scale : (cell,)
    """

    gain: Tensor
    bias: Tensor
    second: Second | None
    readout: Tensor
    offset: Tensor
    scale: Tensor

    def first(self, drive: Tensor) -> Tensor:
        """Input of the first rectifiers for the first layer's output (n, channel, y, x)."""
        return self.gain * drive + self.bias

    def last(self, first: Tensor) -> Tensor:
        """Input of the last rectifiers, given that of the first."""
        return first if self.second is None else self.second(first.relu())

    def current(self, passed: Tensor) -> Tensor:
        """Input (n, cell) of the softplus, given what the last rectifiers pass."""
        return passed.flatten(1) @ self.readout.flatten(1).T + self.offset

    def output(self, current: Tensor, target: Target) -> Tensor:
        """Rate (n, cell) in Hz, given the softplus's input; or, as another target, that input times the same scale."""
        return self.scale * (current if target == "input" else softplus(current, threshold=100.0))

    def response(self, last: Tensor, target: Target = "rate") -> Tensor:
        """What is attributed, given the last rectifiers' input."""
        return self.output(self.current(last.relu()), target)

    def output_chord(self, passed: Tensor, start: Tensor, target: Target) -> Tensor:
        """Slope (n, cell), Hz, of the output nonlinearity's chord between what the last rectifiers pass at two ends of a path."""
        end, begin = self.current(passed), self.current(start)
        slope = self.scale * (torch.ones_like(end) if target == "input" else end.sigmoid())
        return quotient(self.output(end, target) - self.output(begin, target), end - begin, slope)


def quotient(change: Tensor, over: Tensor, otherwise: Tensor) -> Tensor:
    """Divide, with another value where the divisor is zero."""
    return torch.where(over != 0, change / torch.where(over != 0, over, 1.0), otherwise.to(change))


def folded(
    norm_1: BatchNorm,
    second: tuple[Tensor, BatchNorm] | None,
    readout: Tensor,
    norm_out: BatchNorm,
    rate_scale: Tensor,
    shape: tuple[int, int],
) -> Rectifiers:
    """Fold the batch norms, in evaluation mode, into the layers that they stand between.

    Parameters
    ----------
    second
        Kernel (channel_2, channel, kernel_y, kernel_x) and batch norm of the second layer.
    readout : (cell, channel, y, x) or (cell, unit)
    shape
        Height and width of the first layer's maps.
    """
    layer, places = None, shape
    if second is not None:
        kernel, norm_2 = second
        places = shape[0] - kernel.shape[2] + 1, shape[1] - kernel.shape[3] + 1
        layer = Second(_exact(kernel), _expand(norm_2.gain(), places), _expand(norm_2.shift(), places))
    gain, scale = _exact(norm_out.gain()), _exact(rate_scale)
    weights = gain[:, None] * _exact(readout).flatten(1)
    return Rectifiers(
        gain=_expand(norm_1.gain(), shape),
        bias=_expand(norm_1.shift(), shape),
        second=layer,
        readout=weights.unflatten(1, (-1, *places)),
        offset=_exact(norm_out.shift()),
        scale=scale,
    )


def _exact(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float64)


def _expand(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Spread values of channels over their units: (channel,) or (channel, y, x) to (channel, y, x)."""
    values = _exact(values)
    return values[:, None, None].expand(-1, *shape).contiguous() if values.ndim == 1 else values
