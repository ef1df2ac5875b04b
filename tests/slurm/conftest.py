"""The cluster of the tests, and what a run without it makes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import run
from tests.pipeline import results, small_config, workspace
from tests.slurm.cluster import cluster, missing


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SLURM of one node; tests that need it are skipped where it cannot be started."""
    if lacking := missing():
        pytest.skip(f"a SLURM of one node needs {', '.join(lacking)}; on Debian: apt-get install slurm-wlm munge")
    with cluster(tmp_path_factory.mktemp("slurm")) as folder:
        yield folder


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files that a run on this machine makes."""
    folder = workspace(tmp_path_factory.mktemp("local") / "run", small_config(1))
    run("retmech", "run", "--cores", "2", cwd=folder)
    return results(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a run through SLURM."""
    return workspace(tmp_path / "run", small_config(1))
