"""The tutorial, from its first line to its last, in a folder of its own."""

import contextlib
import io
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import yaml

from tests.docs.pages import ROOT, Block, blocks
from tests.pipeline import workspace


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A config in which some keys were changed, as an author would change them."""
    both = {key: merged(old[key], new[key]) for key in old.keys() & new.keys() if isinstance(old[key], dict)}
    return {**old, **new, **both}


def says(output: str, shown: str) -> list[str]:
    """Lines of an excerpt that are not in the output, whatever their numbers, verdicts and widths of columns."""

    def shape(line: str) -> str:
        return re.sub(r"-?\d[\d.]*(e[+-]\d+)?|NaN|matches|differs|no response", "#", " ".join(line.split()))

    found = "\n".join(map(shape, output.splitlines()))
    return [line for line in shown.splitlines() if shape(line) not in found]


class Reader:
    """Someone who does what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names, self.output = folder, {"__name__": "tutorial"}, ""

    def config(self, block: Block) -> None:
        path = self.folder / "config.yaml"
        new = yaml.safe_load(block.text)
        whole = "recordings" in new
        path.write_text(yaml.safe_dump(new if whole else merged(yaml.safe_load(path.read_text()), new), sort_keys=False))

    def shell(self, block: Block) -> None:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "100"})
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, f"{block}\n{self.output}"

    def python(self, block: Block) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(block.text, str(block), "exec"), self.names)
        self.output = said.getvalue()

    def excerpt(self, block: Block) -> None:
        assert not (missing := says(self.output, block.text)), f"{block}: not said: {missing}\nbut:\n{self.output}"


def test_the_tutorial_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(workspace(tmp_path / "retmech", {}))
    monkeypatch.chdir(reader.folder)
    mpl.use("agg")
    do = {"yaml": reader.config, "bash": reader.shell, "python": reader.python, "text": reader.excerpt}
    for block in blocks(ROOT / "docs/tutorial.md", *do):
        do[block.language](block)
    assert (reader.folder / "step.png").exists()
