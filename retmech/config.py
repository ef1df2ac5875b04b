"""`config.yaml`: one section per stage; a section that runs once per named thing maps names to settings."""

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model

from retmech import registry
from retmech.errors import ConfigError
from retmech.insilico.description import read_circuit
from retmech.settings import (
    AttributeSettings,
    CompareSettings,
    ConsensusSettings,
    DrawSettings,
    EvaluateSettings,
    ExplainSettings,
    GatherSettings,
    Name,
    ObserveSettings,
    RecoverSettings,
    ReduceSettings,
    ReportSettings,
    Seed,
    Settings,
    SimulateSettings,
    TruthSettings,
)

PRESETS = Path(__file__).parent / "presets"

SIMULATED = ("naturalscene", "whitenoise")  # the stimulus classes of a simulated recording

# The sections whose entries are of many kinds, and the key that says which; it defaults to the entry's own name.
KINDS = {"train": "architecture", "synthesize": "probe", "ingest": "reader"}
READER = "stanford"  # where none is named

# What YAML takes names for.
KINDS_OF_KEYS = {"timestamp": "a date", "int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}

# How pydantic names the types of one value in the path to it.
TYPE = re.compile(r"constrained-\w+|literal\[.*\]")


@cache
def config_model() -> type[Settings]:
    """Return the model of the whole file; its probes and architectures are those found in their packages."""
    return create_model(
        "Config",
        __base__=Settings,
        recordings=(
            dict[Name, Annotated[dict[Name, str], Field(min_length=1)]],
            Field(min_length=1, description="raw files of each recording: one for each stimulus class"),
        ),
        seeds=(
            list[Seed],
            Field([1], min_length=1, description="every model is trained once from each, baselines from the first"),
        ),
        simulate=(dict[Name, SimulateSettings], Field({}, description="simulated recordings")),
        ingest=(_by_name("reader"), Field({}, description="by recording; defaults where one is omitted")),
        train=(_by_name("architecture"), Field(min_length=1, description="models")),
        evaluate=(EvaluateSettings, Field(EvaluateSettings())),
        presets=(list[Name], Field([], description="published sets of probes, shown beside those of `synthesize`")),
        synthesize=(_by_name("probe"), Field(min_length=1, description="probe stimuli")),
        truth=(TruthSettings, Field(TruthSettings())),
        observe=(ObserveSettings, Field(ObserveSettings())),
        attribute=(AttributeSettings, Field(AttributeSettings())),
        reduce=(ReduceSettings, Field(ReduceSettings())),
        consensus=(ConsensusSettings, Field(ConsensusSettings())),
        explain=(ExplainSettings, Field(ExplainSettings())),
        compare=(CompareSettings, Field(CompareSettings())),
        recover=(RecoverSettings, Field(RecoverSettings())),
        draw=(DrawSettings, Field(DrawSettings())),
        report=(ReportSettings, Field(ReportSettings())),
        gather=(GatherSettings, Field(GatherSettings())),
    )


def validate(raw: Mapping[str, Any], source: str = "config.yaml") -> dict[str, Any]:
    """Check a config and return it as plain data with all defaults filled in.

    Raises
    ------
    ConfigError
        Naming every wrong key by its path, its value and what is allowed.
    """
    raw = {section: _named(section, value) for section, value in _with_presets(raw, source).items()}
    try:
        config = config_model().model_validate(raw).model_dump(mode="json")
    except ValidationError as error:
        raise ConfigError(_message(error, source, config_model())) from None
    for recording in config["recordings"]:
        config["ingest"].setdefault(recording, registry.load("reader", READER).Config().model_dump(mode="json"))
    problems = _cross_checks(config)
    if problems:
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))
    return config


def check_names(files: Iterable[Path]) -> None:
    """Refuse names that YAML reads as something else: 2015-10-07 is a date to it, 007 a number, on is true.

    Raises
    ------
    ConfigError
        With each of them as it stands in its file.
    """
    problems: list[str] = []
    for file in files:
        try:
            document = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{file}: cannot be read as a config ({error}).") from None
        problems += [f"{file}: {problem}" for problem in _misread(document, [])]
    if problems:
        raise ConfigError("\n".join(problems))


def _misread(node: yaml.Node | None, path: list[str]) -> Iterator[str]:
    """Keys of a YAML document that are no text."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _misread(item, path)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        kind = key.tag.rpartition(":")[2]
        if kind not in {"str", "merge"}:
            where = ".".join([*path, str(key.value)])
            line = key.start_mark.line + 1
            read = KINDS_OF_KEYS.get(kind, kind)
            yield f"line {line}: {where}: YAML reads this name as {read}. Put it in quotes: '{key.value}'"
        yield from _misread(value, [*path, str(key.value)])


def _paths(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All paths of a validated config, with the keys that they stand under."""
    for recording, files in config["recordings"].items():
        yield from ((f"recordings.{recording}.{stimulus}", path) for stimulus, path in files.items())
    yield from ((f"simulate.{name}.circuit", str(settings["circuit"])) for name, settings in config["simulate"].items())
    for section, entries in (("synthesize", config["synthesize"]), ("compare.interneurons", config["compare"]["interneurons"])):
        yield from ((f"{section}.{name}.path", settings["path"]) for name, settings in entries.items() if "path" in settings)


