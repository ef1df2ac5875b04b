"""What it costs to plan a large study: `python -m benchmarks.plan [RECORDINGS] [SEEDS]`, a dry run of all probes."""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from retmech import registry

FILES = ("Snakefile", "workflow", "profiles", "envs")
# Those that need nothing but their names.
PROBES = [name for name in registry.names("probe") if name not in {"movie", "most_exciting"}]


def study(folder: Path, recordings: int, seeds: int) -> None:
    """The demo's models on so many recordings, of which only the names are there."""
    for name in FILES:
        copy = shutil.copytree if Path(name).is_dir() else shutil.copy
        copy(name, folder / name)
    config = yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8"))
    del config["simulate"]
    config["recordings"] = {}
    for i in range(recordings):
        (folder / f"r{i}.h5").touch()
        config["recordings"][f"r{i}"] = {"naturalscene": f"r{i}.h5", "whitenoise": f"r{i}.h5"}
    config |= {"ingest": {}, "seeds": list(range(seeds)), "synthesize": {name: {} for name in PROBES}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def main(recordings: int, seeds: int) -> None:
    """Time one plan and print its size."""
    with tempfile.TemporaryDirectory() as name:
        study(Path(name), recordings, seeds)
        start = time.perf_counter()
        done = subprocess.run(["snakemake", "--dry-run"], cwd=name, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{recordings} recordings x {seeds} seeds x {len(PROBES)} probes: {seconds:.1f} s, {memory:.0f} MB")
    print(done.stdout.splitlines()[-1].strip())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
