"""Random numbers: an independent stream for each seed and each purpose, so that nothing is drawn alike by accident."""

import hashlib

import numpy as np


def stream(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return the generator of a purpose, the same at every call.

    Parameters
    ----------
    seed
        What the user sets; 0 for what is never drawn in another way.
    purpose
        What is drawn, a literal that stands in one place of the package.
    index
        Which of several draws for it: a number, a name.

    Notes
    -----
    Seeds that are lists do not tell purposes apart: NumPy seeds ``[1, 10]``, ``[1, 10, 0]`` and ``[1, 10, 0, 0]`` alike. Keys of
    ``SeedSequence.spawn`` do, and here they are a digest of what is drawn.
    """
    digest = hashlib.sha256("\0".join([purpose, *map(str, index)]).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=np.frombuffer(digest, "<u4").tolist()))


def derived_seed(seed: int, purpose: str, *index: int | str) -> int:
    """Return the seed of a purpose for torch, from its stream."""
    return random_state(stream(seed, purpose, *index))


def random_state(rng: np.random.Generator) -> int:
    """Draw a seed for scikit-learn, or for torch, whose generator on CPUs takes 32 bits."""
    return int(rng.integers(2**32))
