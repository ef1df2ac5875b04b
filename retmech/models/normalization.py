"""Batch normalization whose statistics are those of the whole batch, also where processes share it; and noise."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from retmech.errors import RetmechError
from retmech.models.processes import gather, processes, sum_over_processes

EPS = 1e-3


class BatchNorm(nn.Module):
    """Subtract the batch's mean, divide by its standard deviation, scale and shift; per feature, channel or unit.

    It does what ``torch.nn.BatchNorm`` does, for inputs of any memory layout, on any device and over all processes of a
    training: a batch spread over processes has the statistics and the gradients of the whole.

    Parameters
    ----------
    shape
        Of what has its own statistics and affine: (channel,) or (channel, y, x).
    momentum
        Weight of a batch in the running statistics, which are used in evaluation mode.
    positive
        Scale by the weight's magnitude: the sign of a unit is then that of its filter.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shape: tuple[int, ...], momentum: float, positive: bool = False) -> None:
        super().__init__()
        self.momentum = momentum
        self.positive = positive
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def scale(self) -> Tensor:
        """Return the affine's scale, of the module's shape."""
        return self.weight.abs() if self.positive else self.weight

    def gain(self) -> Tensor:
        """Return what a unit's input is multiplied with in evaluation mode, of the module's shape."""
        return self.scale() / (self.running_var + EPS).sqrt()

    def shift(self) -> Tensor:
        """Return what is then added to it in evaluation mode, of the module's shape."""
        return self.bias - self.running_mean * self.gain()

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (n, channel) or (n, channel, y, x), in the precision of the parameters."""
        x = x.to(self.weight.dtype)
        if not self.training:
            return torch.addcmul(self._broadcast(self.shift(), x), x, self._broadcast(self.gain(), x))
        scale, bias = (self._broadcast(p, x) for p in (self.scale(), self.bias))
        y, mean, variance, count = _Normalize.apply(x, scale, bias)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            unbiased = variance * (count / (count - 1).clamp(min=1))
            self.running_mean.lerp_(mean.view_as(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.view_as(self.running_var), self.momentum)
        normalized: Tensor = y
        return normalized

    def _broadcast(self, parameter: Tensor, x: Tensor) -> Tensor:
        return parameter.reshape(1, *parameter.shape, *[1] * (x.ndim - 1 - parameter.ndim))


class _Normalize(Function):
    """(x - mean) / sqrt(variance + eps) * scale + bias, with mean and variance over the axes that scale does not have."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        """The normalized input; besides mean, variance and number of samples of the whole batch."""
        axes = [i for i, n in enumerate(scale.shape) if n == 1 and (i == 0 or x.shape[i] > 1)]
        mean, squares, count = _statistics(x, axes)
        if count < 2:
            raise RetmechError("a batch of one response has no variance to normalize by: raise clip_length or batch_clips.")
        centred = x - mean
        variance = squares / count
        inverse = (variance + EPS).rsqrt()
        ctx.save_for_backward(centred, inverse, scale, count)
        ctx.axes = axes
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(bias, centred, scale * inverse), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of input, scale and bias."""
        centred, inverse, scale, count = ctx.saved_tensors
        d_bias = gradient.sum(ctx.axes, keepdim=True)
        d_scale = (gradient * centred).sum(ctx.axes, keepdim=True) * inverse
        # Those of the whole batch for the input; of this process for the parameters, which are averaged later.
        total = sum_over_processes(torch.stack([d_bias, d_scale])) / count
        d_x = torch.addcmul(gradient - total[0], centred, -inverse * total[1])
        return d_x.mul_(scale * inverse), d_scale, d_bias


def _statistics(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, sum of squared deviations from it, and count, over axes and processes (Chan, Golub & LeVeque 1983)."""
    count = x.new_tensor(x.numel() / _kept(x, axes))
    mean = x.mean(axes, keepdim=True)
    squares = (x - mean).square_().sum(axes, keepdim=True)
    if processes() == 1:
        return mean, squares, count
    counts, means, all_squares = (gather(part) for part in (count, mean, squares))
    total = counts.sum()
    weights = (counts / total).view(-1, *[1] * mean.ndim)
    joint = (weights * means).sum(0)
    squares = (all_squares + weights * total * (means - joint).square()).sum(0)
    return joint, squares, total


def _kept(x: Tensor, axes: list[int]) -> int:
    kept = 1
    for axis, size in enumerate(x.shape):
        kept *= 1 if axis in axes else size
    return kept


class GaussianNoise(nn.Module):
    """Additive noise while training, none afterwards."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """Add noise of the layer's standard deviation in training mode."""
        if not self.training or not self.std:
            return x
        # In the order of x's memory: for any other layout torch draws one number at a time, six times as slow.
        order = sorted(range(x.ndim), key=x.stride, reverse=True)
        noise = torch.randn([x.shape[i] for i in order], dtype=x.dtype, device=x.device)
        back = sorted(range(x.ndim), key=order.__getitem__)
        return torch.add(x, noise.permute(back), alpha=self.std)
