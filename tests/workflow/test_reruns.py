"""Whatever is changed in the config, what runs again is its stage and all that follows, no more and no less."""

import contextlib
import copy
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

from retmech.config import check_files, config_model, validate
from retmech.errors import ConfigError
from tests import formats
from tests.pipeline import ROOT, change, planned, reasons, run

FOLLOW_REDUCE = {"reduce", "consensus", "explain", "export", "draw", "draw_run", "report", "recover", "gather"}

# What a section's entries are settings of: the rules that have them, and the wildcard that says whose they are.
OWNERS = {
    "simulate": (("simulate",), "retina"),
    "ingest": (("ingest",), "recording"),
    "train": (("train", "train_shared"), "model"),
    "synthesize": (("synthesize",), "probe"),
    "truth": (("truth",), None),
    "observe": (("observe",), None),
    "attribute": (("attribute",), None),
    "reduce": (("reduce",), None),
    "consensus": (("consensus", "consensus_of_recordings"), None),
    "explain": (("explain",), None),
    "compare": (("compare",), None),
    "recover": (("recover",), None),
    "draw": (("draw",), None),
    "report": (("report",), None),
    "gather": (("gather",), None),
}
# Keys that change which jobs there are, not what one of them does; other tests look at them.
STRUCTURE = {("train", "shared"), ("consensus", "recordings"), ("compare", "interneurons")}
# Keys of which another value is another kind of entry.
KINDS = {"architecture", "probe", "reader"}

Path_ = tuple[str, ...]


class Plan:
    """All jobs of a config, what they depend on, and their parameters."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config = validate(config)
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        here = Path.cwd()
        try:
            with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, dryrun=True)) as api:
                settings = ConfigSettings(configfiles=[path])
                workflow = api.workflow(ResourceSettings(cores=2), settings, snakefile=ROOT / "Snakefile", workdir=folder)
                with contextlib.redirect_stdout(io.StringIO()):
                    workflow.dag(DAGSettings()).summary()
        finally:
            os.chdir(here)
        self.dag = workflow._workflow.dag
        self.jobs = [job for job in self.dag.jobs if job.rule.name != "all"]
        self.globals = workflow._workflow.globals
        self.globals["digest_of"] = lambda *modules: " ".join(sorted(modules))  # which code, not what stands in it
        self.before = self.parameters(self.config)

    def parameters(self, config: dict[str, Any]) -> dict[Any, str]:
        """What each job would be given with a config that has the same jobs."""
        self.globals["CONFIG"] = config
        return {
            job: json.dumps(dict(job.rule.expand_params(job.wildcards, job.input, job.output, job)[0].items()), default=str)
            for job in self.jobs
        }

    def following(self, first: set[Any]) -> set[Any]:
        """Some jobs and all that depend on them."""
        found, grew = set(first), True
        while grew:
            more = {job for job in self.jobs if job not in found and found & set(self.dag.dependencies[job])}
            found |= more
            grew = bool(more)
        return found

    def changed(self, config: dict[str, Any]) -> set[Any]:
        """The jobs that would be given something else."""
        after = self.parameters(config)
        return {job for job in self.jobs if after[job] != self.before[job]}

    def owners(self, path: Path_) -> set[Any]:
        """The jobs whose stage a key belongs to."""
        rules, wildcard = OWNERS[path[0]]
        return {
            job
            for job in self.jobs
            if job.rule.name in rules and (wildcard is None or job.wildcards_dict.get(wildcard, path[1]) == path[1])
        }


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif not isinstance(value, dict):
        yield path, value


def enums(node: Any) -> Iterator[str]:
    """All words that the schema knows."""
    if isinstance(node, dict):
        yield from (word for word in node.get("enum", []) if isinstance(word, str))
        for inner in node.values():
            yield from enums(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from enums(inner)


def candidates(value: Any, words: list[str]) -> Iterator[Any]:
    """Other values that might be allowed."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (type(value)(v) for v in (value * 2, value / 2, value + 1, value - 1, value * 1.01, 1, 2, 3, 0))
        yield from (value + 0.01, value - 0.01)
    elif isinstance(value, str):
        yield from (*words, 2)
    elif isinstance(value, list):
        if len(value) > 1:
            yield from (value[:-1], value[::-1])
        if value:
            for other in candidates(value[0], words):
                yield [other, *value[1:]]
        yield from ([1], [0.5], ["latency"], ["whitenoise"], [1, 2])
    else:
        yield from (1, 0.5, 0.01, 10, "whitenoise", "latency", [0], ["naturalscene"])
        yield from words


