"""Blocks of data inside a page: compressed JSON, so that a page is one file and opens only what is looked at.

A block is JSON, compressed by gzip and written in base64 into a script element that no browser runs; browsers decompress it
themselves when it is needed. Arrays are quantized to steps of a :data:`LEVELS`-th of their largest magnitude, and written as
differences along their last axis (time), which compress well.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from retmech.errors import RetmechError

LEVELS = 16000  #: steps of a quantized array, up to its largest magnitude
DIGITS = 5  #: of single numbers
BLOCK = re.compile(r'<script type="application/x-retmech" data-name="([^"]+)">([A-Za-z0-9+/=]+)</script>')

Block = Mapping[str, Any]


def packed(values: ArrayLike) -> dict[str, Any]:
    """Return an array without missing values as its shape, the size of a step, and whole numbers of steps."""
    array = np.asarray(values, np.float64)
    step = float(np.abs(array).max(initial=0.0)) / LEVELS or 1.0
    whole = np.rint(array / step).astype(np.int64)
    differences = np.diff(whole, axis=-1, prepend=0)
    return {"shape": list(array.shape), "step": step, "differences": differences.ravel().tolist()}


def numbers(values: ArrayLike | xr.DataArray) -> Any:
    """Return numbers as nested lists, rounded to :data:`DIGITS` digits; what is missing is null."""
    if isinstance(values, list):
        return [numbers(v) for v in values]
    array = np.asarray(values)
    if array.ndim:
        return [numbers(v) for v in array]
    if array.dtype.kind in "biu":
        return int(array)
    return float(f"{float(array):.{DIGITS}g}") if np.isfinite(array) else None


def texts(values: ArrayLike | xr.DataArray) -> list[str]:
    """Return labels as a list of strings."""
    return [str(v) for v in np.asarray(values)]


def encode(block: Block) -> str:
    """Return a block as text for a page. Equal blocks give equal text."""
    raw = json.dumps(block, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def decode(text: str) -> dict[str, Any]:
    """Return the block that a text holds."""
    block: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return block


def blocks_of(page: str, source: str) -> dict[str, str]:
    """Return all blocks of a page, still as text, by name.

    Raises
    ------
    RetmechError
        If there are none: the file is not a page of retmech's.
    """
    found = dict(BLOCK.findall(page))
    if not found:
        raise RetmechError(f"{source}: expected a page that `retmech report` has made, found no data in it; make it again.")
    return found
