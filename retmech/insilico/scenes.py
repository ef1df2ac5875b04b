"""Movies for the simulated retina: photographs seen by a moving eye, and white noise. Luminance is uint8, 0 to 255."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_sample_images

MEAN_LUMINANCE = 127.5


def photographs(contrast: float = 0.35) -> list[NDArray[np.float32]]:
    """Return scikit-learn's two photographs as grey images of mean luminance and equal RMS contrast.

    Pixels are averaged two by two, so that one image pixel spans about one photoreceptor pool of the movie.
    """
    images = []
    for photo in load_sample_images().images:
        grey = photo.mean(axis=2)[:426, :640].reshape(213, 2, 320, 2).mean(axis=(1, 3))
        scaled = MEAN_LUMINANCE * (1 + contrast * (grey - grey.mean()) / grey.std())
        images.append(np.clip(scaled, 0, 255).astype(np.float32))
    return images


def natural_movie(
    n_frames: int,
    size: int,
    frame_rate: float,
    rng: np.random.Generator,
    fixation: float = 1.0,
    jitter: float = 8.0,
) -> NDArray[np.uint8]:
    """Photographs moved by fixational jitter, with a saccade to a new place after every fixation.

    Parameters
    ----------
    n_frames, size
        Length of the movie and its height and width in pixels.
    frame_rate
        Hz.
    fixation
        Time between saccades, s.
    jitter
        Standard deviation of the gaze's random walk after one second of fixation, pixels.

    Returns
    -------
    movie : uint8 (time, y, x)
    """
    images = photographs()
    frames_per_fixation = max(1, round(fixation * frame_rate))
    movie = np.empty((n_frames, size, size), np.uint8)
    pixel = np.arange(size, dtype=np.float64)
    for start in range(0, n_frames, frames_per_fixation):
        n = min(frames_per_fixation, n_frames - start)
        image = images[rng.integers(len(images))]
        room = np.array(image.shape) - size - 1
        walk = np.cumsum(rng.normal(0, jitter / np.sqrt(frame_rate), (n, 2)), axis=0)
        gaze = np.clip(rng.uniform(0, room) + walk, 0, room)
        y = gaze[:, 0, None, None] + pixel[None, :, None]
        x = gaze[:, 1, None, None] + pixel[None, None, :]
        shown = map_coordinates(image, np.broadcast_arrays(y, x), order=1, mode="nearest")
        movie[start : start + n] = np.rint(shown)
    return movie


def white_noise_movie(
    n_frames: int, size: int, rng: np.random.Generator, check: int = 3, hold: int = 3, contrast: float = 0.8
) -> NDArray[np.uint8]:
    """Binary checkerboard flicker: squares of ``check`` pixels that change every ``hold`` frames.

    Returns
    -------
    movie : uint8 (time, y, x)
    """
    checks = -(-size // check)
    sign = rng.integers(0, 2, (-(-n_frames // hold), checks, checks)) * 2 - 1
    movie = np.rint(MEAN_LUMINANCE * (1 + contrast * sign)).astype(np.uint8)
    return movie.repeat(hold, 0)[:n_frames].repeat(check, 1)[:, :size].repeat(check, 2)[:, :, :size]
