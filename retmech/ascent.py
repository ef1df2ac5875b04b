"""Gradient ascent on a movie that keeps its contrast and what the display can show."""

from collections.abc import Callable

import torch
from torch import Tensor

from retmech.errors import RetmechError

HALVINGS = 40  # of the interval in which the scale of a movie is sought


def climb(
    objective: Callable[[Tensor], Tensor], start: Tensor, shown: Callable[[Tensor], Tensor], steps: int, step: float
) -> Tensor:
    """Return the best movie found on the way up from a start.

    Parameters
    ----------
    objective
        Movie (time, y, x) -> a number to be made large.
    shown
        Movie -> the nearest one that may be shown; applied after every step.
    step
        Length of the first step, of the movie's norm. Steps are halved when they no longer climb.
    """
    movie = best = shown(start)
    highest, length = -torch.inf, step * float(movie.norm())
    for _ in range(steps):
        movie = movie.detach().requires_grad_(True)
        value = objective(movie)
        (gradient,) = torch.autograd.grad(value, movie)
        if value.item() > highest:
            best, highest = movie.detach(), value.item()
        else:
            length /= 2
        size = float(gradient.norm())
        if size == 0:
            break
        movie = shown(movie.detach() + length / size * gradient)
    return best


def display(movie: Tensor, contrast: float, low: float, high: float) -> Tensor:
    """Scale a movie (..., time, y, x) about grey so that, cut to the display's range, it has a root mean square contrast.

    The contrast of a cut movie grows with its scale: the scale is found by bisection.

    Raises
    ------
    RetmechError
        If the range has no room for the contrast.
    """
    possible = max(-low, high)
    if contrast > possible:
        raise RetmechError(f"A contrast of {contrast:g} sd: the display's range, {low:g} to {high:g} sd, has no room for it.")
    frames = (-3, -2, -1)
    size = movie.square().mean(dim=frames, keepdim=True).sqrt().clamp(min=1e-12)
    lower, upper = contrast / size, contrast / size
    for _ in range(HALVINGS):
        if bool((_rms(movie * upper, low, high, frames) >= contrast * (1 - 1e-6)).all()):
            break
        lower, upper = upper, 2 * upper
    for _ in range(HALVINGS):
        middle = (lower + upper) / 2
        short = _rms(movie * middle, low, high, frames) < contrast
        lower, upper = torch.where(short, middle, lower), torch.where(short, upper, middle)
        if float((upper / lower - 1).max()) < 1e-5:
            break
    return (movie * upper).clamp(low, high)


def _rms(movie: Tensor, low: float, high: float, frames: tuple[int, ...]) -> Tensor:
    return movie.clamp(low, high).square().mean(dim=frames, keepdim=True).sqrt()
