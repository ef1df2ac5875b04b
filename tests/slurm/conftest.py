"""The cluster of the tests, and what a run without it makes."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import cluster, missing

MODEL, PERFORMANCE = (f"results/tiny/ln/seed1/{name}.nc" for name in ("model", "performance"))


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SLURM of two nodes; tests that need it are skipped where it cannot be started."""
    if lacking := missing():
        pytest.skip(f"a SLURM for the tests needs {', '.join(lacking)}; on Debian: apt-get install slurm-wlm munge")
    with cluster(tmp_path_factory.mktemp("slurm")) as folder:
        yield folder


@pytest.fixture
def folder(slurm: Path, undisturbed: Path, tmp_path: Path) -> Path:
    """The folder of a finished run without one of its models and what is known of how it does; nothing is in the queue."""
    subprocess.run(["scancel", "--me"], check=True)
    while subprocess.run(["squeue", "--noheader"], capture_output=True, text=True).stdout.strip():
        time.sleep(0.2)
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(folder / "work")
    for path in (MODEL, PERFORMANCE):
        (folder / path).unlink()
    return folder
