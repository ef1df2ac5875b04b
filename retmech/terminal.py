"""What a run shows on the terminal: a live display where somebody looks, a line per job where not, and what went wrong.

Snakemake's own record of a run, with all commands, is kept in `.snakemake/log`.
"""

import logging
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from retmech.reasons import in_words

LAST_LINES = 15
RUNNING_SHOWN = 3
# What is worth a line among what Snakemake says beside its events.
SAID = ("Nothing to be done", "Trying to restart job")
# What only repeats that a job failed, or is not so: retmech's outputs are whole or absent.
SAID_ANYWAY = (
    *("Exiting because a job execution failed", "WorkflowError:\nAt least one job did not complete"),
    "--keep-incomplete mode is set",
)

_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Remember that somebody pressed Ctrl-C: jobs that end with it did not fail."""
    _interrupted.set()
    signal.default_int_handler(number, frame)


class LogHandler(LogHandlerBase):
    """Snakemake's events on the terminal."""

    writes_to_stream, writes_to_file, has_filter, has_formatter, needs_rulegraph = True, False, True, True, False

    def __post_init__(self) -> None:
        """Take over the terminal."""
        self.dry_run = bool(getattr(self.common_settings, "dryrun", False))
        self.verbose = bool(getattr(self.common_settings, "verbose", False))
        self.quiet = bool(getattr(self.common_settings, "quiet", None))
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, no_color=bool(self.common_settings.nocolor))
        self.started = time.monotonic()
        self.jobs: dict[int, str] = {}
        self.running: dict[int, str] = {}
        self.planned: Counter[tuple[str, str]] = Counter()
        self.done = self.total = 0
        self.progress: Progress | None = None
        here = threading.current_thread() is threading.main_thread()  # others may not say what a signal does
        if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)

    def emit(self, record: logging.LogRecord) -> None:
        """Show one event; one that cannot be shown stops no run."""
        try:
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        event, said = getattr(record, "event", None), vars(record)
        if event == LogEvent.JOB_INFO:
            self._begin(said)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(said["job_id"])
        elif event == LogEvent.PROGRESS:
            self.done = min(said["done"], self.total)
            self._refresh()
        elif event == LogEvent.RUN_INFO:
            # The target itself is no work.
            self.total = said["stats"]["total"] - said["stats"].get("all", 0)
        elif event == LogEvent.JOB_ERROR:
            self._fail(said)
        elif event == LogEvent.GROUP_ERROR:
            for path in said["aux_logs"]:  # its jobs follow, each by itself
                self.console.print(f"FAILED {said['groupid']}: {path}", style="bold red", markup=False)
        elif said.get("exception") == "RuleException" and "CalledProcessError" in record.getMessage():
            for signal in re.findall(r"died with <Signals\.(\w+)", record.getMessage()):
                self.console.print(f"a job was stopped by {signal}")
        elif record.getMessage().startswith(SAID_ANYWAY):
            return
        elif self.verbose or record.levelno >= logging.WARNING or record.getMessage().startswith(SAID):
            self.console.print(record.getMessage(), markup=False)

    def _begin(self, job: Mapping[str, Any]) -> None:
        name = _name(job["rule_name"], job["wildcards"])
        if self.dry_run:
            if job["rule_name"] != "all":
                self.planned[job["rule_name"], in_words(job["reason"])] += 1
            return
        self.jobs[job["jobid"]] = self.running[job["jobid"]] = name
        self._refresh()

    def _finish(self, number: int) -> None:
        self.running.pop(number, None)
        name = self.jobs.get(number, "all")
        if name != "all":
            self.done += 1
            if self.progress is None and not self.quiet:
                share = f"{self.done:{len(str(self.total))}}/{self.total}"
                self.console.print(f"{self._clock()}  {share}  {name}", markup=False)

    def _refresh(self) -> None:
        if not self.console.is_terminal or self.dry_run or self.quiet:
            return
        if self.progress is None:
            columns = (BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.progress.add_task("")
            self.progress.start()
        names = list(self.running.values())
        more = f" and {len(names) - RUNNING_SHOWN} more" if len(names) > RUNNING_SHOWN else ""
        self.progress.update(
            self.progress.task_ids[0],
            total=self.total,
            completed=self.done,
            description=", ".join(names[:RUNNING_SHOWN]) + more,
        )

    def _fail(self, job: Mapping[str, Any]) -> None:
        self.running.pop(job["jobid"], None)
        missing = [path for path in job["output"] if not Path(path).exists()]
        if job["indent"] and not (missing and any(Path(path).exists() for path in job["log"])):
            return  # of a group: done before another failed, or not begun
        name = self.jobs.get(job["jobid"], job["rule_name"])
        if _interrupted.is_set():
            self.console.print(f"stopped {name}", markup=False)
            return
        self.console.print(f"FAILED {name}", style="bold red", markup=False)
        if job["rule_msg"]:
            self.console.print(f"  {job['rule_msg']}", markup=False)
        for path in job["log"]:
            for line in ending(Path(path)):
                self.console.print(f"  {line}", markup=False)

    def close(self) -> None:
        """Leave the terminal as it was, and say what a run would do."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
        if self.done:
            self.console.print(f"{self.done} of {self.total} jobs done in {self._clock()}", markup=False)
            self.done = 0
        for line in plan(self.planned):
            print(line, file=sys.stdout, flush=True)
        self.planned.clear()
        super().close()

    def _clock(self) -> str:
        minutes, rest = divmod(int(time.monotonic() - self.started), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def plan(jobs: Mapping[tuple[str, str], int]) -> list[str]:
    """Lines that say how many jobs of which rule would run, and why."""
    if not jobs:
        return []
    wide = max(len(rule) for rule, _ in jobs)
    lines = [f"{count:7} {rule:{wide}}  {why}" for (rule, why), count in sorted(jobs.items())]
    return [*lines, f"{sum(jobs.values()):7} jobs in all; nothing was run"]


def ending(log: Path, lines: int = LAST_LINES) -> list[str]:
    """Return the last lines of a failed job's log, after one that says where it is."""
    if not log.exists():
        return [f"it left no log ({log})"]
    said = log.read_text(errors="replace").splitlines()
    if not said:
        return [f"{log} is empty: it was stopped before it said anything"]
    return [f"{log}{' ends with' if len(said) > lines else ' says'}", *(f"  {line}" for line in said[-lines:])]


def advice(record: str) -> str:
    """What to do after a run that failed or was interrupted; Snakemake's record of it is in a file."""
    if _interrupted.is_set():
        what = "The run was interrupted. What is finished is kept; the same command goes on, training from its last epoch."
    else:
        what = (
            "The run stopped before its end. What is finished is kept: mend what the failed jobs say and start the same\n"
            "command again. Training goes on from its last epoch. Out of memory: fewer --cores; on a cluster, more mem_mb in\n"
            "its profile."
        )
    return f"{what}\nAll that happened, with the commands: {record}"


def _name(rule: str, wildcards: Mapping[str, str] | Sequence[str]) -> str:
    values = wildcards.values() if isinstance(wildcards, Mapping) else wildcards
    return " ".join([rule, *map(str, values)])
