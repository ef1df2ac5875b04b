"""Which run a folder belongs to, so that no job of another one changes its results.

A run holds the lock of its folder as long as it lives, and writes its name into the locked file; its jobs inherit the name. A job
on the run's own machine looks every second whether the lock is held under that name; if not, it has lost its run, and ends. A job
elsewhere, as SLURM's are, goes on without its run until another one begins in the folder. Both look again before what they made
takes its place (:mod:`retmech.outputs`). What a user starts by hand belongs to no run and is let alone.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retmech.errors import RetmechError
from retmech.locks import lock, share

LOCK = Path("work/run.lock")
JOBS = Path("work/jobs")  # a file for each process that works for a run on its machine, locked as long as it does
RUN = "RETMECH_RUN"  # name and folder of a run, in the environment of its jobs
LOOK = 1.0  # s after which a job looks again whether its run lives
REMOTE = "RETMECH_REMOTE"  # set for jobs on other machines, which go on without their run

ENDED = "the run that started this job has ended. The job ends too and writes nothing; start the run again."
REPLACED = "another run has begun in this folder since this job was started. It makes its own results; this job's are discarded."


def own_name() -> str:
    """Name of the run that this process works for; empty for what was started by hand."""
    return os.environ.get(RUN, "").partition(" ")[0]


def check() -> None:
    """Make sure that what this process makes is still asked for.

    Raises
    ------
    RetmechError
        If another run has begun in the folder, or the run that started this process on its own machine has ended.
    """
    if not own_name():
        return
    with suppress(FileNotFoundError), open(_folder() / LOCK) as file:  # without the file no other run has begun
        if file.readline().strip() != own_name():
            raise RetmechError(REPLACED)
        if REMOTE not in os.environ and share(file):
            raise RetmechError(ENDED)


@contextmanager
def at_work(what: str) -> Iterator[None]:
    """Let later runs know that this process works for a run, and what it makes; end it as soon as that run ends."""
    if not own_name() or REMOTE in os.environ:
        check()
        yield
        return
    path = _folder() / JOBS / f"{os.uname().nodename}.{os.getpid()}"
    with _registered(path, what):
        check()  # only now: a run that begins looks for these files after it has written its name
        done = threading.Event()
        threading.Thread(target=_end_with_run, args=[done], daemon=True).start()
        try:
            yield
        finally:
            done.set()


def working(folder: Path) -> list[str]:
    """Return the processes that still work for a run in a folder, in words; what killed ones left is removed."""
    found = []
    for path in sorted((folder / JOBS).glob("*")):
        with suppress(FileNotFoundError), open(path) as file:
            if share(file) is False:
                host, _, process = path.name.rpartition(".")
                found.append(f"process {process} on {host} ({file.read()})")
            else:
                path.unlink()
    return found


@contextmanager
def _registered(path: Path, what: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "w")  # noqa: SIM115
    except OSError as error:
        raise RetmechError(f"{path}: cannot be written ({error}). Is there space, and may you write there?") from None
    with file:
        lock(file.fileno(), wait=True)
        file.write(what)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _end_with_run(done: threading.Event) -> None:
    """End this process as soon as its run is gone: to wait for the lock would not do, which another run may get first."""
    while not done.wait(LOOK):
        try:
            check()
        except RetmechError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(1)


def _folder() -> Path:
    return Path(os.environ[RUN].partition(" ")[2])
