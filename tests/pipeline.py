"""Folders in which the pipeline runs, and what a run leaves there."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_name("workflow") / "config.yaml"
BASELINE, PROBE = "ln", "recorded_movie"


def run(*command: str, cwd: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program, and show what it printed if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, env=os.environ | environment)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)} returned {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


def workspace(folder: Path, config: dict[str, Any] | None = None) -> Path:
    """A folder with the workflow and a config, the tiny one if omitted."""
    folder.mkdir(parents=True)
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "config.yaml").write_text(CONFIG.read_text() if config is None else yaml.safe_dump(config))
    return folder


def small_config(*seeds: int) -> dict[str, Any]:
    """Part of the tiny config that still has every stage in it."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return {
        **config,
        "seeds": list(seeds),
        "train": {name: config["train"][name] for name in ("bn_cnn", BASELINE)},
        "evaluate": {"baselines": [BASELINE]},
        "synthesize": {PROBE: config["synthesize"][PROBE]},
    }


def results(folder: Path) -> dict[str, bytes]:
    """All files that a run has made, by their paths."""
    files = (p for p in sorted((folder / "results").rglob("*")) if p.is_file() and p.name != ".snakemake_timestamp")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def change(folder: Path, section: str, **settings: object) -> None:
    """Set some keys of a section of the config."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config[section] = {**config.get(section, {}), **settings}
    path.write_text(yaml.safe_dump(config))


def reasons(folder: Path, *arguments: str, **environment: str) -> dict[str, str]:
    """The rules that a dry run would execute, and why."""
    done = run("retmech", "run", "--cores", "2", "--dry-run", *arguments, cwd=folder, **environment)
    found = dict(re.findall(r"^ +\d+ (?!jobs in all)(\w+)  +(.*)$", done.stdout, re.MULTILINE))
    assert bool(found) != ("Nothing to be done" in done.stderr), done.stdout + done.stderr
    return found


def planned(folder: Path, *arguments: str, **environment: str) -> set[str]:
    """The rules that a dry run would execute."""
    return set(reasons(folder, *arguments, **environment))
