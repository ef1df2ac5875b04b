"""Copies of the one undisturbed run, to be changed."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished, tmp_path / "copy")
