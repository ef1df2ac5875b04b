"""`retmech run`: one pipeline at a time in a folder, and no manual unlocking after a crash."""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from retmech.errors import ConfigError, RetmechError
from retmech.locks import lock, share
from retmech.runs import LOCK, RUN, working

CACHE = Path("work/cache")
PATIENCE = 5  # s in which jobs notice that their run has ended
DRY = {"-n", "-np", "-pn", "--dry-run", "--dryrun"}  # says what would be done, also while another run is under way


def launch(arguments: Sequence[str]) -> None:
    """Replace this process by snakemake, holding a lock that the kernel gives up when the run ends, however it ends.

    Snakemake's own lock outlives a killed run. Who holds this one knows that no other run is alive, and may remove that.

    Raises
    ------
    ConfigError
        If a config file cannot be read.
    RetmechError
        If another run is under way in this folder, jobs of one that ended are left, there is no Snakefile, or the path is not one
        for SLURM.
    """
    if not Path("Snakefile").exists():
        raise RetmechError("there is no Snakefile in this folder. Go to the folder that has retmech's Snakefile and run again.")
    beside = Path(sys.executable).with_name("snakemake")
    program = str(beside) if beside.exists() else shutil.which("snakemake")
    if program is None:
        raise RetmechError("snakemake is not installed in this environment. Install retmech with its constraints again.")
    _check_configs(arguments)
    if any("slurm" in word for word in arguments):
        _check_paths(Path(sys.executable), Path.cwd())
    os.environ["PATH"] = f"{beside.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _find_cache(Path.cwd())
    if not DRY & set(arguments):
        _take_over(program, Path.cwd())
    os.execv(program, [program, *arguments])


def _find_cache(folder: Path) -> None:
    """Have Snakemake and what its jobs use keep their caches in the folder where no home can be written, as in containers."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    with suppress(OSError):
        usual.mkdir(parents=True, exist_ok=True)
    if not os.access(usual, os.W_OK):
        os.environ["XDG_CACHE_HOME"] = str(folder / CACHE)
        os.environ.setdefault("MPLCONFIGDIR", str(folder / CACHE / "matplotlib"))


def _take_over(program: str, folder: Path) -> None:
    """Begin the run that is to come, and remove what a run that was killed left of Snakemake's own lock."""
    file, held = begin(folder)
    os.set_inheritable(file, True)
    if held and any(Path(".snakemake/locks").glob("*")):
        status = subprocess.run([program, "--unlock", "--quiet", "all"]).returncode
        if status:
            sys.exit(status)  # Snakemake has said why


def begin(folder: Path) -> tuple[int, bool]:
    """Take a folder's lock for this process, and let jobs of other runs know that there is a new one.

    Returns
    -------
    file
        The lock is held as long as this is open in some process.
    held
        False in a file system that knows no locks.

    Raises
    ------
    RetmechError
        If another run holds it, jobs of one that ended are still at work or in SLURM's queue, or nothing can be written here.
    """
    path = folder / LOCK
    try:
        path.parent.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            held = _lock(file)
            _succeed(file, folder)
        except BaseException:
            os.close(file)
            raise
    except BlockingIOError:
        holder = path.read_text().partition("\n")[2].strip()
        raise RetmechError(
            f"another run is under way in this folder: {holder or 'it has just begun'}. Wait for it to end; nothing was touched."
        ) from None
    except OSError as error:
        raise RetmechError(f"{path} cannot be written ({error.strerror}). Run in a folder where you may write.") from None
    return file, held


def _succeed(file: int, folder: Path) -> None:
    """Take the place of the run before, whose lock this is now."""
    if left := _queued(folder):
        raise RetmechError(
            f"jobs of an earlier run in this folder are still in SLURM's queue: {', '.join(left)}. Wait for them to end, or stop "
            f"them with `scancel {' '.join(left)}`; nothing was touched."
        )
    name = secrets.token_hex(4)
    os.ftruncate(file, 0)
    os.pwrite(file, f"{name}\nprocess {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
    if left := _orphans(folder):  # only now: a job that starts meanwhile looks for the name after it has said that it is at work
        raise RetmechError(
            f"jobs of an earlier run in this folder, which has ended, are still at work: {', '.join(left)}. "
            "Wait for them to end, or stop them with `kill`; no result was touched."
        )
    os.environ[RUN] = f"{name} {folder}"


def _lock(file: int) -> bool:
    """Lock a run's file, which jobs share for a moment when they look whether their run has ended."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return lock(file, wait=False)
        except BlockingIOError:
            if not share(file) or time.monotonic() > end:
                raise
        time.sleep(0.1)


def _orphans(folder: Path) -> list[str]:
    """Processes that still work for a run that has ended, in spite of some patience."""
    end = time.monotonic() + PATIENCE
    while (left := working(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def _check_configs(arguments: Sequence[str]) -> None:
    """Snakemake ends in a traceback where a config file is none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--configfile", "--configfiles", nargs="*", default=[], type=Path)
    named: list[Path] = parser.parse_known_args(arguments)[0].configfile
    for path in [*filter(Path.exists, [Path("config.yaml")]), *named]:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            problem = "" if isinstance(content, dict) else f"expected sections, found {str(content)[:40]!r}"
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        if problem:
            hint = " A target stands before `--configfile`, which takes all words after it." if path in named else ""
            raise ConfigError(f"{path}: cannot be read as a config ({problem}).{hint}")


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
