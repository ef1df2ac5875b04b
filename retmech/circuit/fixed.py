"""Reduced models with fixed weights: a strict LN-LN circuit of a few channels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from retmech.attribution.path import Attributor
from retmech.models.rectifiers import Rectifiers

FloatArray = NDArray[np.float64]
PIECE = 32  # responses that are attributed together


@dataclass(frozen=True)
class Fixed:
    """Mean effective weights of rectified units on the softplus's input.

    Attributes
    ----------
    weight : (cell, channel, y, x)
    baseline : (channel, y, x)
        What the units pass at zero contrast.
    current : (cell,)
        The softplus's input there.
    """

    rectifiers: Rectifiers
    weight: Tensor
    baseline: Tensor
    current: FloatArray

    @property
    def scale(self) -> FloatArray:
        """Scale of the softplus, (cell,) in Hz."""
        found: FloatArray = self.rectifiers.scale.numpy()
        return found

    def contribution(self, drive: Tensor) -> FloatArray:
        """What each channel adds to the softplus's input, (n, cell, channel), for the first layer's output."""
        change = self.rectifiers.first(drive.double()).relu() - self.baseline
        found: FloatArray = torch.einsum("ncyx,kcyx->nkc", change, self.weight).numpy()
        return found


def mean_weights(paths: Attributor, drives: Mapping[str, Tensor], grey: Tensor) -> Fixed:
    """Average the effective weights of the first rectifiers over some responses of all probes, each probe counting the same.

    Parameters
    ----------
    paths
        With the softplus's input as the target, the rectified side of the first layer, and paths straight in it: then the
        effective weight is that of what a unit passes, whether it passes anything or not.
    drives
        By probe, the first layer's output (n, channel, y, x) for some responses.
    grey : (1, channel, y, x)
        The same at zero contrast.
    """
    rectifiers = paths.rectifiers
    assert rectifiers is not None, "there is no other side of the first layer"
    means = [
        torch.stack([paths.integrate(part, grey)[0].weight.sum(dim=0) for part in drive.split(PIECE)]).sum(dim=0) / len(drive)
        for drive in drives.values()
    ]
    weight = torch.stack(means).mean(dim=0) / rectifiers.scale[:, None, None, None]
    first = rectifiers.first(grey.double())
    current: FloatArray = rectifiers.current(rectifiers.last(first).relu())[0].numpy()
    return Fixed(rectifiers, weight, first.relu()[0], current)


@dataclass(frozen=True)
class Output:
    """Offset and gain of the softplus's input, (cell,) each: one gain for all weights on a cell."""

    offset: FloatArray
    gain: FloatArray

    def rate(self, scale: FloatArray, contribution: FloatArray) -> FloatArray:
        """Rate (..., cell) in Hz of the summed contributions (..., cell) of the channels that are kept."""
        rate: FloatArray = scale * np.logaddexp(0, self.offset + self.gain * contribution)
        return rate


def fit_output(scale: FloatArray, contribution: FloatArray, response: FloatArray, start: FloatArray) -> Output:
    """Fit offset and gain by least squares to the network's responses, to make up for what left-out channels add on average.

    A cell that does not respond, or that no channel acts on, keeps the network's own.

    Parameters
    ----------
    scale, start : (cell,)
        Of the network; its softplus's input at zero contrast.
    contribution, response : (n, cell)
    """
    found = np.stack([start, np.ones_like(start)], axis=1)
    for k in range(len(scale)):
        if contribution[:, k].any() and np.ptp(response[:, k]) > 0:
            found[k] = _fit(scale[k], contribution[:, k], response[:, k], found[k])
    return Output(found[:, 0], found[:, 1])


def _fit(scale: float, contribution: FloatArray, response: FloatArray, start: FloatArray) -> FloatArray:
    def residual(p: FloatArray) -> FloatArray:
        return np.asarray(scale * np.logaddexp(0, p[0] + p[1] * contribution) - response)

    fitted: FloatArray = least_squares(residual, start, bounds=((-np.inf, 0.0), (np.inf, np.inf)), max_nfev=100).x
    return fitted
