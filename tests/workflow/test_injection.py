"""Nothing that stands in a config is executed, and nothing is written outside the run's own folders."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from retmech.config import check_files, validate
from retmech.errors import ConfigError
from tests.pipeline import small_config, workspace

OWN = {"results", "logs", "work", ".snakemake"}

# Names of raw files as nobody has them, and each a command in a careless shell.
HOSTILE = [
    "with a space",
    "$(touch EXECUTED)",
    "`touch EXECUTED`",
    "; touch EXECUTED; #",
    "| touch EXECUTED",
    "&& touch EXECUTED",
    "> EXECUTED",
    "it's",
    '"; touch EXECUTED; "',
    "'; touch EXECUTED; '",
    "\ttab",
    "$HOME",
    "*",
    "~",
    "-rf",
    "--output=EXECUTED",
    "a=b",
    "back\\slash",
    "%s",
    "sünde 网膜",
    "!!",
]

# Stands in for retmech: keeps what it was called with, and makes whatever it is told to make.
STUB = """import json, os, pathlib, sys
with open(os.environ["RETMECH_CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
for word in sys.argv:
    path = pathlib.Path(word.partition("=")[2] if "=results/" in word else word)
    if path.parts[:1] == ("results",) and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if path.name in {"circuit", "figures"} else path.touch()
"""


def hostile_config(folder: Path) -> dict[str, Any]:
    """Recordings whose raw files have hostile names, a movie of such a name as a probe, and hostile words as settings."""
    config = small_config(1)
    files = {f"r{i}": f"raw/{name}" if name[0] != "-" else name for i, name in enumerate(HOSTILE)}
    for path in files.values():
        (folder / path).parent.mkdir(exist_ok=True)
        h5py.File(folder / path, "w").close()
    config["recordings"] = {recording: {"naturalscene": path, "whitenoise": path} for recording, path in files.items()}
    nwb = {"reader": "nwb", "train": "$(touch EXECUTED)", "column": "'; touch EXECUTED; '", "history": 200}
    config["ingest"] = dict.fromkeys(files, nwb)
    config["simulate"] = {}
    config["synthesize"]["own"] = {"probe": "movie", "path": files["r1"]}
    config["compare"] = {"interneurons": {"cells": {"path": files["r2"], "stimuli": ["`touch EXECUTED`"]}}}
    return config


def test_no_word_of_a_config_is_executed(tmp_path: Path) -> None:
    folder = workspace(tmp_path / "run", small_config(1))
    config = hostile_config(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    before = files_in(folder)
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin/retmech"
    stub.with_suffix(".py").write_text(STUB)
    stub.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{stub}.py' \"$@\"\n")
    stub.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}",
        "RETMECH_CALLS": str(tmp_path / "calls"),
    }
    done = subprocess.run(["snakemake", "--cores", "2"], cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]

    made = files_in(folder) - before
    assert {Path(path).parts[0] for path in made} <= OWN
    assert not [path for path in Path(tmp_path).rglob("*EXECUTED*") if path.name == "EXECUTED"]

    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    validated = validate(config)
    settings = {call[0]: json.loads(call[call.index("--config") + 1]) for call in calls if "--config" in call}
    assert settings["ingest"] == validated["ingest"]["r0"]
    assert settings["compare"] == validated["compare"]
    given_files = {word for call in calls if call[0] == "ingest" for word in call if word.startswith("naturalscene=")}
    assert given_files == {f"naturalscene={paths['naturalscene']}" for paths in config["recordings"].values()}
    verbs = {
        "ingest",
        "train",
        "evaluate",
        "synthesize",
        "respond",
        "attribute",
        "reduce",
        "explain",
        "compare",
        "draw",
        "report",
    }
    assert verbs <= {call[0] for call in calls}


@pytest.mark.parametrize("name", ["{recording}.h5", "{{x}}", "two\nlines", "end}"])
def test_paths_that_snakemake_would_read_otherwise_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    config = small_config(1)
    config["recordings"]["tiny"] = {"naturalscene": name}
    with pytest.raises(ConfigError, match=r"recordings\.tiny\.naturalscene = .* braces and line breaks.*Rename the file"):
        check_files(validate(config), tmp_path)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


ODD = ["..", ".", "", "/etc", "a/b", "../x", ".all", "-x", "a\n", "A", *HOSTILE]


@given(name=st.one_of(st.text(max_size=20), st.sampled_from(ODD)))
@pytest.mark.parametrize("section", ["recordings", "simulate", "train", "synthesize"])
def test_names_are_plain_or_refused(section: str, name: str) -> None:
    config = small_config(1)
    kinds = {"train": {"architecture": "ln"}, "synthesize": {"probe": "latency"}}
    some = next(iter(config[section].values()))
    config[section] = {**config[section], name: kinds.get(section, some)}
    try:
        found = validate(config)
    except ConfigError:
        return
    assert name in found[section]
    assert name.isascii()
    assert name[0] != "-"
    assert name.replace("_", "").replace("-", "a").isalnum() or not name.strip("_-")
    assert name == name.lower()