def preset_names() -> list[str]:
    """Return the names of the published sets of probes."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _with_presets(raw: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Add the probes of presets to those of the config, which go before them where names are the same."""
    asked = raw.get("presets") or []
    unknown = [name for name in asked if name not in preset_names()] if isinstance(asked, list) else [asked]
    if unknown:
        raise ConfigError(f"{source}: presets = {unknown}: expected a list of {', '.join(preset_names())}")
    probes: dict[str, Any] = {}
    for name in asked:
        probes |= yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    own = raw.get("synthesize") or {}
    return {**raw, "synthesize": {**probes, **own}} if probes and isinstance(own, Mapping) else dict(raw)


def check_files(config: Mapping[str, Any], root: Path = Path()) -> None:
    """Check that every raw file is there or will be simulated, and every circuit can be.

    Raises
    ------
    ConfigError
        Naming the keys whose files are missing or wrong.
    """
    made = {f"results/raw/insilico/{name}/{kind}.h5" for name in config["simulate"] for kind in SIMULATED}
    problems = [
        f"config.yaml: recordings.{recording}.{stimulus} = {path!r}: neither a file nor a folder, and `simulate` does not make it"
        for recording, files in config["recordings"].items()
        for stimulus, path in files.items()
        if path not in made and not (root / path).exists()
    ]
    problems += [
        f"config.yaml: synthesize.{name}.path = {settings['path']!r}: there is no such file"
        for name, settings in config["synthesize"].items()
        if "path" in settings and not (root / settings["path"]).is_file()
    ]
    problems += [
        f"config.yaml: compare.interneurons.{name}.path = {settings['path']!r}: there is no such file"
        for name, settings in config["compare"]["interneurons"].items()
        if not (root / settings["path"]).is_file()
    ]
    problems += [
        f"config.yaml: {key} = {path!r}: Snakemake takes braces and line breaks in a path as its own. Rename the file."
        for key, path in _paths(config)
        if set(path) & set("{}\n\r")
    ]
    for name, settings in config["simulate"].items():
        try:
            read_circuit(settings["circuit"])
        except ConfigError as error:
            problems.append(f"config.yaml: simulate.{name}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))


def retina_of(config: Mapping[str, Any], recording: str) -> str | None:
    """Return the name of the simulated retina that all of a recording's files come from; None if there is none."""
    for name in config["simulate"]:
        made = {f"results/raw/insilico/{name}/{kind}.h5" for kind in SIMULATED}
        if set(config["recordings"][recording].values()) <= made:
            return str(name)
    return None


def interneurons(config: Mapping[str, Any], model: str) -> int:
    """Number of channels of interneurons that a model's responses can be attributed to; 0 if it has none."""
    settings = config["train"][model]
    architecture = registry.load("architecture", settings["architecture"])
    return int(architecture.interneurons(architecture.Config.model_validate(settings)))


def section_settings(section: str, raw: Mapping[str, Any]) -> Any:
    """Return the validated settings of one entry of a section, importing only the module it needs."""
    if section in KINDS:
        kind = KINDS[section]
        model = registry.load(kind, str(raw.get(kind, READER))).Config
    else:
        model = globals()[f"{section.capitalize()}Settings"]
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_message(error, f"--config of {section}", model)) from None


def _by_name(kind: str) -> Any:
    """Names to settings of one kind, told apart by their own key for it."""
    models = tuple(registry.load(kind, name).Config for name in registry.names(kind))
    union: Any = Union.__getitem__(models)  # a tuple known only now
    return dict[Name, Annotated[union, Field(discriminator=kind)]]


def _named(section: str, value: Any) -> Any:
    """Let an entry's name stand for its kind, and an empty entry for the defaults."""
    if section not in {"simulate", *KINDS} or not isinstance(value, Mapping):
        return {} if value is None else value
    entries = {name: {} if entry is None else entry for name, entry in value.items()}
    if section == "simulate":
        return entries
    return {
        name: {KINDS[section]: READER if section == "ingest" else name, **entry} if isinstance(entry, Mapping) else entry
        for name, entry in entries.items()
    }


