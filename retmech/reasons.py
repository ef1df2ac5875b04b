"""Why Snakemake would run a job, in the words of a config's author."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

DIGESTS = {re.compile(r"[0-9a-f]{64}"): "retmech's code for it", re.compile(r"circuit [0-9a-f]{64}"): "the circuit's file"}
SHOWN = 4  # changes of settings that are listed

# What Snakemake begins its reasons with, and what that means here.
MEANINGS = {
    "Missing output files": "not made yet",
    "Incomplete output files": "left unfinished by a run that was stopped",
    "Updated input files": "{} changed",
    "Input files updated by another job": "follows from jobs before it",
    "Set of input files has changed": "made from other files than before",
    "Code has changed": "its rule changed",
    "Params have changed": "",
    "Software environment definition has changed": "its software environment changed",
    "Forced execution": "asked for",
}
_PARTS = re.compile("|".join(f"(?:^|; )(?P<part{i}>{re.escape(part)})" for i, part in enumerate(MEANINGS)))


def in_words(reason: str) -> str:
    """Say why a job runs, given the reason that Snakemake gives; what is not known is returned as it is.

    That a job follows from others is left out where there is a reason of its own.
    """
    said = list(dict.fromkeys(_meanings(reason)))
    own = [words for words in said if words != MEANINGS["Input files updated by another job"]]
    return "; ".join(own or said) or reason


def _meanings(reason: str) -> Iterator[str]:
    found = list(_PARTS.finditer(reason))
    for match, end in zip(found, [*(after.start() for after in found[1:]), len(reason)], strict=False):
        part = next(text for text in match.groups() if text)
        rest = reason[match.end() : end]
        if part == "Params have changed":
            yield _changes(rest)
        else:
            first, *more = rest.removeprefix(": ").split(", ")
            yield MEANINGS[part].format(f"{first} and {len(more)} more files" if more else first)


def _changes(text: str) -> str:
    """What differs between the parameters of a job `before: ... now: ...`."""
    match = re.search(r"before: (.*) now: (.*)", text, re.DOTALL)
    before, now = (_values(side) for side in match.groups()) if match else ([], [])
    words = []
    old, new = (next((s for s in map(_settings, side) if s is not None), None) for side in (before, now))
    if old is not None and new is not None:
        keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        changed = [f"{key} {old.get(key, 'not set')} -> {new.get(key, 'not set')}" for key in keys[:SHOWN]]
        more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        words.append(f"settings changed: {', '.join(changed)}{more}")
    for digest, of in DIGESTS.items():
        if any(isinstance(value, str) and digest.fullmatch(value) for value in now):
            words.append(f"{of} changed")
    return "; ".join(words) or "it is called with other names or files"


def _values(text: str) -> list[Any]:
    """The values that Snakemake has written one after the other as Python literals."""
    try:
        return list(ast.literal_eval(f"[{text.strip()}]"))
    except (SyntaxError, ValueError):
        return []


def _settings(value: Any) -> dict[str, str] | None:
    """A stage's settings, each under its dotted name; None if the value is something else."""
    try:
        settings = json.loads(value)
    except (TypeError, ValueError):
        return None
    return dict(_flat(settings)) if isinstance(settings, dict) else None


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, json.dumps(node)
