"""Make a recording of a simulated retina, and the truth about the circuit that made it."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.insilico.circuit import Circuit, calibrate, pathway_output, truth
from retmech.insilico.scenes import natural_movie, white_noise_movie
from retmech.insilico.session import Session
from retmech.settings import SimulatedMovie, SimulateSettings


@dataclass(frozen=True)
class Simulation:
    """Sessions by stimulus class, and the circuit."""

    sessions: dict[str, Session]
    truth: xr.Dataset


def simulate(settings: SimulateSettings) -> Simulation:
    """Show natural scenes and white noise to one simulated retina.

    The circuit's thresholds and gains are calibrated on the natural training movie; white noise then drives the same circuit.
    """
    rng = np.random.default_rng(settings.seed)
    movies = {
        "naturalscene": _movies("naturalscene", settings.naturalscene, settings, rng),
        "whitenoise": _movies("whitenoise", settings.whitenoise, settings, rng),
    }
    pooled = _pooled(movies["naturalscene"][0], settings)
    circuit = calibrate(pooled, settings.mean_rate)
    sessions = {
        name: _session(train, test, getattr(settings, name).repeats, circuit, settings, rng)
        for name, (train, test) in movies.items()
    }
    cells = [f"cell{i + 1:02d}" for i in range(settings.cells)]
    return Simulation(sessions, truth(circuit, settings.size, settings.pixel_size, settings.frame_rate, cells))


def _movies(
    name: str, movie: SimulatedMovie, settings: SimulateSettings, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The training movie and the test movie of one class, (time, y, x)."""
    frames = (
        round(movie.block_duration * settings.frame_rate) * movie.blocks,
        round(movie.test_duration * settings.frame_rate),
    )
    if name == "naturalscene":
        train, test = (natural_movie(n, settings.size, settings.frame_rate, rng) for n in frames)
    else:
        train, test = (white_noise_movie(n, settings.size, rng) for n in frames)
    return train, test


def _pooled(movie: NDArray[np.uint8], settings: SimulateSettings) -> NDArray[np.float64]:
    return pathway_output(movie, settings.frame_rate, settings.pixel_size, settings.cells)


def _session(
    train: NDArray[np.uint8],
    test: NDArray[np.uint8],
    repeats: int,
    circuit: Circuit,
    settings: SimulateSettings,
    rng: np.random.Generator,
) -> Session:
    train_mean, test_mean = (_expected_count(movie, circuit, settings) for movie in (train, test))
    return Session(
        train_movie=train,
        test_movie=test,
        train_count=rng.poisson(train_mean),
        test_count=rng.poisson(np.broadcast_to(test_mean, (repeats, *test_mean.shape))),
        frame_rate=settings.frame_rate,
    )


def _expected_count(movie: NDArray[np.uint8], circuit: Circuit, settings: SimulateSettings) -> NDArray[np.float64]:
    """Expected spikes per bin, (cell, time): each bin follows the frame that it answers to."""
    rate = circuit.rate(_pooled(movie, settings))
    return np.roll(rate, 1, axis=1) / settings.frame_rate
