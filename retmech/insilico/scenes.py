"""Movies for the simulated retina: images with natural spectra seen by a moving eye, and white noise. Luminance 0 to 255."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from retmech.streams import stream

MEAN_LUMINANCE = 127.5
CONTRAST = 0.35  # root mean square, of every image
IMAGE = 256  # pixels, height and width
DEAD_LEAVES = 10  # images
CHUNK = 1000  # frames that are made together

Frames = NDArray[np.uint8]  # (time, y, x)


@dataclass(frozen=True)
class Gaze:
    """How the eye moves.

    Attributes
    ----------
    fixation
        Mean time between saccades, s; at least half of it passes between any two.
    drift
        Standard deviation of the random walk after a second of fixation, pixels.
    jitter
        Standard deviation of the tremor about the walk, drawn anew in every frame, pixels.
    """

    fixation: float = 1.0
    drift: float = 8.0
    jitter: float = 0.0


@cache
def images() -> tuple[NDArray[np.float32], ...]:
    """All images, of mean luminance, equal contrast and power 1/f^2: scikit-learn's two photographs, and dead leaves."""
    rng = stream(0, "dead leaves")
    return tuple(_as_luminance(natural_spectrum(image)) for image in [*_photographs(), *_all_dead_leaves(rng)])


def _photographs() -> Iterator[NDArray[np.float64]]:
    from sklearn.datasets import load_sample_images  # takes a second, and every plan imports this module

    for photo in load_sample_images().images:
        grey = photo.mean(axis=2)[:426, :640]
        yield grey[85 : 85 + IMAGE, 192 : 192 + IMAGE]
        yield grey.reshape(213, 2, 320, 2).mean(axis=(1, 3))[:, 53 : 53 + 213]


