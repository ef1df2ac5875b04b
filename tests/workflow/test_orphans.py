"""A run is killed, and its training is not: it changes nothing, and the next run says so or makes its own."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from tests.pipeline import change, planned, results, run, small_config, workspace

MODEL = "results/tiny/ln/seed1/model.nc"
LONG, SHORT = 1000, 2  # epochs
RUN = ("retmech", "run", "--cores", "1", MODEL)
PLAIN = ("snakemake", "--nolock", "--cores", "1", MODEL)  # as after `--unlock`


def configured(epochs: int) -> dict[str, Any]:
    config = small_config(1)
    config["train"] = {"ln": {"history": 200, "epochs": epochs, "patience": epochs}}
    return {**config, "evaluate": {"baselines": []}}


def training(folder: Path) -> int | None:
    """The process that trains in a folder."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = path.joinpath("cmdline").read_bytes().split(b"\0")
            if path.joinpath("cwd").readlink() == folder and b"train" in words and words[1].endswith(b"/retmech"):
                return int(path.name)
    return None


def alive(process: int) -> bool:
    with contextlib.suppress(OSError):
        return state(Path(f"/proc/{process}/stat")) != "Z"
    return False


def state(stat: Path) -> str:
    return stat.read_text().rpartition(")")[2].split()[0]


def stop(process: int) -> None:
    """Let a process do nothing until it may go on."""
    os.kill(process, signal.SIGSTOP)
    while any(state(path) != "T" for path in Path(f"/proc/{process}/task").glob("*/stat")):
        time.sleep(0.02)


def epochs(folder: Path) -> int:
    return json.loads(xr.open_datatree(folder / MODEL).attrs["settings"])["epochs"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return workspace(tmp_path / "run", configured(LONG))


def killed(folder: Path, command: tuple[str, ...], stopped: bool) -> int:
    """Kill a run while it trains; return the process of the training."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any((folder / "work/checkpoints").glob("*/metrics.csv")):
        assert process.poll() is None
        time.sleep(0.1)
    job = training(folder)
    assert job
    if stopped:
        stop(job)
    process.kill()
    process.wait()
    return job


@pytest.mark.parametrize("first", [RUN, PLAIN])
def test_the_next_run_makes_what_its_settings_say(folder: Path, first: tuple[str, ...]) -> None:
    job = killed(folder, first, stopped=False)
    change(folder, "train", ln=configured(SHORT)["train"]["ln"])
    run(*RUN, cwd=folder)
    assert not alive(job)
    assert epochs(folder) == SHORT
    assert "the run that started this job has ended" not in (folder / "logs/train/tiny/ln/seed1.log").read_text()
    assert planned(folder, MODEL) == set()


@pytest.mark.parametrize("second", [RUN, PLAIN])
def test_a_training_that_cannot_end_is_named_and_nothing_is_touched(folder: Path, second: tuple[str, ...]) -> None:
    job = killed(folder, RUN, stopped=True)
    before = results(folder)
    change(folder, "train", ln=configured(SHORT)["train"]["ln"])
    planned(folder, MODEL)  # a plan is told all the same
    done = run(*second, cwd=folder, check=False)
    assert done.returncode == 1
    assert f"still at work: process {job} on {os.uname().nodename} (train tiny={MODEL})" in done.stderr
    assert "Traceback" not in done.stderr
    os.kill(job, signal.SIGCONT)
    while alive(job):
        time.sleep(0.1)
    log = (folder / "logs/train/tiny/ln/seed1.log").read_text()
    assert log.splitlines()[-1].startswith("error: another run has begun in this folder since this job was started")
    assert results(folder) == before
    run(*second, cwd=folder)
    assert epochs(folder) == SHORT


def test_without_a_home_a_run_keeps_its_caches_in_its_folder(folder: Path) -> None:
    run("retmech", "run", "--cores", "1", "results/tiny/recording.nc", cwd=folder, HOME="/proc/none")
    assert any((folder / "work/cache/snakemake").iterdir())
