"""Firing rates of a trained network for whole movies, in chunks of bounded memory."""

import numpy as np
import torch
from numpy.typing import NDArray

from retmech.models.network import Network

CHUNK = 512  # responses at a time


def predict(network: Network, contrast: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rate (time - history + 1, cell) in Hz for a movie of contrast (time, y, x)."""
    movie = torch.from_numpy(contrast)
    n_responses = len(movie) - network.history + 1
    with torch.inference_mode():
        rates = [
            network(movie[None, start : min(start + CHUNK, n_responses) + network.history - 1])[0]
            for start in range(0, n_responses, CHUNK)
        ]
    rate: NDArray[np.float32] = torch.cat(rates).numpy()
    return rate


def after_grey(contrast: NDArray[np.float32], history: int) -> NDArray[np.float32]:
    """Put grey frames before a movie (time, y, x), so that there is a response to its every frame."""
    grey = np.zeros((history - 1, *contrast.shape[1:]), np.float32)
    return np.concatenate([grey, contrast])
