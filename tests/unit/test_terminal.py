"""What a run says: why, where it is, and what went wrong."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.persistence import ParamsChange
from snakemake_interface_logger_plugins.common import LogEvent

from retmech.provenance import canonical_json
from retmech.reasons import in_words
from retmech.terminal import LogHandler, advice, ending, plan

DIGESTS = repr("a" * 64), repr("b" * 64)


def changed(before: set[str], now: set[str]) -> str:
    """A reason as Snakemake writes it."""
    return f"Params have changed since last execution: {ParamsChange(before, now, {'x.nc'})}"


def settings(**values: Any) -> str:
    return repr(canonical_json(values))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Missing output files: a.nc, b.nc", "not made yet"),
        ("Missing output files: a.nc; Input files updated by another job: b.nc", "not made yet"),
        ("Input files updated by another job: b.nc", "follows from jobs before it"),
        ("Updated input files: raw; 1.h5", "raw; 1.h5 changed"),
        ("Something that no version said yet", "Something that no version said yet"),
        (changed({settings(rank=1)}, {settings(rank=2)}), "settings changed: rank 1 -> 2"),
        (changed({settings(a={"b": [1]}, c="x")}, {settings(a={"b": [1, 2]}, c="x")}), "settings changed: a.b [1] -> [1, 2]"),
        (changed({settings(a="it's")}, {settings(b=1)}), 'settings changed: a "it\'s" -> not set, b not set -> 1'),
        (changed({DIGESTS[0]}, {DIGESTS[1]}), "retmech's code for it changed"),
        (changed({repr("circuit " + "a" * 64)}, {repr("circuit " + "b" * 64)}), "the circuit's file changed"),
        ("Updated input files: a.nc, b.nc, c.nc", "a.nc and 2 more files changed"),
        (
            "Updated input files: a.nc; Software environment definition has changed since last execution",
            "a.nc changed; its software environment changed",
        ),
        (
            changed({settings(a=1), DIGESTS[0]}, {settings(a=2), DIGESTS[1]}),
            "settings changed: a 1 -> 2; retmech's code for it changed",
        ),
        (changed({"['tiny=a.nc']"}, {"['tiny=b.nc']"}), "it is called with other names or files"),
        (
            changed({settings(**dict.fromkeys("abcdef", 1))}, {settings(**dict.fromkeys("abcdef", 2))}),
            "settings changed: a 1 -> 2, b 1 -> 2, c 1 -> 2, d 1 -> 2 and 2 more",
        ),
    ],
)
def test_reasons_are_said_in_words(reason: str, words: str) -> None:
    assert in_words(reason) == words


def test_the_last_lines_of_a_log_are_shown_with_its_path(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert ending(log) == [f"it left no log ({log})"]
    log.write_text("")
    assert "stopped before it said anything" in ending(log)[0]
    log.write_text("".join(f"line {i}\n" for i in range(40)))
    assert ending(log, 2) == [f"{log} ends with", "  line 38", "  line 39"]
    assert ending(log, 40)[0] == f"{log} says"


def handler(**settings: bool) -> LogHandler:
    return LogHandler(SimpleNamespace(**{"dryrun": False, "verbose": False, "nocolor": True, **settings}), None)


def event(kind: LogEvent | None, message: str = "", level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    vars(record).update(event=kind, **fields)
    return record


def job(number: int, rule: str, **wildcards: str) -> logging.LogRecord:
    return event(LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards, reason="Missing output files: x")


def failed(number: int, log: Path, output: Path, indent: bool = False) -> logging.LogRecord:
    return event(
        LogEvent.JOB_ERROR,
        level=logging.ERROR,
        jobid=number,
        rule_name="train",
        rule_msg=None,
        output=[str(output)],
        log=[str(log)],
        indent=indent,
    )


def test_a_run_that_nobody_looks_at_prints_a_line_for_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    shown = handler()
    shown.emit(event(LogEvent.RUN_INFO, "Job stats: a long table", stats={"train": 2, "all": 1, "total": 3}))
    shown.emit(event(None, "Select jobs to execute..."))
    for number in (1, 2):
        shown.emit(job(number, "train", recording="tiny", seed=str(number)))
    shown.emit(event(LogEvent.JOB_FINISHED, job_id=2))
    shown.emit(event(LogEvent.PROGRESS, done=1, total=3))
    shown.emit(event(LogEvent.JOB_FINISHED, job_id=1))
    shown.emit(event(LogEvent.PROGRESS, done=2, total=3))
    shown.emit(job(3, "all"))
    shown.emit(event(LogEvent.JOB_FINISHED, job_id=3))
    shown.emit(event(LogEvent.PROGRESS, done=3, total=3))
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("  ")[2] for line in lines[:-1]] == ["1/2  train tiny 2", "2/2  train tiny 1"]
    assert lines[-1].startswith("2 of 2 jobs done in 0:00:")


def test_a_failed_job_shows_the_end_of_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "train.log"
    log.write_text("retmech train: error: the loss is nan [epoch 2]\n")
    shown = handler()
    shown.emit(job(1, "train", recording="tiny"))
    command = "CalledProcessError in file train.smk\nCommand 'a very long one' died with <Signals.SIGKILL: 9>."
    shown.emit(event(LogEvent.ERROR, command, logging.ERROR, exception="RuleException"))
    shown.emit(failed(1, log, tmp_path / "model.nc"))
    said = capsys.readouterr().err
    assert "FAILED train tiny" in said
    assert f"{log} says" in said
    assert "the loss is nan [epoch 2]" in said
    assert "a job was stopped by SIGKILL" in said
    assert "a very long one" not in said


def test_of_a_failed_group_only_what_failed_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done, broken, waiting = (tmp_path / name for name in ("done", "broken", "waiting"))
    for path in (done, broken):
        path.with_suffix(".log").write_text(f"{path.name} said this\n")
    done.write_text("")
    shown = handler()
    for number, path in enumerate((done, broken, waiting)):
        shown.emit(failed(number, path.with_suffix(".log"), path, indent=True))
    said = capsys.readouterr().err
    assert said.count("FAILED") == 1
    assert "broken said this" in said


def test_a_dry_run_says_how_many_of_what_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    shown = handler(dryrun=True)
    for number in range(3):
        shown.emit(job(number, "train", seed=str(number)))
    shown.emit(job(3, "all"))
    shown.close()
    assert capsys.readouterr().out.splitlines() == ["      3 train  not made yet", "      3 jobs in all; nothing was run"]
    assert plan({}) == []


def test_an_event_that_cannot_be_shown_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler().emit(event(LogEvent.JOB_FINISHED))
    assert "KeyError" in capsys.readouterr().err


def test_advice_names_the_record() -> None:
    assert "some.snakemake.log" in advice("some.snakemake.log")
