"""The BN-CNN as it is usually written: windows of the movie are gathered, and torch's own layers do the rest."""

import torch
from torch import Tensor, nn

from retmech.models.architectures.bn_cnn import BNCNN, Config


class PlainBNCNN(nn.Module):
    """The network of `retmech.models.architectures.bn_cnn` with batch norm per unit, in torch's own layers.

    It maps windows (n, history, y, x) to rates (n, cell), and has the weights of the network that it is made from.
    """

    def __init__(self, network: BNCNN, config: Config) -> None:
        super().__init__()
        (channels_1, channels_2), (kernel_1, kernel_2) = config.channels, config.kernels
        self.conv_1 = nn.Conv2d(network.history, channels_1, kernel_1, bias=False)
        self.norm_1 = nn.BatchNorm1d(network.norm_1.weight.numel(), eps=1e-3, momentum=config.batch_norm_momentum)
        self.conv_2 = nn.Conv2d(channels_1, channels_2, kernel_2, bias=False)
        self.norm_2 = nn.BatchNorm1d(network.norm_2.weight.numel(), eps=1e-3, momentum=config.batch_norm_momentum)
        self.dense = nn.Linear(network.dense.in_features, network.dense.out_features, bias=False)
        self.norm_3 = nn.BatchNorm1d(network.dense.out_features, eps=1e-3, momentum=config.batch_norm_momentum)
        self.noise = config.noise
        with torch.no_grad():
            self.conv_1.weight.copy_(network.first_layer.weight)
            self.conv_2.weight.copy_(network.second_layer.weight)
            self.dense.weight.copy_(network.dense.weight)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict the rates in units of each cell's mean rate."""
        hidden = self._hidden(self.norm_1, self.conv_1(windows))
        hidden = self._hidden(self.norm_2, self.conv_2(hidden))
        return nn.functional.softplus(self.norm_3(self.dense(hidden.flatten(1))))

    def _hidden(self, norm: nn.BatchNorm1d, maps: Tensor) -> Tensor:
        normalized: Tensor = norm(maps.flatten(1)).view_as(maps)
        if self.training and self.noise:
            normalized = normalized + self.noise * torch.randn_like(normalized)
        return nn.functional.relu(normalized)
