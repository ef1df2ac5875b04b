"""Membrane potentials of bipolar, amacrine and horizontal cells with the stimuli that were shown.

Either the HDF5 layout of the public recordings (doi:10.25740/rk663dm5577): in a group for each stimulus, ``stimuli`` (time, y,
x), or without one or both of the axes in space, and ``detrended_membrane_potential`` (cell, time). Or NetCDF: ``stimulus`` (time,
y, x) and ``membrane_potential`` (cell, time), in the root or in a group for each stimulus.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retmech.readers._hdf5 import Source, opened

NAMES = (("stimuli", "detrended_membrane_potential"), ("stimulus", "membrane_potential"))
WIDE = 38  # pixels that a stimulus without axes in space fills, as in the public recordings


@dataclass(frozen=True)
class Interneurons:
    """Cells that one stimulus was shown to.

    Attributes
    ----------
    movie : (time, y, x)
        Zero on average.
    potential : (cell, time)
        mV, or whatever it was recorded in.
    """

    stimulus: str
    movie: NDArray[np.float32]
    potential: NDArray[np.float64]


def read_interneurons(path: Path, stimuli: Sequence[str] | None = None) -> list[Interneurons]:
    """Read all stimuli, or some.

    Raises
    ------
    RecordingError
        Naming the file, the dataset, what was expected and what was found.
    """
    with opened(path) as source:
        there = dict(_groups(source))
        missing = [name for name in stimuli or [] if name not in there]
        if missing or not there:
            raise source.fail("/", f"stimuli {', '.join(stimuli or ['of any name'])}", ", ".join(there)[:300] or "none")
        return [_read(source, name, *there[name]) for name in stimuli or sorted(there)]


def _groups(source: Source) -> Iterator[tuple[str, tuple[str, str]]]:
    """Stimuli, and where their movie and potentials are."""
    for group in ["", *source.names("/")]:
        for movie, potential in NAMES:
            if source.has(f"{group}/{movie}") and source.has(f"{group}/{potential}"):
                yield group or "stimulus", (f"{group}/{movie}".strip("/"), f"{group}/{potential}".strip("/"))


def _read(source: Source, name: str, movie: str, potential: str) -> Interneurons:
    rank = source.rank(movie)
    if rank not in {1, 2, 3}:
        raise source.fail(movie, "(time, y, x), (time, x) or (time)", f"{rank} dimensions")
    shown = source.array(movie, rank).astype(np.float32)
    shown = shown - shown.mean(dtype=np.float64).astype(np.float32)
    if not shown.any():
        raise source.fail(movie, "a stimulus", "one that never changes")
    if rank < 3:  # full field, or bars as high as the screen
        shown = np.broadcast_to(shown.reshape(len(shown), 1, -1), (len(shown), WIDE, WIDE if rank == 1 else shown.shape[1]))
    recorded = source.array(potential, 2).astype(np.float64)
    if abs(recorded.shape[1] - len(shown)) > 2 + len(shown) // 100:
        raise source.fail(potential, f"(cell, {len(shown)}), a value for each frame of the stimulus", f"{recorded.shape}")
    length = min(recorded.shape[1], len(shown))
    return Interneurons(name, shown[:length], recorded[:, :length])
