"""An hour of recording ingested, beside a plain conversion, and a copy of the file.

50 x 50 pixels, 100 Hz, eight cells. The conversion reads the movies and responses in order (h5py) and writes them in order
(netCDF4), and does nothing else; the copy moves bytes. All are programs of their own that end when their file is on the disk.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from benchmarks.compare import Comparison, median, save
from retmech.insilico.scenes import Gaze, natural_movie
from retmech.quality import smoothed_rate

MINUTES, CELLS, RATE, ROUNDS = 60, 8, 100, 3
FOLDER = Path("work/benchmarks/ingestion")
RAW = FOLDER / "naturalscene.h5"
PIECE = 16 * 2**20


def make() -> None:
    """Write a raw file as the public ones are: not compressed, six blocks."""
    rng = np.random.default_rng(0)
    movie = np.concatenate(list(natural_movie(120 * RATE, 50, RATE, rng, Gaze())))
    n_frames = MINUTES * 60 * RATE
    with h5py.File(RAW, "w") as file:
        shown = file.create_dataset("train/stimulus", (n_frames, 50, 50), np.uint8)
        for start in range(0, n_frames, len(movie)):
            shown[start : start + len(movie)] = np.roll(movie, start // len(movie), axis=2)[: n_frames - start]
        file["train/time"] = np.arange(n_frames) / RATE
        count = rng.poisson(0.06, (CELLS, n_frames))
        trials = rng.poisson(0.06, (10, CELLS, 60 * RATE))
        for part, binned in (("train", count), ("test", trials.mean(axis=0))):
            file[f"{part}/response/binned"] = binned
            file[f"{part}/response/firing_rate_10ms"] = smoothed_rate(binned, 10, RATE)
        file["test/stimulus"] = movie[: 60 * RATE]
        file["test/time"] = np.arange(60 * RATE) / RATE
        for i in range(CELLS):
            file[f"test/repeats/cell{i + 1:02d}"] = trials[:, i]


OURS = """
from retmech import cli
settings = '{"blocks": 6, "skip": 60, "check_lag": false}'
assert cli.main(["ingest", "--config", settings, "--stimulus", "naturalscene=RAW", "--output", "OUT"]) == 0
"""
CONVERT = """
import h5py, netCDF4
with h5py.File("RAW") as source, netCDF4.Dataset("OUT", "w") as target:
    def convert(name, item):
        if isinstance(item, h5py.Dataset):
            dims = [f"{name.replace('/', '_')}_{i}" for i in range(item.ndim)]
            for dim, size in zip(dims, item.shape):
                target.createDimension(dim, size)
            made = target.createVariable(name.replace("/", "_"), item.dtype, dims)
            step = max(1, PIECE * len(item) // item.nbytes)
            for start in range(0, len(item), step):
                made[start : start + step] = item[start : start + step]
    source.visititems(convert)
"""
COPY = """
with open("RAW", "rb") as source, open("OUT", "wb") as target:
    while piece := source.read(PIECE):
        target.write(piece)
"""
END = """
import os
from benchmarks.compare import peak_memory
with open("OUT", "rb") as file:
    os.fsync(file.fileno())
print(peak_memory())
"""


def run(program: str) -> dict[str, float]:
    """Time and memory of a program, from its start until its file is on the disk."""
    out = FOLDER / "out"
    out.unlink(missing_ok=True)
    text = (program + END).replace("RAW", str(RAW)).replace("OUT", str(out)).replace("PIECE", str(PIECE))
    os.sync()  # nobody waits for what another has left to write
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    return {"seconds": time.perf_counter() - start, "memory": float(done.stdout.split()[-1]), "bytes": out.stat().st_size}


def main() -> None:
    """Compare."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    make()
    results: dict[str, list[dict[str, float]]] = {"ours": [], "convert": [], "copy": []}
    for _ in range(ROUNDS):
        for name, program in zip(results, (OURS, CONVERT, COPY), strict=True):
            results[name].append(run(program))
    seconds = {name: median(found, "seconds") for name, found in results.items()}
    memory = median(results["ours"], "memory")
    config = {"minutes": MINUTES, "frames": "50 x 50", "cells": CELLS, "memory_mb": memory}
    save(
        [
            Comparison(f"ingestion-hour-{peer}", seconds[peer] / seconds["ours"], seconds["ours"], seconds[peer], "s", config)
            for peer in ("convert", "copy")
        ]
    )
    for name, found in results.items():
        print(
            f"{name}: {seconds[name]:.2f} s, {median(found, 'memory'):.0f} MB in memory, {found[0]['bytes'] / 1e6:.0f} MB written"
        )
    for path in FOLDER.iterdir():
        path.unlink()


if __name__ == "__main__":
    main()
