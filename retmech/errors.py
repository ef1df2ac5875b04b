"""Errors that a user can cause and mend. The command line prints them as one message, never as a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class RetmechError(Exception):
    """A mistake outside the program: in a file, in the settings, in how things fit together."""


class ConfigError(RetmechError):
    """A setting is unknown, of the wrong type or out of its range."""


class FileError(RetmechError):
    """A stage's NetCDF file is not what its schema says."""


class RecordingError(RetmechError):
    """A raw recording cannot be read, or its parts do not fit together."""


_heard: list[list[str]] = []  # by those who listen


def warn(message: str) -> None:
    """Print what a user should look at, but is no error, to the stage's log."""
    note(f"warning: {message}")
    for listener in _heard:
        listener.append(message)


def note(message: str) -> None:
    """Print what is worth knowing to the stage's log."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def warnings_heard() -> Iterator[list[str]]:
    """Yield a list to which the warnings are added that are given meanwhile."""
    heard: list[str] = []
    _heard.append(heard)
    try:
        yield heard
    finally:
        _heard.remove(heard)
