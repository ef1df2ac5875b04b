"""Other answers to the question what a channel contributes, to be held beside the path integral.

All return (n, cell, channel) in Hz: the sum over a channel's units, or the effect of the channel as a whole.
"""

import torch
from torch import Tensor

from retmech.attribution.drives import Drive
from retmech.attribution.path import Attributor
from retmech.attribution.quadrature import cell_gradients
from retmech.models.rectifiers import quotient


def gradient(attributor: Attributor, drive: Drive, baseline: Drive) -> Tensor:
    """Gradient times activation: (z - z0) dF/dz at the stimulus, which knows nothing of the path to it."""
    gradients = torch.stack(cell_gradients(attributor.upper, drive), dim=1)
    return torch.einsum("ncyx,nkcyx->nkc", (drive - baseline).double(), gradients.double())


def ablation(attributor: Attributor, drive: Drive, baseline: Drive) -> Tensor:
    """What is lost when a channel alone is set to its baseline: F(z) - F(z with z_c = z0_c)."""
    alone = torch.eye(drive.shape[1], dtype=torch.bool)
    with torch.no_grad():
        lost = attributor.upper(drive)[:, None] - without(attributor, drive, baseline, alone)
    return lost.double().transpose(1, 2)


def without(attributor: Attributor, drive: Drive, baseline: Drive, removed: Tensor) -> Tensor:
    """Responses (n, choice, cell) with some channels, (choice, channel), held at their baseline."""
    with torch.no_grad():
        held = [attributor.upper(torch.where(off[None, :, None, None], baseline, drive)) for off in removed.to(drive.device)]
    return torch.stack(held, dim=1)


def rescale(attributor: Attributor, drive: Drive, baseline: Drive) -> Tensor:
    """DeepLIFT's rescale rule (Shrikumar et al., ICML 2017): each nonlinearity's slope is that of its chord between both ends.

    Defined for networks of rectifiers only.
    """
    rectifiers = attributor.rectifiers
    assert rectifiers is not None
    first, first_0 = attributor.first_inputs(drive, baseline)
    last, last_0 = rectifiers.last(first), rectifiers.last(first_0)
    slope = rectifiers.output_chord(last.relu(), last_0.relu(), attributor.settings.target)
    multiplier = slope[:, :, None, None, None] * rectifiers.readout * chord(last, last_0)[:, None]
    if rectifiers.second is not None:
        back = rectifiers.second.back(multiplier.flatten(0, 1)).unflatten(0, multiplier.shape[:2])
        multiplier = back * chord(first, first_0)[:, None]
    return torch.einsum("ncyx,nkcyx->nkc", first - first_0, multiplier)


def chord(end: Tensor, start: Tensor) -> Tensor:
    """Slope of the rectifier's chord between two inputs; its derivative where they are equal."""
    return quotient(end.relu() - start.relu(), end - start, (end > 0).to(end))
