"""`retmech run`: one pipeline at a time in a folder, and no manual unlocking after a crash."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from retmech.errors import RetmechError
from retmech.locks import lock

LOCK = Path("work/run.lock")
HELD = "RETMECH_RUN"  # set in the environment of a run that holds the lock


def launch(arguments: Sequence[str]) -> None:
    """Replace this process by snakemake, holding a lock that the kernel gives up when the run ends, however it ends.

    Snakemake's own lock outlives a killed run. Who holds this one knows that no other run is alive, and may remove that.

    Raises
    ------
    RetmechError
        If another run is under way in this folder, jobs of one that ended are still queued, there is no Snakefile, or the path is
        not one for SLURM.
    """
    if not Path("Snakefile").exists():
        raise RetmechError("there is no Snakefile in this folder. Go to the folder that has retmech's Snakefile and run again.")
    beside = Path(sys.executable).with_name("snakemake")
    program = str(beside) if beside.exists() else shutil.which("snakemake")
    if program is None:
        raise RetmechError("snakemake is not installed in this environment. Install retmech with its constraints again.")
    if any("slurm" in word for word in arguments):
        _check_paths(Path(sys.executable), Path.cwd())
    file, held = hold()
    left = [] if {"-n", "--dry-run", "--dryrun"} & set(arguments) else _queued(Path.cwd())
    if left:
        raise RetmechError(
            f"jobs of an earlier run in this folder are still in SLURM's queue: {', '.join(left)}. Wait for them to end, or stop "
            f"them with `scancel {' '.join(left)}`; nothing was touched."
        )
    os.set_inheritable(file, True)
    os.environ[HELD] = "1"
    os.environ["PATH"] = f"{beside.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if held and any(Path(".snakemake/locks").glob("*")):
        subprocess.run([program, "--unlock", "--quiet", "all"], check=True)
    os.execv(program, [program, *arguments])


def hold() -> tuple[int, bool]:
    """Take this folder's lock.

    Returns
    -------
    file
        The lock is held as long as this is open in some process.
    held
        False in a file system that knows no locks.

    Raises
    ------
    RetmechError
        If another run holds it, or nothing can be written here.
    """
    try:
        LOCK.parent.mkdir(exist_ok=True)
        file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        return file, lock(file, wait=False)
    except BlockingIOError:
        raise RetmechError("another run is under way in this folder. Wait for it to end; nothing was touched.") from None
    except OSError as error:
        raise RetmechError(f"{LOCK} cannot be written ({error.strerror}). Run in a folder where you may write.") from None


def hold_unless_held() -> None:
    """Take the lock for a run that was not started by `retmech run`, which then knows that it is alive."""
    if HELD not in os.environ:
        hold()


def _check_paths(*paths: Path) -> None:
    """Snakemake's SLURM executor does not quote the path of Python; its jobs would all fail at once."""
    for path in paths:
        if " " in str(path):
            raise RetmechError(
                f"{path}: on SLURM neither the folder of the run nor Python's may have a space in its path. Move it."
            )


def _queued(folder: Path) -> list[str]:
    """Job numbers of the user that SLURM runs or will run in a folder; none where there is no SLURM that answers.

    A run that was killed leaves its jobs behind, and a new one would start them again beside them.
    """
    if shutil.which("squeue") is None:
        return []
    try:
        found = subprocess.run(["squeue", "--me", "--noheader", "--format=%A|%k|%Z"], capture_output=True, text=True, timeout=30)  # noqa: S607
    except subprocess.TimeoutExpired:
        return []
    jobs = [line.strip().split("|", 2) for line in found.stdout.splitlines()]
    ours = [number for number, comment, where in jobs if comment.startswith("rule_") and Path(where) == folder]
    return sorted(set(ours), key=int)
