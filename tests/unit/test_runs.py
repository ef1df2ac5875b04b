"""Jobs write only as long as their run asks for it; a run begins only where no job of another is at work."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xarray as xr

from retmech import io, launch, runs, schemas
from retmech.errors import RetmechError
from retmech.io import Provenance
from retmech.outputs import placed, write_folder, write_text
from retmech.stages.simulate import Simulation
from tests.pipeline import run

RUN = """
import os, sys, time
from pathlib import Path
from retmech.launch import begin
os.set_inheritable(begin(Path.cwd())[0], True)
os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
"""
JOB = """
import time
from retmech.runs import at_work
with at_work("train results/model.nc"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs begin; jobs of none so far."""
    monkeypatch.setattr(launch, "PATIENCE", 0.5)
    for name in (runs.RUN, runs.REMOTE):
        monkeypatch.setenv(name, "")  # so that what a run sets is forgotten
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def retina(simulation: Simulation) -> xr.Dataset:
    return simulation.retina


@pytest.fixture
def other_run(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run in another process; its jobs inherit what this one's environment then says."""
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=folder)
    while not (folder / runs.LOCK).exists() or not (folder / runs.LOCK).read_text():
        time.sleep(0.02)
    os.environ[runs.RUN] = f"{(folder / runs.LOCK).read_text().split()[0]} {folder}"
    yield process
    process.kill()
    process.wait()


def job(text: str = JOB) -> subprocess.Popen[str]:
    """A job of the run in the environment that is at work."""
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "at work\n"
    return process


def all_written(folder: Path, retina: xr.Dataset) -> dict[str, Callable[[], None]]:
    """What writes outputs, by what it writes."""
    return {
        "page.html": lambda: write_text("new", folder / "page.html"),
        "circuit": lambda: write_folder(folder / "circuit", [("table.csv", b"new")]),
        "retina.nc": lambda: io.write(retina, schemas.RETINA, folder / "retina.nc", Provenance()),
    }


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and "work" not in p.parts}


def test_what_is_started_by_hand_writes_and_leaves_no_trace(folder: Path, retina: xr.Dataset) -> None:
    with runs.at_work("train"):
        for write in all_written(folder, retina).values():
            write()
    assert set(files(folder)) == {"page.html", "circuit/table.csv", "retina.nc"}
    assert not (folder / "work").exists()


def test_a_job_writes_as_long_as_its_run_lives(folder: Path, retina: xr.Dataset) -> None:
    file, held = launch.begin(folder)
    assert held
    for write in all_written(folder, retina).values():
        write()
    before = files(folder)
    assert set(before) == {"page.html", "circuit/table.csv", "retina.nc"}
    os.close(file)
    for write in all_written(folder, retina).values():
        with pytest.raises(RetmechError, match="the run that started this job has ended"):
            write()
    assert files(folder) == before


