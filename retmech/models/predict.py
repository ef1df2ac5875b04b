"""Firing rates of a trained network for whole movies."""

import numpy as np
import torch
from numpy.typing import NDArray

from retmech.models.network import Network


def predict(network: Network, contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rate (time - history + 1, cell) in Hz for a movie of contrast (time, y, x)."""
    with torch.inference_mode():
        rate: NDArray[np.float32] = network.predict(torch.from_numpy(contrast)).numpy()
    return rate


def after_grey(contrast: NDArray[np.float32], history: int) -> NDArray[np.float32]:
    """Put grey frames before a movie (time, y, x), so that there is a response to its every frame."""
    grey = np.zeros((history - 1, *contrast.shape[1:]), np.float32)
    return np.concatenate([grey, contrast])
