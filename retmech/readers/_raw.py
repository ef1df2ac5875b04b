"""What every reader returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RawPart:
    """A movie and the responses to it. Responses may have more or fewer bins than the movie has frames."""

    stimulus: NDArray[np.generic]  # (time, y, x), uint8 or float32
    spike_count: NDArray[np.int32]  # (cell, time)
    rate: NDArray[np.float32]  # (cell, time), Hz


@dataclass(frozen=True)
class RawRecording:
    """One stimulus class of one session, as it stands in the file: not yet cut, aligned or normalized."""

    frame_rate: float  # Hz
    cells: list[str]
    train: RawPart
    test: RawPart
    trial_rate: NDArray[np.float32]  # (trial, cell, time), Hz, responses to the test movie
