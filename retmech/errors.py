"""Errors that a user can cause and mend. The command line prints them as one message, never as a traceback."""

import sys


class RetmechError(Exception):
    """A mistake outside the program: in a file, in the settings, in how things fit together."""


class ConfigError(RetmechError):
    """A setting is unknown, of the wrong type or out of its range."""


class FileError(RetmechError):
    """A stage's NetCDF file is not what its schema says."""


class RecordingError(RetmechError):
    """A raw recording cannot be read, or its parts do not fit together."""


def warn(message: str) -> None:
    """Print what is worth knowing but no error to the stage's log."""
    print(f"warning: {message}", file=sys.stderr, flush=True)