def test_a_job_elsewhere_goes_on_without_its_run_until_another_begins(
    folder: Path, retina: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(launch.begin(folder)[0])
    own = os.environ[runs.RUN]
    monkeypatch.setenv(runs.REMOTE, "1")
    with runs.at_work("train"):
        for write in all_written(folder, retina).values():
            write()
    assert not (folder / runs.JOBS).exists()
    before = files(folder)
    file, _ = launch.begin(folder)
    os.environ[runs.RUN] = own
    for write in all_written(folder, retina).values():
        with pytest.raises(RetmechError, match="another run has begun in this folder since this job was started"):
            write()
    assert files(folder) == before
    os.close(file)


def test_a_job_that_is_not_asked_for_any_more_leaves_what_the_next_run_is_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(launch.begin(folder)[0])
    own = os.environ[runs.RUN]
    monkeypatch.setenv(runs.REMOTE, "1")
    file, _ = launch.begin(folder)
    with placed(folder / "page.html") as partial:
        partial.write_text("of the next run")
        monkeypatch.setenv(runs.RUN, own)
        with pytest.raises(RetmechError, match="another run has begun"):
            write_text("of the run before", folder / "page.html")
        monkeypatch.setenv(runs.RUN, f"{(folder / runs.LOCK).read_text().split()[0]} {folder}")
    assert (folder / "page.html").read_text() == "of the next run"
    os.close(file)


def test_a_config_with_an_error_beside_the_lock_of_a_killed_run_is_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.input.lock").touch()
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        launch._take_over("false", folder)
    assert ended.value.code == 1


def test_a_job_of_an_earlier_run_that_starts_late_does_nothing(folder: Path) -> None:
    os.close(launch.begin(folder)[0])
    own = os.environ[runs.RUN]
    arguments = ("export", "--circuit", "none.nc", "--output", "out")
    assert "the run that started this job has ended" in run("retmech", *arguments, cwd=folder, check=False).stderr
    file, _ = launch.begin(folder)
    done = run("retmech", *arguments, cwd=folder, check=False, **{runs.RUN: own})
    assert done.returncode == 1
    assert "another run has begun in this folder" in done.stderr
    assert not any((folder / runs.JOBS).iterdir())
    os.close(file)


def test_a_job_ends_with_its_run(folder: Path, other_run: subprocess.Popen[bytes]) -> None:
    process = job()
    assert [path.read_text() for path in (folder / runs.JOBS).iterdir()] == ["train results/model.nc"]
    with pytest.raises(RetmechError, match=f"another run is under way in this folder: process {other_run.pid} on "):
        launch.begin(folder)
    other_run.kill()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "the run that started this job has ended" in said
    os.close(launch.begin(folder)[0])
    assert not any((folder / runs.JOBS).iterdir())  # it was removed by the next run


def test_a_run_names_processes_that_still_work_for_another(folder: Path, other_run: subprocess.Popen[bytes]) -> None:
    process = job()
    process.send_signal(signal.SIGSTOP)  # it cannot notice that its run is gone
    os.waitpid(process.pid, os.WUNTRACED)
    other_run.kill()
    other_run.wait()
    with pytest.raises(
        RetmechError, match=rf"still at work: process {process.pid} on {os.uname().nodename} \(train results/model\.nc\)\. Wait"
    ):
        launch.begin(folder)
    process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 1
    os.close(launch.begin(folder)[0])


def test_a_run_waits_for_jobs_that_have_just_lost_theirs(
    folder: Path, other_run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loads a library cannot notice at once."""
    monkeypatch.setattr(launch, "PATIENCE", 20)
    busy = "import ctypes\n" + JOB.replace("time.sleep(60)", "ctypes.PyDLL(None).sleep(3); time.sleep(60)")
    process = job(busy)
    time.sleep(0.5)
    other_run.kill()
    other_run.wait()
    os.close(launch.begin(folder)[0])
    assert process.wait(20) == 1


def test_a_job_notices_that_the_next_run_was_the_first_to_get_the_lock(
    folder: Path, other_run: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 20)
    process = job()
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    other_run.kill()
    other_run.wait()
    threading.Timer(1, process.send_signal, [signal.SIGCONT]).start()
    os.close(launch.begin(folder)[0])
    assert process.wait(20) == 1


def test_jobs_leave_no_file_behind(folder: Path) -> None:
    file, _ = launch.begin(folder)
    run(sys.executable, "-c", "from retmech.runs import at_work\nwith at_work('train'): pass", cwd=folder)
    assert not any((folder / runs.JOBS).iterdir())
    os.close(file)


def test_what_killed_jobs_left_half_is_removed_and_nothing_else(folder: Path) -> None:
    for left in (".circuit.partial", ".circuit.partial-0a1b2c3d"):
        (folder / left).mkdir()
    for beside in (".circuit.nc.partial-0a1b2c3d", ".circuit.csv.partial"):
        (folder / beside).write_text("of another output")
    write_folder(folder / "circuit", [("table.csv", b"new")])
    assert {p.name for p in folder.iterdir()} == {"circuit", ".circuit.nc.partial-0a1b2c3d", ".circuit.csv.partial"}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_the_later_run_still_counts(code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    os.close(launch.begin(folder)[0])
    own = os.environ[runs.RUN]
    with runs.at_work("train"):
        write_text("first", folder / "page.html")
    os.close(launch.begin(folder)[0])
    os.environ[runs.RUN] = own
    with pytest.raises(RetmechError, match="another run has begun"):
        write_text("second", folder / "page.html")
    assert (folder / "page.html").read_text() == "first"
    with pytest.raises(RetmechError, match="another run has begun"), runs.at_work("train"):
        pass


def test_a_run_whose_scratch_was_deleted_goes_on(folder: Path) -> None:
    file, _ = launch.begin(folder)
    (folder / runs.LOCK).unlink()
    write_text("new", folder / "page.html")
    os.close(file)
    assert (folder / "page.html").read_text() == "new"


def test_without_a_home_caches_are_kept_in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (folder / "home").mkdir()
    monkeypatch.setenv("HOME", str(folder / "home"))
    launch._find_cache(folder)
    assert "XDG_CACHE_HOME" not in os.environ
    monkeypatch.setenv("HOME", "/proc/none")
    launch._find_cache(folder)
    assert os.environ["XDG_CACHE_HOME"] == f"{folder}/work/cache"
    assert os.environ["MPLCONFIGDIR"] == f"{folder}/work/cache/matplotlib"
