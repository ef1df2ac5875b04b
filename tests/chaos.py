"""Disturb runs at random moments, round after round, and compare what they end in with an undisturbed run.

`python -m tests.chaos 30` does thirty rounds; the tests do a few.
"""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.pipeline import results, small_config, workspace

DISK = 200  # MB
BEGINS, LONGEST = 3.0, 25.0  # s after which a run has its first job, and is disturbed at the latest


class Run:
    """`retmech run` in a folder, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Without this right the administrator, too, may write only where the owner may.
        obeying = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [*obeying, "retmech", "run", "--cores", "2"],
            cwd=folder,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def a_job(self) -> int | None:
        """The process number of one of the stages that are running."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = path.joinpath("cmdline").read_bytes().split(b"\0")
                if os.getpgid(int(path.name)) == self.process.pid and len(words) > 2 and words[1].endswith(b"/retmech"):
                    found.append(int(path.name))
        return random.choice(found) if found else None


def kill_all(run: Run) -> bool:
    """The power fails."""
    os.killpg(run.process.pid, signal.SIGKILL)
    return True


def kill_run(run: Run) -> bool:
    """The run alone is killed; its jobs live until they notice."""
    run.process.kill()
    return True


def kill_run_beside_a_job(run: Run) -> bool:
    """One of the jobs cannot notice; who starts again meanwhile is refused."""
    job = run.a_job()
    if job:
        os.kill(job, signal.SIGSTOP)
        time.sleep(0.5)
        run.process.kill()
        run.process.wait()
        refused = Run(run.folder).process.wait(120)
        os.kill(job, signal.SIGCONT)
        if refused != 1:
            raise AssertionError(f"a run beside process {job} of another was not refused, but ended with {refused}")
    return job is not None


def terminate(run: Run) -> bool:
    """The machine is shut down."""
    run.process.terminate()
    return True


def kill_job(run: Run) -> bool:
    """As the kernel does when the machine's memory is used up."""
    job = run.a_job()
    if job:
        os.kill(job, signal.SIGKILL)
    return job is not None


def terminate_job(run: Run) -> bool:
    """As a scheduler does when time is up."""
    job = run.a_job()
    if job:
        os.kill(job, signal.SIGTERM)
    return job is not None


def limit_memory(run: Run) -> bool:
    """From now on a job gets no more memory than it has."""
    job = run.a_job()
    if job:
        size = int(Path(f"/proc/{job}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(job, resource.RLIMIT_AS, (size, size))
    return job is not None


def fill_disk(run: Run) -> bool:
    """No space is left on the disk for a while."""
    ballast = run.folder.parent / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))
    time.sleep(random.uniform(1, 8))
    ballast.unlink()
    return True


def forbid_writing(run: Run) -> bool:
    """Nobody may write results for a while."""
    folders = [path for path in run.folder.glob("results/**") if path.is_dir()]
    for mode in (0o555, 0o755):
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                folder.chmod(mode)
        if mode == 0o555:
            time.sleep(random.uniform(1, 8))
    return bool(folders)


DISTURBANCES = (
    *(kill_all, kill_run, kill_job, kill_run_beside_a_job, terminate, terminate_job),
    *(limit_memory, forbid_writing, fill_disk),
)


@contextlib.contextmanager
def disk() -> Iterator[tuple[Path, bool]]:
    """A folder on a small disk in memory, or any folder where none may be mounted; and whether it is one."""
    with tempfile.TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", name]
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
        try:
            yield Path(name), mounted
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", name], check=True)


def chaos(rounds: int, seed: int, expected: dict[str, bytes]) -> Counter[str]:
    """Start a run and disturb it, so many times, and then let it end.

    Each time that a run gets to its end its results must be the expected ones; they are then deleted, and it begins anew.

    Returns
    -------
    Counter
        How often each disturbance struck, and how often a run got to its end.
    """
    random.seed(seed)
    told: Counter[str] = Counter()
    with disk() as (parent, own):
        disturbances = DISTURBANCES if own else DISTURBANCES[:-1]
        folder = workspace(parent / "run", small_config(1))
        for i in range(rounds):
            run, disturb = Run(folder), disturbances[i % len(disturbances)]
            moment = random.uniform(BEGINS, LONGEST)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(moment)
            if run.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    told[disturb.__name__] += disturb(run)
            code = run.process.wait(300)
            print(
                f"{i + 1:3} {disturb.__name__:21} after {moment:4.1f} s: ends with {code}, {len(results(folder))} files",
                flush=True,
            )
            if code == 0:
                _compare(folder, expected, told)
        if Run(folder).process.wait(600) != 0:
            raise AssertionError(f"the last run in {folder} did not end well")
        _compare(folder, expected, told)
    return told


def _compare(folder: Path, expected: dict[str, bytes], told: Counter[str]) -> None:
    found = results(folder)
    wrong = sorted(path for path in {*found, *expected} if found.get(path) != expected.get(path))
    if wrong:
        raise AssertionError(f"not as in an undisturbed run: {', '.join(wrong)}")
    told["ended"] += 1
    for name in ("results", "work/checkpoints"):
        shutil.rmtree(folder / name)


def main(rounds: int, seed: int) -> None:
    """Print what happened in each round."""
    with tempfile.TemporaryDirectory() as name:
        undisturbed = workspace(Path(name) / "run", small_config(1))
        if Run(undisturbed).process.wait(600) != 0:
            raise SystemExit("the undisturbed run failed")
        print(dict(chaos(rounds, seed, results(undisturbed))))


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["30", "1"][len(sys.argv) - 1 :])))
