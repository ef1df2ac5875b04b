"""One undisturbed run of the tiny config, shared by all tests of the workflow."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline import run, workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run, in a path with a space."""
    folder = workspace(tmp_path_factory.mktemp("a path") / "with a space")
    run("retmech", "run", "--cores", "2", cwd=folder)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished, tmp_path / "copy")
