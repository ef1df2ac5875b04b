"""One page about all recordings: an explorer of them together, or, where that would be too large, links to their own pages."""

import os
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from retmech.errors import RetmechError
from retmech.report.blocks import blocks_of, encode
from retmech.report.page import overviews, render, render_index
from retmech.report.payload import consensus
from retmech.settings import GatherSettings

MEGABYTE = 1e6


def gather(pages: Mapping[str, Path], over_recordings: Mapping[str, xr.Dataset], output: Path, settings: GatherSettings) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    pages
        The recordings' own pages.
    over_recordings
        Consensus over the models of all recordings, by model.
    output
        Where the page will stand: links are relative to it.

    Raises
    ------
    RetmechError
        If a file is no page of a recording.
    """
    blocks: dict[str, str] = {}
    size, index = 0, {}
    for path in pages.values():
        text = _read(path)
        own = blocks_of(text, str(path))
        size += sum(map(len, own.values()))
        if size <= settings.largest * MEGABYTE:
            blocks |= own
        for overview in overviews(text, str(path)):
            index[Path(os.path.relpath(path, output.parent)).as_posix()] = overview
    if size > settings.largest * MEGABYTE:
        return render_index(index)
    blocks |= {f".all/consensus/{model}": encode(consensus(found)) for model, found in over_recordings.items()}
    return render(blocks)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RetmechError(f"{path}: expected a page that `retmech report` has made: {error}") from None
