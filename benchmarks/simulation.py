"""An hour of recording of the simulated retina, made and written, beside the same circuit worked through frame by frame.

50 x 50 pixels, eight cells, 100 Hz. `python -m benchmarks.simulation` prints both; the plain version is timed on a sample.
"""

import json
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from benchmarks.compare import Comparison, measure, median, peak_memory, save
from retmech.insilico import session
from retmech.insilico.retina import Retina, contrast_of, from_dataset
from retmech.insilico.scenes import Gaze, natural_movie
from retmech.settings import SimulatedMovie, SimulatedScenes, SimulateSettings
from retmech.stages.simulate import simulate

MINUTES, SAMPLE, THREADS, ROUNDS = 60, 300, 2, 3
SHORT = SimulatedMovie(blocks=1, block_duration=10, test_duration=5, repeats=2)
HOUR = SimulateSettings(
    cells=8,
    size=50,
    pixel_size=25,
    naturalscene=SimulatedScenes(blocks=6, block_duration=10 * MINUTES, test_duration=60, repeats=10),
    whitenoise=SHORT,
)


def ours() -> dict[str, float]:
    """Make and write the session."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        session.write(Path(folder) / "naturalscene.h5", simulate(HOUR).sessions["naturalscene"], np.random.default_rng(0))
    return {"seconds": time.perf_counter() - start, "memory": peak_memory()}


def plain() -> dict[str, float]:
    """Rates only, frame by frame, for a sample that stands for the hour."""
    retina = from_dataset(simulate(HOUR).retina)
    movie = next(natural_movie(SAMPLE, HOUR.size, HOUR.frame_rate, np.random.default_rng(1), Gaze()))
    start = time.perf_counter()
    rates = frame_by_frame(retina, contrast_of(movie))
    seconds = time.perf_counter() - start
    fast = retina.rate(retina.inputs(contrast_of(movie)))
    np.testing.assert_allclose(rates, fast, rtol=2e-2, atol=2e-2)
    return {"seconds": seconds / SAMPLE * 60 * MINUTES * HOUR.frame_rate}


def frame_by_frame(retina: Retina, contrast: np.ndarray) -> np.ndarray:
    """The circuit as it is written down: blur each frame, weight the last ones, rectify, pool."""
    history = [
        deque([np.zeros(contrast.shape[1:])] * len(retina.kernel(p)), len(retina.kernel(p))) for p in range(len(retina.pathways))
    ]
    kernels = [retina.kernel(p) for p in range(len(retina.pathways))]
    pools = [retina.pool(p) for p in range(len(retina.pathways))]
    rates = []
    for frame in contrast:
        pooled = []
        for p, (_, pathway) in enumerate(retina.pathways):
            seen = gaussian_filter(frame, pathway.centre / retina.pixel_size, mode="constant", truncate=6)
            if pathway.surround:
                around = gaussian_filter(frame, pathway.surround.radius / retina.pixel_size, mode="constant", truncate=6)
                seen = seen - pathway.surround.strength * around
            history[p].appendleft(seen)
            drive = sum(k * past for k, past in zip(kernels[p], history[p], strict=True))
            pooled.append((pools[p] * np.maximum(drive - retina.threshold[p], 0)).sum(axis=(1, 2)))
        rates.append(retina.rate(np.stack(pooled, axis=-1)))
    return np.array(rates)


def main() -> None:
    """Compare."""
    results = measure("benchmarks.simulation", ["ours", "plain"], ROUNDS)
    seconds, peer = (median(results[name], "seconds") for name in ("ours", "plain"))
    config = {
        "minutes": MINUTES,
        "frames": "50 x 50",
        "cells": 8,
        "threads": THREADS,
        "memory_mb": median(results["ours"], "memory"),
    }
    save([Comparison("simulation-hour", peer / seconds, seconds, peer, "s", config)])
    print(f"peak memory {config['memory_mb']:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with threadpool_limits(THREADS):
            print(json.dumps({"ours": ours, "plain": plain}[sys.argv[1]]()))
    else:
        main()