def _message(error: ValidationError, source: str, model: type[BaseModel]) -> str:
    """One line for each key; what several types of one key say of its value stands in the same line."""
    said: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        if path and path[0] in KINDS and len(path) > 2:
            del path[2]  # pydantic names the member of the union there, no key of the file
        where = ".".join(part for part in path if part != "[key]" and not TYPE.fullmatch(part))
        found = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
        says = problem["msg"]
        if problem["type"] == "string_type" and isinstance(problem["input"], bool | int | float | datetime.date):
            says += ": put it in quotes"
        if problem["type"] == "extra_forbidden":
            says = f"there is no such key. Allowed: {', '.join(_allowed_keys(problem['loc'], model))}"
        said.setdefault(f"{source}: {where}{found}", []).append(says)
    return "\n".join(f"{key}: {', or '.join(says)}" for key, says in said.items())


def _allowed_keys(location: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    whole = model.model_json_schema()
    node = whole
    for part in location[:-1]:
        if part in node.get("properties", {}):
            node = node["properties"][part]
        elif "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"][part]}
        else:
            node = node.get("additionalProperties") or next(iter(node["patternProperties"].values()))
        if "$ref" in node:
            node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return sorted(node["properties"])


def _cross_checks(config: dict[str, Any]) -> list[str]:
    """What no section can see alone."""
    problems = []
    for name in config["ingest"]:
        if name not in config["recordings"]:
            problems.append(f"ingest.{name}: there is no such recording; recordings: {', '.join(config['recordings'])}")
    for name, settings in config["ingest"].items():
        if settings["cells"] and len(set(settings["cells"])) < len(settings["cells"]):
            problems.append(f"ingest.{name}.cells = {settings['cells']}: a cell stands there twice")
    for name in config["evaluate"]["baselines"]:
        if name not in config["train"]:
            problems.append(f"evaluate.baselines = {name!r}: there is no such model; train: {', '.join(config['train'])}")
    problems += _probe_checks(config)
    for model, settings in config["train"].items():
        for recording, files in config["recordings"].items():
            missing = sorted(set(settings["stimulus"]) - set(files))
            if missing:
                problems.append(f"train.{model}.stimulus = {missing}: recording {recording!r} has only {', '.join(files)}")
        channels = 0 if model in config["evaluate"]["baselines"] else interneurons(config, model)
        kept, rank = config["explain"]["channels"], config["reduce"]["rank"]
        if channels and kept is not None and kept > channels:
            problems.append(f"explain.channels = {kept}: {model} has only {channels} channels")
        if channels and rank != "auto" and rank > 2 * channels:
            problems.append(f"reduce.rank = {rank}: {model} allows {2 * channels}, two for each channel")
    if "figures" in config["train"]:
        problems.append("train.figures: the folder of a recording's figures has this name. Give the model another.")
    if len(set(config["seeds"])) < len(config["seeds"]):
        problems.append(f"seeds = {config['seeds']}: a seed stands there twice")
    return problems


def _probe_checks(config: dict[str, Any]) -> list[str]:
    """What the sections of probes and attributions must know of each other and of the recordings."""
    problems = []
    probes, attribute = config["synthesize"], config["attribute"]
    for key in ("frames", "pixels"):
        for name in attribute[key]:
            if name not in probes:
                problems.append(f"attribute.{key}.{name}: there is no such probe; synthesize: {', '.join(probes)}")
    for name in config["reduce"]["units"]:
        if name not in probes:
            problems.append(f"reduce.units = {name!r}: there is no such probe; synthesize: {', '.join(probes)}")
    missing = [name for name in probes if name not in attribute["frames"]]
    if attribute["baseline"] == "frame" and missing:
        problems.append(f"attribute.baseline = 'frame': attribute.frames names none for {', '.join(missing)}")
    first = min(config["seeds"])
    for name, settings in probes.items():
        if "model" in settings:
            problems += _climbed_checks(config, name, settings["model"], first if settings["seed"] is None else settings["seed"])
        for recording, files in config["recordings"].items():
            if "stimulus" in settings and settings["stimulus"] not in files:
                has = ", ".join(files)
                problems.append(f"synthesize.{name}.stimulus = {settings['stimulus']!r}: recording {recording!r} has only {has}")
    return problems


def _climbed_checks(config: dict[str, Any], probe: str, model: str, seed: int) -> list[str]:
    """Whether the model that a probe's movies are made with is trained at all."""
    if model not in config["train"]:
        return [f"synthesize.{probe}.model = {model!r}: there is no such model; train: {', '.join(config['train'])}"]
    seeds = config["seeds"] if model not in config["evaluate"]["baselines"] else [min(config["seeds"])]
    if seed not in seeds:
        return [f"synthesize.{probe}.seed = {seed}: {model} is not trained from it; its seeds: {', '.join(map(str, seeds))}"]
    return []
