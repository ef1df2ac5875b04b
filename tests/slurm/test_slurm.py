"""The pipeline through a real SLURM."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from retmech import srun
from retmech.errors import ConfigError
from tests.pipeline import change, planned, results, run, small_config, workspace
from tests.slurm.cluster import NODES, completed
from tests.slurm.conftest import MODEL

# The profile as users have it, for a cluster without accounting; jobs are asked for when a short one has ended.
SUBMIT = (
    *("retmech", "run", "--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "16", "--seconds-between-status-checks", "2", "--latency-wait", "10"),
)


def of_folder(slurm: Path, folder: Path) -> list[dict[str, str]]:
    """What SLURM wrote down about the jobs of one run."""
    return [job for job in completed(slurm) if job["WorkDir"] == str(folder)]


def memory(job: dict[str, str]) -> int:
    """MB that a job asked for."""
    found = re.search(r"mem=(\d+)M", job["Tres"])
    assert found
    return int(found.group(1))


def test_a_run_through_slurm_makes_the_files_of_a_local_run(slurm: Path, undisturbed: Path, tmp_path: Path) -> None:
    folder = workspace(tmp_path / "run", small_config(1))
    done = run(*SUBMIT, cwd=folder)
    assert results(folder) == results(undisturbed)
    jobs = of_folder(slurm, folder)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    # Two trainings, two evaluations, the consensus, the figures, the report, the page of all, and four groups.
    assert len(jobs) == 12
    assert sorted(job["Partition"] for job in jobs) == ["cpu"] * 10 + ["gpu"] * 2
    assert {memory(job) for job in jobs} == {4000, 8000, 16000}
    assert "Traceback" not in done.stderr
    again = run(*SUBMIT, cwd=folder)
    assert "Nothing to be done" in again.stderr


@pytest.mark.parametrize(
    "resources",
    [
        ["train:nodes=1", "train:tasks_per_node=2", "train:gres=gpu:2"],
        ["train:nodes=2", "train:tasks=2", "train:tasks_per_gpu=0", "train:gres=gpu:1"],
    ],
    ids=["one node", "two nodes"],
)
def test_two_tasks_train_one_model(folder: Path, resources: list[str]) -> None:
    # Both nodes are this machine, whose other names nobody knows.
    several = ["--set-threads", "train=2", "--set-resources", "train:mpi=srun", *resources]
    run(*SUBMIT, *several, "--", MODEL, cwd=folder, MASTER_ADDR="127.0.0.1")
    model = xr.open_datatree(folder / MODEL)
    assert model.attrs["processes"] == 2
    assert len(list((folder / "work/checkpoints").glob("*/metrics.csv"))) == 1


def test_devices_without_tasks_are_an_error_and_not_a_training_on_one(folder: Path) -> None:
    done = run(*SUBMIT, "--set-resources", "train:devices=2", "--retries", "0", "--", MODEL, cwd=folder, check=False)
    assert done.returncode != 0
    assert not (folder / MODEL).exists()
    assert "FAILED train tiny ln 1" in done.stderr
    assert re.search(r"retmech train: error: .*(srun|devices)", done.stderr), done.stderr


def test_a_job_that_runs_out_of_memory_is_given_more(slurm: Path, folder: Path, undisturbed: Path) -> None:
    run(*SUBMIT, "--set-resources", "train:mem_mb=150 * attempt**3", "--", MODEL, cwd=folder)
    jobs = of_folder(slurm, folder)
    assert [memory(job) for job in jobs] == [150, 1200]
    assert [job["JobState"] for job in jobs] != ["COMPLETED", "COMPLETED"]
    assert (folder / MODEL).read_bytes() == (undisturbed / MODEL).read_bytes()


def queued() -> list[str]:
    """Numbers of the jobs that run or wait."""
    return subprocess.run(["squeue", "--noheader", "--format=%A"], capture_output=True, text=True).stdout.split()


def cancel_a_job(folder: Path) -> None:
    """Somebody cancels one of the jobs."""
    if jobs := queued():
        subprocess.run(["scancel", jobs[0]])


def drain_node(folder: Path) -> None:
    """The node takes no jobs for a while; what runs goes on."""
    subprocess.run(["scontrol", "update", f"NodeName={','.join(NODES)}", "State=DRAIN", "Reason=test"], check=True)
    time.sleep(4)
    subprocess.run(["scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME"], check=True)


def lose_node(folder: Path) -> None:
    """The node is down for a moment, until it registers again, and its jobs go back to the queue."""
    subprocess.run(["scontrol", "update", f"NodeName={','.join(NODES)}", "State=DOWN", "Reason=test"], check=True)


def stages(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Process number and command of the stages that are at work in a folder."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = path.joinpath("cmdline").read_bytes().split(b"\0")
            if len(words) > 2 and words[1].endswith(b"/retmech") and path.joinpath("cwd").readlink() == folder:
                yield int(path.name), words


def kill_a_stage(folder: Path) -> None:
    """A stage is killed inside its job."""
    for job, _ in stages(folder):
        with contextlib.suppress(OSError):
            os.kill(job, signal.SIGKILL)
            return


def submitted(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own."""
    with open(folder / "run.log", "ab") as log:
        command = [*SUBMIT, *arguments, "--", MODEL]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


