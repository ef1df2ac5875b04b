"""Wrong configs are refused by path, value and what is allowed; the reference is in step; digests see what matters."""

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from retmech import gallery, provenance, reference, registry
from retmech.config import check_files, check_names, preset_names, section_settings, validate
from retmech.errors import ConfigError
from retmech.geometry import Geometry
from retmech.stages.synthesize import drawn_from_defaults

ROOT = Path(__file__).parents[2]


def default() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    return config


def changed(path: str, value: Any) -> dict[str, Any]:
    config = default()
    *parents, key = path.split(".")
    node = config
    for parent in parents:
        if node.get(parent) is None:
            node[parent] = {}
        node = node[parent]
    node[key] = value
    return config


def test_the_default_is_valid_and_an_omitted_default_equals_a_written_one() -> None:
    assert validate(default()) == validate(changed("reduce.restarts", 8))
    assert validate(changed("train.ln", None))["train"]["ln"]["architecture"] == "ln"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_valid(example: Path) -> None:
    assert validate(yaml.safe_load(example.read_text()))["recordings"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("train.bn_cnn.learning_rate", -1, "train.bn_cnn.learning_rate = -1: Input should be greater than 0"),
        ("train.bn_cnn.learnig_rate", 0.1, "train.bn_cnn.learnig_rate = 0.1: there is no such key. Allowed: architecture,"),
        ("train.cnn2", {}, "train.cnn2 = {'architecture': 'cnn2'}: Input tag 'cnn2'"),
        ("synthesize.latency.flash", "long", "synthesize.latency.flash = 'long': Input should be a valid number"),
        ("reduce.rank", 0, "reduce.rank = 0: Input should be greater than or equal to 1"),
        ("reduce.rank", float("nan"), "reduce.rank = nan"),
        ("redcue", {}, "redcue = {}: there is no such key. Allowed: attribute, compare, consensus, draw, evaluate,"),
        ("simulate.three_pathway.whitenoise.block", 3, "simulate.three_pathway.whitenoise.block = 3: there is no such key"),
        ("evaluate.baselines", ["absent"], "evaluate.baselines = 'absent': there is no such model; train: bn_cnn, ln"),
        ("train.ln.stimulus", ["gratings"], "train.ln.stimulus = ['gratings']: recording 'insilico' has only naturalscene"),
        ("seeds", [1, 1], "seeds = [1, 1]: a seed stands there twice"),
        ("explain.channels", 9, "explain.channels = 9: bn_cnn has only 8 channels"),
        ("reduce.rank", 17, "reduce.rank = 17: bn_cnn allows 16, two for each channel"),
        ("reduce.rank", "some", "reduce.rank = 'some': Input should be a valid integer"),
        ("reduce.units", ["film"], "reduce.units = 'film': there is no such probe; synthesize: omitted_flash, latency"),
        ("ingest.other", {}, "ingest.other: there is no such recording"),
        (
            "ingest.insilico.reader",
            "mat",
            "ingest.insilico = {'reader': 'mat', 'blocks': 5, 'skip': 5}: Input tag 'mat' found using 'reader' does not",
        ),
        ("ingest.insilico.cells", [1, 1], "ingest.insilico.cells = [1, 1]: a cell stands there twice"),
        ("recordings.a b; rm", {"naturalscene": "x"}, "recordings.a b; rm"),
        ("attribute.max_nodes", 2, "attribute = {"),
        ("attribute.rule", "simpson", "attribute.rule = 'simpson': Input should be 'exact', 'gauss_legendre'"),
        (
            "attribute.frames",
            {"lateny": 0.2},
            "attribute.frames.lateny: there is no such probe; synthesize: omitted_flash, latency",
        ),
        ("attribute.baseline", "frame", "attribute.baseline = 'frame': attribute.frames names none for omitted_flash, latency"),
        ("synthesize.recorded_movie.stimulus", "films", "synthesize.recorded_movie.stimulus = 'films': recording 'insilico' has"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(changed(path, value))
    assert f"config.yaml: {says}" in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    config = changed("reduce.rank", 0) | {"explain": {"channels": "many"}}
    with pytest.raises(ConfigError, match=r"(?s)reduce\.rank.*explain\.channels"):
        validate(config)


def test_a_missing_raw_file_is_named(tmp_path: Path) -> None:
    check_files(validate(default()), tmp_path)
    with pytest.raises(ConfigError, match=r"recordings\.insilico\.naturalscene = 'data/x.h5': neither a file"):
        check_files(validate(changed("recordings.insilico.naturalscene", "data/x.h5")), tmp_path)


def test_a_stage_checks_its_own_section() -> None:
    assert section_settings("train", {"architecture": "ln", "epochs": 3}).epochs == 3
    with pytest.raises(ConfigError, match=r"rank = 0"):
        section_settings("reduce", {"rank": 0})


@pytest.mark.parametrize("preset", preset_names())
def test_presets_can_be_drawn_and_give_way_to_the_config(preset: str) -> None:
    config = validate(changed("presets", [preset]))
    probes = config["synthesize"]
    assert probes["omitted_flash"]["contrast"] == -3  # the config's own
    assert probes["frequency_doubling"]["probe"] == "reversing_grating"
    for settings in probes.values():
        if drawn_from_defaults(settings["probe"]):
            module = registry.load("probe", settings["probe"])
            made = module.stimulus(module.Config.model_validate(settings), Geometry((50, 50), 100.0, 50.0))
            assert made.movies[0].shape == made.movies.shape[1:]
    with pytest.raises(ConfigError, match=r"presets = \['none'\]: expected a list of maheswaranathan2023"):
        validate(changed("presets", ["none"]))


def test_the_reference_is_in_step_with_the_types() -> None:
    pages = ((reference.SCHEMA, reference.schema()), (reference.PAGE, reference.page()), (gallery.PAGE, gallery.page()))
    for path, text in pages:
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run `make docs`"


@pytest.fixture
def forget() -> Iterator[Callable[[], None]]:
    """Digests that this process has taken are forgotten when that is called, and in the end."""

    def forget() -> None:
        provenance.code_digest.cache_clear()
        provenance._imports.cache_clear()

    yield forget
    forget()


def test_code_digest_covers_what_a_stage_imports_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    closure = provenance._closure(["retmech.stages.reduce"])
    assert {"retmech.stages.reduce", "retmech.reduction.factors", "retmech.labels"} <= closure
    assert not any(name.startswith(("retmech.models", "retmech.report", "retmech.cli")) for name in closure)
    before = provenance.code_digest("stages.reduce"), provenance.code_digest("stages.train")
    package = tmp_path / "retmech"
    for source in provenance.PACKAGE.rglob("*.py"):
        target = package / source.relative_to(provenance.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (package / "reduction/factors.py").write_text((package / "reduction/factors.py").read_text() + "\n# edited\n")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    forget()
    after = provenance.code_digest("stages.reduce"), provenance.code_digest("stages.train")
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_the_digest_of_the_page_covers_its_scripts_and_nothing_that_lies_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    package = shutil.copytree(provenance.PACKAGE, tmp_path / "retmech")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    forget()
    before = provenance.code_digest("stages.report")
    for name in ("stranger.whl", ".main.js.swp"):
        (package / "report/explorer" / name).write_bytes(b"")
    forget()
    assert provenance.code_digest("stages.report") == before
    (package / "report/explorer/main.js").write_text("")
    forget()
    assert provenance.code_digest("stages.report") != before


def test_the_package_holds_no_file_of_an_unexpected_type() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for name, own in data.items() for pattern in own for path in (ROOT / name.replace(".", "/")).glob(pattern)}
    there = {p for p in (ROOT / "retmech").rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".py"}
    assert there == shipped
    assert {path.suffix for path in there} == {".css", ".j2", ".js", ".yaml"}


def test_canonical_json_sees_swaps_but_not_the_order_of_keys() -> None:
    assert provenance.canonical_json({"a": 1, "b": 2}) == provenance.canonical_json({"b": 2, "a": 1})
    assert provenance.canonical_json({"a": 1, "b": 2}) != provenance.canonical_json({"a": 2, "b": 1})


def test_a_circuit_that_cannot_be_read_stops_before_any_job(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("pathways: {}")
    for circuit, says in (("nothing", "expected the path of a YAML file"), (str(tmp_path / "mine.yaml"), "pathways: ")):
        config = validate(changed("simulate.three_pathway.circuit", circuit))
        with pytest.raises(ConfigError, match=r"config\.yaml: simulate\.three_pathway: ") as error:
            check_files(config)
        assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("2015-10-07", "a date"),
        ("20151007", "a number"),
        ("2015_10_07", "a number"),
        ("007", "a number"),
        ("1e3", ""),  # text to YAML 1.1, which wants a sign
        ("1.0e+3", "a number"),
        ("on", "true or false"),
        ("no", "true or false"),
        ("null", "nothing"),
        ("session_1", ""),
        ("'007'", ""),
    ],
)
def test_names_that_yaml_reads_as_something_else_are_shown_as_they_stand(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"seeds: [1]\nrecordings:\n  {name}: {{naturalscene: a.h5}}\n")
    if not kind:
        check_names([path])
        return
    with pytest.raises(
        ConfigError, match=rf"mine\.yaml: line 3: recordings.{re.escape(name)}: YAML reads this name as {kind}. Put it in"
    ):
        check_names([path])


def test_a_value_that_yaml_reads_as_something_else_is_to_be_quoted() -> None:
    with pytest.raises(ConfigError, match=r"evaluate.baselines.0 = True: Input should be a valid string: put it in quotes"):
        validate(
            {"recordings": {"a": {"b": "c"}}, "train": {"ln": {}}, "synthesize": {"step": {}}, "evaluate": {"baselines": [True]}}
        )
