"""Run contestants in turn, each in a process of its own, and keep what they say as ratios."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OUT = Path("benchmarks-out")


@dataclass(frozen=True)
class Comparison:
    """One figure of ours beside a peer's; the ratio says how many times better ours is."""

    name: str
    ratio: float
    ours: float
    peer: float
    unit: str
    config: Mapping[str, Any]


def measure(script: str, contestants: Sequence[str], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run `python -m script contestant` for each contestant in turn, several rounds, and collect the JSON each prints last."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for i in range(rounds):
        for name in contestants:
            print(f"round {i + 1}/{rounds}: {name}", file=sys.stderr, flush=True)
            done = subprocess.run([sys.executable, "-m", script, name], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{script} {name} failed:\n{done.stderr[-3000:]}")
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    return results


def median(results: Sequence[Mapping[str, float]], key: str) -> float:
    """Median of one figure over the rounds."""
    return statistics.median(result[key] for result in results)


def seconds_per_call(call: Callable[[], object], calls: int, warm: int = 1) -> float:
    """Median time of several calls, after some that do not count."""
    for _ in range(warm):
        call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory() -> float:
    """Largest resident memory of this program so far, MB; getrusage would count that of its parent before it began."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


def save(comparisons: Sequence[Comparison]) -> None:
    """Write each comparison as a JSON file and all as a table."""
    OUT.mkdir(exist_ok=True)
    for comparison in comparisons:
        (OUT / f"{comparison.name}.json").write_text(json.dumps(asdict(comparison), indent=1, sort_keys=True) + "\n")
    width = max(len(c.name) for c in comparisons)
    print(f"{'':{width}}  {'ours':>10}  {'peer':>10}  {'unit':<12}  ratio")
    for c in comparisons:
        print(f"{c.name:{width}}  {c.ours:10.4g}  {c.peer:10.4g}  {c.unit:<12}  {c.ratio:.1f}x")
