"""Factorization: whether planted factors are found, and unit-level factors beside scikit-learn's mini-batch NMF.

`python -m benchmarks.reduction` does both; with a name it runs one contestant and prints its figures.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import MiniBatchNMF

from benchmarks.compare import Comparison, measure, median, peak_memory, save
from benchmarks.planted import planted
from retmech.reduction.factors import matched_cosine, restarts
from retmech.reduction.matrix import time_chunks
from retmech.reduction.rank import judge
from retmech.reduction.units import large_factors

ROWS, COLUMNS, RANK, ROUNDS = 20000, 20000, 8, 3
FILE = Path("work/benchmarks/units.npy")
SEEDS, RANKS, MOST = range(10), range(2, 7), 8

Found = tuple[NDArray[np.floating], NDArray[np.floating]]  # activations and loadings


def recovery() -> None:
    """Print in how many of ten seeds the right number of planted factors is chosen, and how well their loadings are found."""
    for rank in RANKS:
        chosen, cosine = [], []
        for seed in SEEDS:
            matrix, loading = planted(rank, seed)
            chosen.append(judge(matrix, time_chunks(len(matrix)), range(1, MOST + 1), 8, seed).choose(0.9).rank)
            cosine.append(matched_cosine(restarts(matrix, rank, 8, np.random.default_rng(seed))[0].loading, loading))
        right = sum(found == rank for found in chosen)
        print(f"{rank} factors: {right} of {len(SEEDS)} right, cosine at least {min(cosine):.3f}")


def prepare() -> None:
    """Write a matrix of units with planted factors, once."""
    if FILE.exists():
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    loading = rng.exponential(size=(RANK, COLUMNS)) * (rng.uniform(size=(RANK, COLUMNS)) < 0.2)
    matrix = np.lib.format.open_memmap(FILE, "w+", np.float32, (ROWS, COLUMNS))
    for start in range(0, ROWS, 1000):
        activation = rng.exponential(size=(1000, RANK)) * (rng.uniform(size=(1000, RANK)) < 0.4)
        noise = 0.1 * rng.standard_normal((1000, COLUMNS), np.float32)
        matrix[start : start + 1000] = np.maximum((activation @ loading).astype(np.float32) + noise, 0)
    matrix.flush()


def ours() -> Found:
    """Factorize the file, mapped into memory, and return its approximation's factors."""
    found = large_factors(np.load(FILE, mmap_mode="r"), RANK, np.random.default_rng(0))
    return found.activation, found.loading


def scikit_learn() -> Found:
    """Factorize the matrix in memory with the defaults and the same batch size."""
    model = MiniBatchNMF(RANK, init="random", batch_size=1024, random_state=0)
    return model.fit_transform(np.load(FILE)), model.components_


CONTESTANTS: dict[str, Callable[[], tuple[NDArray[np.floating], NDArray[np.floating]]]] = {
    "retmech": ours,
    "minibatch": scikit_learn,
}


def contestant(name: str) -> None:
    """Run one and print its time, memory and fit."""
    start = time.perf_counter()
    activation, loading = CONTESTANTS[name]()
    seconds, memory = time.perf_counter() - start, peak_memory()
    matrix = np.load(FILE, mmap_mode="r")
    parts = [slice(i, i + 1000) for i in range(0, ROWS, 1000)]
    error = sum(float(((matrix[p] - activation[p].astype(np.float32) @ loading.astype(np.float32)) ** 2).sum()) for p in parts)
    power = sum(float((matrix[p] ** 2).sum()) for p in parts)
    print(json.dumps({"seconds": seconds, "memory": memory, "error": (error / power) ** 0.5}))


def main() -> None:
    """Compare, and print what is recovered of planted factors."""
    prepare()
    results = measure("benchmarks.reduction", list(CONTESTANTS), ROUNDS)
    size = {"rows": ROWS, "columns": COLUMNS, "rank": RANK}
    config = size | {"error": {name: median(found, "error") for name, found in results.items()}}
    comparisons = []
    for name, key, unit in (("time", "seconds", "s"), ("memory", "memory", "MB")):
        we, they = (median(results[who], key) for who in CONTESTANTS)
        comparisons.append(Comparison(f"units-{name}", they / we, we, they, unit, config))
    save(comparisons)
    print(", ".join(f"{name}: relative error {error:.4f}" for name, error in config["error"].items()))
    recovery()


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else contestant(sys.argv[1])
