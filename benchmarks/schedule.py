"""How long a study would take on a cluster: its jobs, with times that were measured, on so many GPUs and cores.

`python -m benchmarks.schedule` takes the times of all stages but training from the logs of the last run in this folder. Jobs
start in the order of the recordings as soon as what they need is there and a GPU or cores are free.
"""

import argparse
import csv
import heapq
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START = 6.0  # s until a job that SLURM has started begins with its stage, measured on the tests' cluster
LATENCY = 15.0  # s between a job's submission and its start on an idle cluster
PROBES = 13
# s; the published network on a recording of an hour, from what 20 minutes took (docs/performance.md), and a baseline
TRAIN = {"bn_cnn": 120.0, "ln": 30.0, "glm": 30.0}


@dataclass(frozen=True)
class Job:
    """What SLURM sees: one job, or a group of jobs that run one after the other."""

    name: str
    seconds: float
    needs: tuple[str, ...] = ()
    gpus: int = 0
    cores: int = 1


def stage_seconds(logs: Path) -> dict[str, float]:
    """Median time of a job of each rule, as Snakemake has written it down."""
    found: dict[str, list[float]] = defaultdict(list)
    for path in logs.rglob("*.tsv"):
        with open(path, newline="") as file:
            found[path.relative_to(logs).parts[0]] += [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    return {rule: statistics.median(times) for rule, times in found.items()}


def study(recordings: int, seeds: int, seconds: dict[str, float]) -> Iterator[Job]:
    """All jobs of a study as profiles/slurm sends them."""

    def together(**counts: int) -> float:
        return sum(count * (seconds[rule] + START) for rule, count in counts.items())

    for i in range(recordings):
        r = f"r{i}"
        yield Job(f"{r} ingest", together(ingest=1))
        runs = [("bn_cnn", s) for s in range(seeds)] + [("ln", 0), ("glm", 0)]
        for model, s in runs:
            yield Job(f"{r} train {model} {s}", TRAIN[model] + START, (f"{r} ingest",), gpus=1, cores=4)
        trained = tuple(f"{r} train {model} {s}" for model, s in runs)
        yield Job(f"{r} probes", together(synthesize=PROBES, observe=1), (f"{r} ingest",))
        baselines = trained[-2:]
        for name in trained:
            yield Job(name.replace("train", "evaluate"), together(evaluate=1), (name, *baselines))
        yield Job(f"{r} readouts", together(respond=PROBES * len(runs), summarize=1), (*trained, f"{r} probes"))
        circuits = []
        for s, name in enumerate(trained[:seeds]):
            circuit = name.replace("train", "circuit")
            circuits.append(circuit)
            drawn = int(s == 0)  # figures of the first seed
            yield Job(circuit, together(attribute=PROBES, reduce=1, explain=1, export=1, draw=drawn), (name, f"{r} probes"))
        yield Job(f"{r} consensus", together(consensus=1), tuple(circuits))
        evaluated = [name.replace("train", "evaluate") for name in trained]
        for page in ("report", "draw"):
            yield Job(f"{r} {page}", together(**{page: 1}), (f"{r} consensus", f"{r} readouts", *evaluated))


def schedule(jobs: list[Job], gpus: int, cores: int, in_queue: int) -> dict[str, float]:
    """Run the jobs on a cluster that is nobody else's.

    Returns
    -------
    dict
        Hours until the last job has ended and until the first report is there, and the shares of GPUs and cores in use.
    """
    waiting_for = {job.name: len(job.needs) for job in jobs}
    followers = defaultdict(list)
    for job in jobs:
        for need in job.needs:
            followers[need].append(job)
    rank = {job.name: i for i, job in enumerate(jobs)}
    ready: dict[str, list[tuple[int, Job]]] = {"gpu": [], "cpu": []}

    def offer(job: Job) -> None:
        heapq.heappush(ready["gpu" if job.gpus else "cpu"], (rank[job.name], job))

    for job in jobs:
        if not job.needs:
            offer(job)
    running: list[tuple[float, int, Job]] = []
    now, free_gpus, free_cores, first_report = 0.0, gpus, cores, 0.0
    used = {"gpu": 0.0, "cpu": 0.0}
    while running or ready["gpu"] or ready["cpu"]:
        for kind in ("gpu", "cpu"):
            while ready[kind] and len(running) < in_queue:
                job = ready[kind][0][1]
                if job.gpus > free_gpus or job.cores > free_cores:
                    break
                heapq.heappop(ready[kind])
                free_gpus, free_cores = free_gpus - job.gpus, free_cores - job.cores
                used["gpu"] += job.gpus * job.seconds
                used["cpu"] += job.cores * job.seconds
                heapq.heappush(running, (now + LATENCY + job.seconds, rank[job.name], job))
        now, _, ended = heapq.heappop(running)
        free_gpus, free_cores = free_gpus + ended.gpus, free_cores + ended.cores
        if ended.name.endswith("report") and not first_report:
            first_report = now
        for job in followers[ended.name]:
            waiting_for[job.name] -= 1
            if not waiting_for[job.name]:
                offer(job)
    return {
        "hours": now / 3600,
        "first report, minutes": first_report / 60,
        "GPUs in use": used["gpu"] / (gpus * now) if gpus else 0.0,
        "cores in use": used["cpu"] / (cores * now),
    }


def main() -> None:
    """Print the schedule for several sizes of a cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--logs", type=Path, default=Path("logs"))
    args = parser.parse_args()
    seconds = stage_seconds(args.logs)
    jobs = list(study(args.recordings, args.seeds, seconds))
    print("s for a job: " + ", ".join(f"{rule} {time:.1f}" for rule, time in sorted(seconds.items())))
    print(f"{args.recordings} recordings x {args.seeds} seeds: {len(jobs)} jobs in the queue in all")
    for gpus, cores, in_queue in ((8, 256, 500), (64, 256, 500), (64, 1024, 1000), (64, 2048, 2000)):
        found = schedule(jobs, gpus, cores, in_queue)
        figures = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        print(f"{gpus:3} GPUs, {cores:5} cores, {in_queue:4} in the queue at most: {figures}", flush=True)


if __name__ == "__main__":
    main()