def _all_dead_leaves(rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    for _ in range(DEAD_LEAVES):
        yield dead_leaves(IMAGE, rng)


def dead_leaves(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw discs that occlude each other, their radii r distributed as r^-3: the image of a world of objects at all distances.

    Lee, Mumford & Huang, Int. J. Computer Vision 2001. Discs are drawn front to back until they cover the image.
    """
    smallest, largest = 2.0, size / 3
    image, uncovered = np.zeros((size, size)), np.ones((size, size), bool)
    place = np.arange(size)
    while uncovered.any():
        u = rng.uniform(size=1000)
        radii = (smallest**-2 * (1 - u) + largest**-2 * u) ** -0.5
        for radius, grey, centre in zip(radii, rng.uniform(size=1000), rng.uniform(0, 1, (1000, 2)), strict=True):
            y, x = -radius + centre * (size + 2 * radius)
            box = (slice(max(0, int(y - radius)), int(y + radius) + 2), slice(max(0, int(x - radius)), int(x + radius) + 2))
            inside = (place[box[0], None] - y) ** 2 + (place[box[1]] - x) ** 2 <= radius**2
            inside &= uncovered[box]
            image[box][inside] = grey
            uncovered[box] &= ~inside
    return image


def natural_spectrum(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give an image a power that falls as 1/f^2 on average over directions, and keep its phases and its anisotropy.

    Between pixels the eye's movie is interpolated linearly, which takes a part of the fine detail; that is made up for here.
    """
    spectrum = np.fft.fft2(image - image.mean())
    frequencies = np.meshgrid(*(np.fft.fftfreq(n) for n in image.shape), indexing="ij")
    radius = np.hypot(*frequencies)
    shell = np.rint(radius * min(image.shape)).astype(int)
    power = np.bincount(shell.ravel(), (np.abs(spectrum) ** 2).ravel()) / np.maximum(np.bincount(shell.ravel()), 1)
    lost = np.prod([(2 + np.cos(2 * np.pi * f)) / 3 for f in frequencies], axis=0)  # mean over shifts of a fraction of a pixel
    wanted = np.divide(1, radius, out=np.zeros_like(radius), where=radius > 0)
    shaped: NDArray[np.float64] = np.fft.ifft2(spectrum * wanted / np.sqrt(np.maximum(power[shell], 1e-30) * lost)).real
    return shaped


def _as_luminance(image: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled = MEAN_LUMINANCE * (1 + CONTRAST * (image - image.mean()) / image.std())
    return np.clip(scaled, 0, 255).astype(np.float32)


def natural_movie(n_frames: int, size: int, frame_rate: float, rng: np.random.Generator, gaze: Gaze) -> Iterator[Frames]:
    """Yield, in chunks, a movie of images under a moving eye: each fixation is at a new place, of an image drawn at random."""
    made: list[Frames] = []
    for start, stop in _fixations(n_frames, frame_rate, rng, gaze.fixation):
        image = images()[rng.integers(len(images()))]
        made.append(_fixation(image, stop - start, size, frame_rate, rng, gaze))
        while sum(map(len, made)) >= CHUNK or (stop == n_frames and made):
            joined = np.concatenate(made)
            yield joined[:CHUNK]
            made = [joined[CHUNK:]] if len(joined) > CHUNK else []


def _fixations(n_frames: int, frame_rate: float, rng: np.random.Generator, mean: float) -> Iterator[tuple[int, int]]:
    start = 0
    while start < n_frames:
        length = max(1, round((mean / 2 + rng.exponential(mean / 2)) * frame_rate))
        yield start, min(start + length, n_frames)
        start += length


def _fixation(image: NDArray[np.float32], n: int, size: int, frame_rate: float, rng: np.random.Generator, gaze: Gaze) -> Frames:
    room = np.array(image.shape) - size - 1
    walk = np.cumsum(rng.normal(0, gaze.drift / np.sqrt(frame_rate), (n, 2)), axis=0)
    place = rng.uniform(0, room) + walk + rng.normal(0, gaze.jitter, (n, 2))
    place = room - np.abs(np.mod(place, 2 * room) - room)  # the walk turns back at the image's edge
    movie = np.empty((n, size, size), np.uint8)
    for t, (y, x) in enumerate(place):
        movie[t] = np.rint(_shifted(image, y, x, size))
    return movie


def _shifted(image: NDArray[np.float32], y: float, x: float, size: int) -> NDArray[np.float32]:
    """Part of an image from a place between pixels, interpolated linearly."""
    top, left = int(y), int(x)
    b, a = np.float32(y - top), np.float32(x - left)
    part = image[top : top + size + 1, left : left + size + 1]
    rows = part[:-1] + b * (part[1:] - part[:-1])
    return rows[:, :-1] + a * (rows[:, 1:] - rows[:, :-1])


def white_noise_movie(
    n_frames: int, size: int, rng: np.random.Generator, check: int = 3, hold: int = 3, contrast: float = CONTRAST
) -> Iterator[Frames]:
    """Yield, in chunks, binary checkerboard flicker: squares of ``check`` pixels that change every ``hold`` frames."""
    checks = -(-size // check)
    length = CHUNK // hold * hold
    for start in range(0, n_frames, length):
        n = min(length, n_frames - start)
        sign = rng.integers(0, 2, (-(-n // hold), checks, checks)) * 2 - 1
        chunk = np.rint(MEAN_LUMINANCE * (1 + contrast * sign)).astype(np.uint8)
        yield chunk.repeat(hold, 0)[:n].repeat(check, 1)[:, :size].repeat(check, 2)[:, :, :size]


def spectrum_exponent(frames: Frames, lowest: float = 0.04, highest: float = 0.4) -> float:
    """Exponent of the power of single frames against spatial frequency (cycles per pixel), about -2 for natural scenes.

    Of the mean over frames and directions, seen through a Hann window.
    """
    n = frames.shape[1]
    window = np.hanning(n + 2)[1:-1]
    contrast = frames.astype(np.float64) / MEAN_LUMINANCE - 1
    contrast -= contrast.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(contrast * window[:, None] * window)) ** 2).mean(axis=0)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij"))
    edges = np.geomspace(lowest, highest, 9)
    shell = np.digitize(radius, edges)
    bins = [s for s in range(1, len(edges)) if (shell == s).any()]
    centre = np.log([radius[shell == s].mean() for s in bins])
    return float(np.polyfit(centre, np.log([power[shell == s].mean() for s in bins]), 1)[0])