def put(config: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(config)
    node = found
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return found


def other(config: dict[str, Any], path: Path_, value: Any, words: list[str]) -> dict[str, Any] | None:
    """The config with another value at a path that is allowed; None if there is none."""
    for candidate in candidates(value, words):
        if candidate == value and type(candidate) is type(value):
            continue
        with contextlib.suppress(ConfigError):
            found = validate(put(config, path, candidate))
            check_files(found, ROOT)
            return found
    return None


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(yaml.safe_load((ROOT / "config.yaml").read_text()), tmp_path_factory.mktemp("plan"))


def test_every_key_reruns_its_stage_and_what_follows(plan: Plan) -> None:
    words = sorted(set(enums(config_model().model_json_schema())) | {"whitenoise", "naturalscene", "ln", "adaptive"})
    tried, kept = 0, []
    for path, value in leaves({section: plan.config[section] for section in OWNERS}):
        if path[-1] in KINDS or (path[0], path[-1]) in STRUCTURE:
            continue
        config = other(plan.config, path, value, words)
        if config is None:
            kept.append(".".join(path))
            continue
        changed = plan.changed(config)
        assert plan.following(changed) == plan.following(plan.owners(path)), ".".join(path)
        tried += 1
    assert kept == ["ingest.insilico.test", "train.glm.target"]  # a name, or last; a GLM is fitted to spikes
    assert tried > 150


def test_an_edited_module_reruns_the_stages_that_use_it(copy: Path, tmp_path: Path) -> None:
    package = shutil.copytree(ROOT / "retmech", tmp_path / "edited" / "retmech")
    assert planned(copy, PYTHONPATH=str(package.parent)) == set()
    for module, rules in (
        ("reduction/types.py", {"consensus", "draw", "report", "gather"}),
        ("probes/latency.py", {"synthesize", "respond", "observe", "truth", "summarize", "attribute", *FOLLOW_REDUCE}),
        ("figures/recording.py", {"draw", "draw_run"}),
        ("report/tables.py", {"report", "gather"}),
        ("report/explorer/page.html.j2", {"report", "gather"}),
        ("report/explorer/circuit.js", {"report", "gather"}),
        ("reasons.py", set()),
    ):
        path = package / module
        source = path.read_text()
        path.write_text(source + "\n# edited\n")
        assert planned(copy, PYTHONPATH=str(package.parent)) == rules, module
        path.write_text(source)


def test_a_raw_file_that_is_touched_but_not_changed_reruns_nothing(copy: Path) -> None:
    formats.arrays(copy / "data/own", formats.session(shape=(12, 12)))
    settings = {"reader": "arrays", "history": 200, "skip": 0.2}
    change(copy, "recordings", own={"naturalscene": "data/own"})
    change(copy, "ingest", own=settings)
    target = "results/own/recording.nc"
    run("retmech", "run", "--cores", "2", target, cwd=copy)
    for path in [copy / "data/own", *(copy / "data/own").rglob("*")]:
        path.touch()
    assert planned(copy, target) == set()


@pytest.mark.skipif(" " in sys.executable, reason="SLURM's executor knows no Python in a path with a space")
def test_a_finished_run_is_finished_on_a_cluster_too(copy: Path) -> None:
    several = ["--set-resources", "train:mpi=srun", "train:nodes=2", "train:tasks_per_node=4", "--"]
    assert planned(copy, "--workflow-profile", "profiles/slurm") == set()
    assert planned(copy, "--workflow-profile", "profiles/slurm", *several) == set()


def test_a_dry_run_says_why_in_words(copy: Path) -> None:
    change(copy, "reduce", rank=2)
    (copy / "results/tiny/ln/seed1/performance.nc").unlink()
    said = reasons(copy)
    assert said["reduce"] == 'settings changed: rank "auto" -> 2'
    assert said["evaluate"] == "not made yet"
    assert said["explain"] == "follows from jobs before it"
