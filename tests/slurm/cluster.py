"""A real SLURM of two nodes, both of them this machine, started from Debian's packages for as long as a test needs it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
CONFIGURATION = (Path("/etc/slurm/slurm.conf"), Path("/etc/slurm/gres.conf"))
NODES = ("node1", "node2")
CORES = 4  # of each node, more than there may be: jobs share them
MEMORY = 64000  # MB; likewise

# No cgroups, so that it also runs in a container; a job over its memory is killed by the accounting that gathers every second.
SETTINGS = """\
ClusterName=retmech
SlurmctldHost={host}
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
KillWait=3
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
GresTypes=gpu
PartitionName=cpu Nodes=ALL Default=YES State=UP
PartitionName=gpu Nodes=ALL State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory={memory} Gres=gpu:2\n"


def missing() -> list[str]:
    """What a cluster needs and is not there."""
    programs = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    return (
        programs
        + ([] if os.geteuid() == 0 else ["the rights to start it (root)"])
        + ([f"a path of Python without a space, not {sys.executable}"] if " " in sys.executable else [])
        + [f"a machine without {file}" for file in CONFIGURATION if file.exists()]
    )


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """Start munged, slurmctld and slurmd in a folder, and stop them afterwards. Yields the folder.

    The configuration has to be in its usual place: $SLURM_CONF does not reach the steps of a job.
    """
    host = socket.gethostname().split(".")[0]
    (folder / "state").mkdir(parents=True)
    port, *ports = _free_ports(1 + len(NODES))
    nodes = zip(NODES, ports, strict=True)
    each = [NODE.format(name=name, host=host, port=its, cores=CORES, memory=MEMORY) for name, its in nodes]
    (folder / "slurm.conf").write_text(SETTINGS.format(host=host, folder=folder, port=port) + "".join(each))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    os.environ["PATH"] = _path()
    files = [f"--{name}-file={folder}/munge.{name.removesuffix('-seed')}" for name in ("key", "log", "pid")]
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files, f"--seed-file={folder}/munge.seed"]
    daemons = [_start(folder, munge)]
    try:
        for file in CONFIGURATION:
            file.unlink(missing_ok=True)  # of a cluster that was killed: what is there is checked before
            file.symlink_to(folder / file.name)
        _wait(lambda: (folder / "munge.socket").exists(), "munged")
        daemons.append(_start(folder, ["slurmctld", "-D"]))
        daemons += [_start(folder, ["slurmd", "-D", "-N", name]) for name in NODES]
        _wait(lambda: _idle() == len(NODES), "slurmd")
        yield folder
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for file in CONFIGURATION:
            file.unlink(missing_ok=True)


def completed(folder: Path) -> list[dict[str, str]]:
    """What SLURM wrote down about each job that ended."""
    lines = (folder / "completed.txt").read_text().splitlines() if (folder / "completed.txt").exists() else []
    return [dict(entry.split("=", 1) for entry in line.split(" ") if "=" in entry) for line in lines]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin"]) if "/usr/sbin" not in os.environ["PATH"] else os.environ["PATH"]


def _start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    with open(folder / f"{command[0]}.out", "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def _idle() -> int:
    states = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%T", "--partition=cpu"], capture_output=True, text=True)
    return states.stdout.split().count("idle")


def _wait(ready, what: str, seconds: float = 30) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not start within {seconds:.0f} s")
        time.sleep(0.2)
