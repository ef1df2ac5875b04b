"""Make a recording of a simulated retina, and the retina that made it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.insilico.description import read_circuit
from retmech.insilico.retina import Retina, calibrated, contrast_of, shown, to_dataset
from retmech.insilico.scenes import CHUNK, Gaze, natural_movie, white_noise_movie
from retmech.insilico.session import Session, Shown
from retmech.settings import SimulateSettings
from retmech.streams import stream

CALIBRATION = 120.0  # s of the natural training movie


@dataclass(frozen=True)
class Simulation:
    """Sessions by stimulus class, and the retina."""

    sessions: dict[str, Session]
    retina: xr.Dataset


def simulate(settings: SimulateSettings) -> Simulation:
    """Show natural scenes and white noise to one simulated retina.

    The circuit is calibrated on the beginning of the natural training movie; white noise then drives the same circuit. Movies
    and rates are made while the sessions are written: no more than a chunk of them is ever held.
    """
    description = read_circuit(settings.circuit)
    chunks = -(-round(CALIBRATION * settings.frame_rate) // CHUNK)
    reference = np.concatenate(list(islice(_movie(settings, "naturalscene", "train"), chunks)))
    retina = calibrated(
        description, settings.cells, settings.pixel_size, settings.frame_rate, contrast_of(reference), settings.mean_rate
    )
    sessions = {
        name: Session(
            _shown(settings, retina, name, "train"),
            _shown(settings, retina, name, "test"),
            getattr(settings, name).repeats,
            settings.frame_rate,
            description.spikes,
        )
        for name in ("naturalscene", "whitenoise")
    }
    return Simulation(sessions, to_dataset(retina, [f"cell{i + 1:02d}" for i in range(settings.cells)]))


def _shown(settings: SimulateSettings, retina: Retina, name: str, part: str) -> Shown:
    return Shown(_frames(settings, name, part), settings.size, shown(retina, _movie(settings, name, part)))


def _frames(settings: SimulateSettings, name: str, part: str) -> int:
    movie = getattr(settings, name)
    if part == "train":
        return round(movie.block_duration * settings.frame_rate) * int(movie.blocks)
    return round(movie.test_duration * settings.frame_rate)


def _movie(settings: SimulateSettings, name: str, part: str) -> Iterator[NDArray[np.uint8]]:
    """Chunks of a movie; the same at every call."""
    rng = stream(settings.seed, "simulated movie", name, part)
    n_frames = _frames(settings, name, part)
    if name == "whitenoise":
        return white_noise_movie(n_frames, settings.size, rng)
    scenes = settings.naturalscene
    gaze = Gaze(scenes.fixation, scenes.drift / settings.pixel_size, scenes.jitter / settings.pixel_size)
    return natural_movie(n_frames, settings.size, settings.frame_rate, rng, gaze)
