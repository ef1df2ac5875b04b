"""What a simulated retina really does with a stimulus: each pathway's drive, and its part in every response."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retmech.insilico.retina import Retina

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Responses to one movie, and what they are made of.

    Attributes
    ----------
    rate : (time, cell)
        Hz.
    baseline_rate : (cell,)
        With the screen at grey, Hz.
    drive : (time, cell, pathway)
        Change of the pathway's filtered contrast from that at grey, before rectification, pooled by the cell.
    attribution : (time, cell, pathway)
        Part of the pathway in the change of the rate from that at grey, Hz.
    """

    rate: FloatArray
    baseline_rate: FloatArray
    drive: FloatArray
    attribution: FloatArray


def attributed(retina: Retina, contrast: NDArray[np.floating], grey: float, nodes: int) -> Truth:
    """Integrate each pathway's part along the straight path from grey to the stimulus.

    Pathways meet only in the sum that the output nonlinearity gets, u = sum_p w_p I_p - offset. Along the path
    s(a) = grey + a (s - grey), pathway p's part in r = gain log(1 + exp(u)) is int dr/du w_p dI_p. Between two nodes dr/du is
    taken as the change of r over that of u, so that the parts add up to the change of the rate however many nodes there are;
    what nodes are needed for is to share it out. For circuits without adaptation this is the attribution of the pathways'
    drives by integrated gradients, summed over their mosaics.

    Parameters
    ----------
    contrast : (time, y, x)
        Luminance over its mean, minus 1; before it the screen is grey.
    grey
        Contrast of the grey screen.
    nodes
        Steps along the path.
    """
    before = np.full((retina.lead, retina.size, retina.size), grey)
    movie = np.concatenate([before, contrast.astype(np.float64)])
    later = slice(len(before), None)
    inputs, drives = [], []
    for p in range(len(retina.pathways)):
        # Blur leaves less of grey at the field's border: the drive at grey is that of a uniform movie.
        drive, at_grey = retina.drive(movie, p), retina.drive(np.broadcast_to(np.float64(grey), movie.shape), p)
        change = drive - at_grey
        steps = np.linspace(0, 1, nodes + 1)
        inputs.append(np.stack([retina.pooled(retina.release(at_grey + a * change, p), p)[later] for a in steps]))
        drives.append(retina.pooled(change, p)[later])
    pooled = np.stack(inputs, axis=-1)  # (node, time, cell, pathway)
    current = retina.current(pooled)
    rate = retina.gain * np.logaddexp(0, current)
    gradient = _secant(rate, current, retina.gain)
    attribution = (gradient[..., None] * retina.weight * np.diff(pooled, axis=0)).sum(axis=0)
    return Truth(rate[-1], rate[0].mean(axis=0), np.stack(drives, axis=-1), attribution)


def _secant(rate: FloatArray, current: FloatArray, gain: FloatArray) -> FloatArray:
    """Change of the rate over that of the current between nodes; the derivative in the middle where nothing changes."""
    step = np.diff(current, axis=0)
    middle = (current[1:] + current[:-1]) / 2
    derivative = gain / (1 + np.exp(-middle))
    large = np.abs(step) > 1e-6
    return np.where(large, np.diff(rate, axis=0) / np.where(large, step, 1.0), derivative)
