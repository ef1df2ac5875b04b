"""A tiny simulated recording, its files and models, and the runs of the tiny configs, made once."""

import os
import shutil
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
import xarray as xr
from filelock import FileLock

from retmech.insilico import session
from retmech.readers import stanford
from retmech.settings import IngestSettings, SimulatedMovie, SimulatedScenes, SimulateSettings
from retmech.stages.ingest import ingest
from retmech.stages.simulate import Simulation, simulate
from tests.pipeline import run, small_config, workspace

LENGTH = {"blocks": 3, "block_duration": 6, "test_duration": 3, "repeats": 4}
SIMULATE = SimulateSettings(
    cells=2, size=12, mean_rate=30, naturalscene=SimulatedScenes(**LENGTH), whitenoise=SimulatedMovie(**LENGTH)
)
INGEST = IngestSettings(blocks=3, skip=0.5, guard_gap=0.2, validation_fraction=0.2, history=200)

torch.set_num_threads(1)
# The same examples each time, so that a change is judged by what it changed; HYPOTHESIS_PROFILE=default looks for others.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest and mostly waits, so that two processes end together."""
    slow = ("test_slurm", "test_chaos", "test_workflow", "test_tutorial")
    items.sort(key=lambda item: next((i for i, name in enumerate(slow) if item.path.stem == name), len(slow)))


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    return simulate(SIMULATE)


@pytest.fixture(scope="session")
def raw_files(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("raw")
    files = {name: folder / f"{name}.h5" for name in simulation.sessions}
    for name, path in files.items():
        session.write(path, simulation.sessions[name], np.random.default_rng(0))
    return files


@pytest.fixture(scope="session")
def recording(raw_files: dict[str, Path]) -> xr.DataTree:
    return ingest({name: stanford.read(path, INGEST) for name, path in raw_files.items()}, INGEST).gather()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the small config."""
    return made_once(tmp_path_factory, "undisturbed", small_config(1))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run of the tiny config, in a path with a space."""
    return made_once(tmp_path_factory, "with a space")


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, config: dict[str, Any] | None = None) -> Path:
    """The folder of a run that all processes of the tests share: the first that wants it makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, finished = shared / name, shared / f"{name}.finished"
    with FileLock(shared / f"{name}.lock"):
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a run that failed
            run("retmech", "run", "--cores", "2", cwd=workspace(folder, config))
            finished.touch()
    return folder