@pytest.mark.parametrize(
    "disturb",
    [
        cancel_a_job,
        kill_a_stage,
        drain_node,
        pytest.param(
            lose_node,
            marks=pytest.mark.skipif("RETMECH_CHAOS" not in os.environ, reason="a job of a lost node waits two minutes"),
        ),
    ],
)
def test_nothing_is_lost_on_a_cluster_that_is_disturbed(folder: Path, undisturbed: Path, disturb: Callable[[Path], None]) -> None:
    process = submitted(folder)
    time.sleep(random.Random(os.environ.get("RETMECH_CHAOS", "1")).uniform(7, 15))
    assert process.poll() is None
    disturb(folder)
    if process.wait(240) != 0:
        run(*SUBMIT, "--", MODEL, cwd=folder)
    assert (folder / MODEL).read_bytes() == (undisturbed / MODEL).read_bytes()


def test_jobs_that_a_killed_run_left_are_not_started_beside_them(folder: Path, undisturbed: Path) -> None:
    process = submitted(folder)
    left: list[str] = []
    while not left:
        assert process.poll() is None
        left = queued()
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    second = run(*SUBMIT, "--", MODEL, cwd=folder, check=False)
    assert second.returncode == 1
    assert f"still in SLURM's queue: {left[0]}" in second.stderr
    subprocess.run(["scancel", *left], check=True)
    wait_for_jobs()
    run(*SUBMIT, "--", MODEL, cwd=folder)
    assert (folder / MODEL).read_bytes() == (undisturbed / MODEL).read_bytes()


def killed_while_it_trains(folder: Path) -> int:
    """Kill a run, but not its training; return the training's process."""
    process = submitted(folder)
    while not any((folder / "work/checkpoints").glob("*/metrics.csv")):
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (job,) = (number for number, words in stages(folder) if b"train" in words)
    return job


def wait_for_jobs() -> None:
    while queued():
        time.sleep(0.2)


def test_a_job_goes_on_when_its_run_is_killed(folder: Path, undisturbed: Path) -> None:
    change(folder, "train", ln={"history": 200, "epochs": 60, "patience": 60})
    killed_while_it_trains(folder)
    wait_for_jobs()
    assert settings(folder)["epochs"] == 60


def test_a_job_that_is_not_asked_for_any_more_discards_its_result(slurm: Path, folder: Path) -> None:
    change(folder, "train", ln={"history": 200, "epochs": 60, "patience": 60})
    job = killed_while_it_trains(folder)
    os.kill(job, signal.SIGSTOP)
    with open(folder / "logs/train/tiny/ln/seed1.log") as log:
        made = made_by_another_run(folder)
        os.kill(job, signal.SIGCONT)
        wait_for_jobs()
        assert "retmech train: error: another run has begun in this folder since this job was started" in log.read()
    assert [job["JobState"] for job in of_folder(slurm, folder)] == ["FAILED"]
    assert (folder / MODEL).read_bytes() == made
    assert planned(folder, MODEL) == set()


def test_a_job_that_is_not_asked_for_any_more_does_not_begin(slurm: Path, folder: Path) -> None:
    process = submitted(folder, "--set-resources", "train:slurm_extra='--begin=now+1hour'")
    while not queued():
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = made_by_another_run(folder)
    subprocess.run(["scontrol", "update", f"JobId={queued()[0]}", "StartTime=now"], check=True)
    wait_for_jobs()
    assert [job["JobState"] for job in of_folder(slurm, folder)] == ["FAILED"]
    assert "another run has begun in this folder" in next((folder / ".snakemake/slurm_logs").rglob("*.log")).read_text()
    assert (folder / MODEL).read_bytes() == made


def made_by_another_run(folder: Path) -> bytes:
    """The model of a run with other settings that knows nothing of jobs in the queue, since SLURM does not answer."""
    change(folder, "train", ln={"history": 200, "epochs": 3})
    run("retmech", "run", "--cores", "1", MODEL, cwd=folder, SLURM_CONF="/none")
    assert settings(folder)["epochs"] == 3
    return (folder / MODEL).read_bytes()


def settings(folder: Path) -> dict[str, Any]:
    """What a model was trained with."""
    return json.loads(xr.open_datatree(folder / MODEL).attrs["settings"])


def test_tasks_that_nodes_cannot_share_are_refused() -> None:
    for tasks in ({}, {"tasks": 3}):
        with pytest.raises(ConfigError, match="mpi on 2 nodes: expected tasks_per_node, or tasks that they share evenly"):
            srun.launcher({"mpi": "srun", "nodes": 2, **tasks}, 1)


@pytest.mark.parametrize(
    ("resources", "launcher", "devices"),
    [
        ({"devices": 1}, "", "--devices 1 --nodes 1"),
        ({"devices": 3}, "", "--devices 3 --nodes 1"),
        (
            {"devices": 1, "mpi": "srun", "nodes": 2, "tasks_per_node": 4},
            "srun --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=3",
            "--devices 4 --nodes 2",
        ),
        (
            {"devices": 1, "mpi": "srun", "nodes": 2, "tasks": 2},
            "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=3",
            "--devices 1 --nodes 2",
        ),
    ],
)
def test_the_launcher_asks_for_a_task_per_device(resources: dict[str, object], launcher: str, devices: str) -> None:
    assert srun.launcher(resources, 3) == launcher
    assert srun.device_arguments(resources) == devices
