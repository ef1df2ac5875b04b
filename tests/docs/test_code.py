"""Code in the pages: Python runs on real results, commands are those of the programs, YAML is what it says it is."""

import argparse
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import get_argument_parser

from retmech import cli, config
from retmech.insilico.description import CircuitDescription
from tests.docs.pages import PAGES, ROOT, Block, all_blocks, blocks
from tests.pipeline import CONFIG

# Blocks that other tests run: the tutorial's, the files of the guide (test_extending.py), and a raw file (test_readers.py).
ELSEWHERE = {"tutorial.md": 9, "extending.md": 3, "recordings.md": 1}
# The pages speak of the demo; here their code runs on the results of the tiny config, which has other names.
ADAPTED = {"results/insilico/": "results/tiny/", "cell04": "cell02"}
EXPORTED = "from circuit import load"  # runs in the folder of the exported circuit


def runnable() -> list[Block]:
    return [block for block in all_blocks("python") if block.page.name not in ELSEWHERE]


def test_no_block_is_forgotten() -> None:
    assert {name: len(blocks(ROOT / "docs" / name, "python")) for name in ELSEWHERE} == ELSEWHERE


@pytest.mark.parametrize("block", runnable(), ids=str)
def test_python_runs_on_results(block: Block, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = block.text
    for old, new in ADAPTED.items():
        code = code.replace(old, new)
    folder = finished / "results/tiny/bn_cnn/seed1/circuit" if EXPORTED in code else finished
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    exec(compile(code, str(block), "exec"), {"__name__": "page"})


def commands(text: str) -> list[list[str]]:
    """Lines of a text that call one of the programs, as words."""
    lines = [line.split(" # ")[0].split("  #")[0].split("||")[0] for line in text.splitlines()]
    return [shlex.split(line) for line in lines if re.match(r"(retmech|make|snakemake|python3?) ", line)]


def verbs() -> dict[str, argparse.ArgumentParser]:
    found: Any = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def unknown(words: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """Options of a command that a parser does not have."""
    return [word for word in words if word.startswith("-") and word.split("=")[0] not in parser._option_string_actions]


def check(words: list[str]) -> None:
    """Fail if a program does not know a verb, target, module or option of a command."""
    program, *rest = words
    if program == "retmech":
        parser = get_argument_parser() if rest[0] == "run" else verbs()[rest[0]]
        assert rest[0] in verbs()
        assert unknown(rest[1:], parser) == []
    elif program == "snakemake":
        assert unknown(rest, get_argument_parser()) == []
    elif program == "make":
        made = re.findall(r"^([\w$()]+):|^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
        names = {name for pair in made for name in pair if name} | {".venv/.installed"}
        assert {word.split("=")[0] for word in rest} <= names
    elif rest[:1] == ["-m"]:
        assert find_spec(rest[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_known(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    written = [words for block in blocks(page, "", "bash") for words in commands(block.text)]
    for words in written:
        check(words)
        if words[0] == "retmech" and words[1] != "run":
            cli.parser().parse_args(words[1:])
    for words in (shlex.split(code) for code in re.findall(r"(?<!`)`((?:retmech|make|snakemake) [^`<]*)`(?!`)", text)):
        check(words)


def whole(part: dict[str, Any]) -> dict[str, Any]:
    """A config with the sections of a part, and the tiny one's where the part has none; of what runs by name, both."""
    base: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    both = {name: {**base[name], **section} for name, section in part.items() if name in {"train", "synthesize", "simulate"}}
    if "recordings" in part:
        base["ingest"] = {}
    return {**base, **part, **both}


@pytest.mark.usefixtures("extended")
@pytest.mark.parametrize("block", [b for b in all_blocks("yaml") if b.page.name != "tutorial.md"], ids=str)
def test_yaml_is_valid(block: Block) -> None:
    part = yaml.safe_load(block.text)
    if "pathways" in part:
        CircuitDescription.model_validate(part)
    elif "set-resources" in part:
        profile = yaml.safe_load((ROOT / "profiles/slurm/profile.v9+.yaml").read_text())
        assert part["set-resources"].keys() <= profile["set-resources"].keys()
    else:
        assert part.keys() <= config.config_model().model_fields.keys()
        config.validate(whole(part))
