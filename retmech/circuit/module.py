"""A reduced circuit by itself: a few filters, rectifiers and weights. Needs nothing but PyTorch."""

import torch
from torch import Tensor, nn


class ReducedCircuit(nn.Module):
    """rate_k(t) = scale_k softplus(offset_k + sum_c,xy weight_kcxy relu(gain_cxy (filter_c * s)_xy(t) + bias_cxy)).

    Attributes
    ----------
    filters : (channel, history, kernel_y, kernel_x)
        Oldest frame first; correlated with the stimulus over the valid positions.
    gain, bias : (channel, y, x)
        Of the rectified units.
    weight : (cell, channel, y, x)
    offset : (cell,)
    scale : (cell,), Hz
    stimulus_mean, stimulus_std : ()
        What turns the intensities of the training movie into contrast.
    """

    filters: Tensor
    gain: Tensor
    bias: Tensor
    weight: Tensor
    offset: Tensor
    scale: Tensor
    stimulus_mean: Tensor
    stimulus_std: Tensor

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in type(self).__annotations__:
            self.register_buffer(name, tensors[name])

    def contrast(self, intensity: Tensor) -> Tensor:
        """Contrast of intensities in the unit of the training movie."""
        return (intensity - self.stimulus_mean) / self.stimulus_std

    def rate(self, drive: Tensor) -> Tensor:
        """Map the filters' output (clip, response, channel, y, x) to firing rates (clip, response, cell) in Hz."""
        hidden = nn.functional.relu(self.gain * drive + self.bias)
        current = torch.einsum("ntcyx,kcyx->ntk", hidden, self.weight) + self.offset
        return self.scale * nn.functional.softplus(current)

    def forward(self, contrast: Tensor) -> Tensor:
        """Map clips of contrast (clip, time, y, x) to firing rates (clip, time - history + 1, cell) in Hz."""
        return self.rate(nn.functional.conv3d(contrast[:, None], self.filters[:, None]).transpose(1, 2))
