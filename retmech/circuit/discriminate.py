"""The movie on which two circuits that explain the probes about equally well disagree most: the next experiment."""

from dataclasses import dataclass

import torch
from torch import Tensor

from retmech.ascent import climb, display
from retmech.circuit.module import ReducedCircuit
from retmech.models.convolution import spatiotemporal
from retmech.streams import derived_seed

STEPS = 60
STEP = 0.1  # of the movie's norm
STARTS = 3


@dataclass(frozen=True)
class Discriminating:
    """A movie and what two circuits answer to it.

    Attributes
    ----------
    movie : (time, y, x)
        Contrast.
    rates : (circuit, response, cell)
        Hz.
    disagreement : (cell,)
        Root mean square difference of the two rates, Hz.
    reference : (cell,)
        The same for noise of the same contrast, mean over several movies.
    """

    movie: Tensor
    rates: Tensor
    disagreement: Tensor
    reference: Tensor


def discriminate(
    circuits: tuple[ReducedCircuit, ReducedCircuit], frames: int, shape: tuple[int, int], contrast: float, seed: int
) -> Discriminating:
    """Climb the circuits' squared difference, mean over cells in units of each cell's rate scale, from several noise movies.

    Each step goes along the gradient and back to the sphere of the wanted root mean square contrast, within the intensities that
    the display has (0 to 255 in the training movie's unit); the best movie is kept.

    Parameters
    ----------
    frames
        Of the movie, the first history included.
    contrast
        Root mean square, in standard deviations of the training movie.
    """
    for circuit in circuits:
        circuit.requires_grad_(False)
    generator = torch.Generator().manual_seed(derived_seed(seed, "noise that discriminating movies begin with"))
    starts = torch.randn(STARTS, frames, *shape, generator=generator)
    low, high = (float(circuits[0].contrast(torch.tensor(end))) for end in (0.0, 255.0))
    starts = display(starts, contrast, low, high)

    def objective(movie: Tensor) -> Tensor:
        return _objective(circuits, _difference(circuits, movie[None]))[0]

    def shown(movie: Tensor) -> Tensor:
        return display(movie, contrast, low, high)

    climbed = torch.stack([climb(objective, start, shown, STEPS, STEP) for start in starts])
    with torch.no_grad():
        reference = _difference(circuits, starts).mean(dim=0)
        difference = _difference(circuits, climbed)
        movie = climbed[_objective(circuits, difference).argmax()]
        rates = torch.cat(_rates(circuits, movie[None]))
    return Discriminating(movie, rates, (rates[0] - rates[1]).square().mean(dim=0).sqrt(), reference)


def _rates(circuits: tuple[ReducedCircuit, ReducedCircuit], movies: Tensor) -> list[Tensor]:
    return [circuit.rate(spatiotemporal(movies, circuit.filters)) for circuit in circuits]


def _difference(circuits: tuple[ReducedCircuit, ReducedCircuit], movies: Tensor) -> Tensor:
    """Root mean square difference over time, (movie, cell), Hz."""
    a, b = _rates(circuits, movies)
    return ((a - b).square().mean(dim=1) + 1e-12).sqrt()


def _objective(circuits: tuple[ReducedCircuit, ReducedCircuit], difference: Tensor) -> Tensor:
    return (difference / circuits[0].scale).square().mean(dim=1)
