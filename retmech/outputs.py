"""Where all that a job makes comes into place: as a whole or not at all, and only as long as its run asks for it."""

import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retmech import runs
from retmech.errors import FileError


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or a folder to, which takes its place in the end or is removed.

    Two runs write to different paths: on a cluster, a job may outlive its run and be at work beside that of the next.

    Raises
    ------
    FileError
        If it cannot be brought into place.
    RetmechError
        If the run that asked for it is gone; what was there before is then as it was.
    """
    runs.check()  # before anything is removed: it may be what the next run is writing
    partial = path.with_name("-".join(filter(None, [f".{path.name}.partial", runs.own_name()])))
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.partial*"):
        _remove(left)  # of a run that was killed
    try:
        yield partial
        runs.check()
        with write_errors(path):
            if path.is_dir() and partial.is_dir():
                shutil.rmtree(path)
            os.replace(partial, path)
    finally:
        _remove(partial)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Say of errors while a file is written which one it was."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # the netCDF library reports a full disk as the latter
        raise FileError(f"{path}: cannot be written ({error}). Is there space, and may you write there?") from None


def write_text(text: str, path: Path) -> None:
    """Write a file that is either absent or whole."""
    with placed(path) as partial, write_errors(path):
        partial.write_text(text, encoding="utf-8")


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files, as they are made, into a folder that is either absent or whole.

    Raises
    ------
    FileError
        If it cannot be written; the folder is then as it was.
    """
    with placed(folder) as partial:
        with write_errors(folder):
            partial.mkdir()
        for name, content in files:
            with write_errors(folder):
                (partial / name).write_bytes(content)


def _remove(path: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
