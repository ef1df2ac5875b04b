"""What a file was made of: settings, code and inputs, as digests that do not change from run to run."""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent

# The types of the settings are no part of a stage's code: their values are tracked by themselves.
UNTRACKED = {"retmech.settings"}

PAGE = {".css", ".j2", ".js"}  # what a page is made of


def canonical_json(settings: Any) -> str:
    """Return settings as one line of JSON with sorted keys, so that equal settings are equal strings."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_digest(*modules: str) -> str:
    """Return the sha256 of the sources of some modules and of all retmech modules they import, directly or not.

    A template that a module names counts as a part of it, with the scripts and styles beside it. Each source is read once by a
    process: a plan of thousands of jobs asks for the same few digests.

    Parameters
    ----------
    modules
        Dotted names below the package, such as ``stages.train``.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(f"retmech.{module}" for module in modules)):
        source = _source(name).read_bytes()
        digest.update(name.encode() + b"\0" + source + b"\0")
        for template in sorted(_source(name).parent.glob("*/*.j2")):
            if template.name.encode() in source:
                for part in sorted(p for p in template.parent.iterdir() if p.suffix in PAGE):
                    digest.update(part.name.encode() + b"\0" + part.read_bytes() + b"\0")
    return digest.hexdigest()


def _closure(names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen | UNTRACKED:
            seen.add(name)
            waiting += _imports(name)
    return seen


@cache
def _imports(name: str) -> set[str]:
    """The package's modules that one module imports anywhere in its body."""
    found = set()
    for node in ast.walk(ast.parse(_source(name).read_text())):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {c for c in candidates if c.split(".")[0] == "retmech" and _source(c).exists()}
    return found


def _source(name: str) -> Path:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
