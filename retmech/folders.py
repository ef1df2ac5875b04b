"""Folders of files that are there as a whole or not at all."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from retmech.errors import FileError


def write_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a hidden folder beside the target, as they are made, and give it its name when all are there.

    Raises
    ------
    FileError
        If it cannot be written; the target is then as it was.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
        partial.mkdir(parents=True)
        for name, content in files:
            (partial / name).write_bytes(content)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise FileError(f"{folder}: cannot be written ({error}).") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
