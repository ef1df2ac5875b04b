"""`retmech <verb>`: parse arguments, read, call the stage, write. Imports wait for the verb, so that light stages start fast."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retmech.errors import ConfigError, RetmechError

Named = dict[str, Path]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after printing what the user has to mend."""
    parser = _parser()
    args, rest = parser.parse_known_args(arguments)
    args.snakemake = rest
    if args.snakemake and args.verb != "run":
        parser.error(f"unrecognized arguments: {' '.join(args.snakemake)}")
    try:
        args.run(args)
    except RetmechError as error:
        print(f"retmech {args.verb}: error: {error}", file=sys.stderr)
        return 1
    return 0


def _simulate(args: argparse.Namespace) -> None:
    import numpy as np

    from retmech import io, schemas
    from retmech.insilico import session
    from retmech.insilico.description import circuit_path
    from retmech.stages.simulate import simulate

    settings = _settings(args)
    simulation = simulate(settings)
    for name, recorded in simulation.sessions.items():
        path: Path = getattr(args, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        session.write(partial, recorded, np.random.default_rng([settings.seed, len(name)]))
        partial.replace(path)
    provenance = _provenance(args, "stages.simulate", circuit=circuit_path(settings.circuit))
    io.write(simulation.retina, schemas.RETINA, args.retina, provenance)


def _truth(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.truth import truth

    files = _named(args.probe)
    probes = {name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in files.items()}
    retina = io.read_dataset(args.retina, schemas.RETINA)
    found = truth(retina, _recording(args.recording, lazy=True), probes, _settings(args))
    modules = {f"probes.{probe.attrs['probe']}" for probe in probes.values()}
    provenance = _provenance(args, "stages.truth", *modules, retina=args.retina, recording=args.recording, **files)
    io.write(found, schemas.TRUTH, args.output, provenance)


def _ingest(args: argparse.Namespace) -> None:
    from threadpoolctl import threadpool_limits

    from retmech import io, registry, schemas
    from retmech.memory import keep_freed_memory
    from retmech.stages.ingest import ingest

    keep_freed_memory()
    settings = _settings(args)
    reader = registry.load("reader", settings.reader)
    paths = _named(args.stimulus)
    recording = ingest({name: reader.read(path, settings, name) for name, path in paths.items()}, settings)
    inputs: Named = {}
    for name, path in paths.items():
        found = reader.files(path) if hasattr(reader, "files") else [path]
        inputs |= {name if file == path else f"{name}/{file.relative_to(path.parent)}": file for file in found}
    provenance = _provenance(args, "stages.ingest", f"readers.{settings.reader}", **inputs)
    with threadpool_limits(1, "blas"):  # many small products, of two threads: more would wait for each other
        io.write_pieces(recording, schemas.RECORDING, args.output, provenance)


def _train(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.models.checkpoints import is_first_process, scratch_folder
    from retmech.models.fitting import Devices
    from retmech.stages.train import train

    _use_threads(args)
    settings = _settings(args)
    kind = settings.architecture
    files, outputs = _named(args.recording), _named(args.output)
    if list(files) != list(outputs):
        raise ConfigError(f"expected one --output for each --recording, found {', '.join(outputs)} for {', '.join(files)}")
    provenance = _provenance(args, "stages.train", f"models.architectures.{kind}", **files)
    recordings = {name: _recording(path) for name, path in files.items()}
    devices = Devices(args.devices, args.nodes, args.accelerator)
    with scratch_folder(args.scratch, {**provenance.attributes(), "seed": args.seed}, devices.processes) as scratch:
        models = train(recordings, settings, kind, args.seed, scratch, devices)
        if is_first_process(devices.processes):
            for name, model in models.items():
                io.write(model, schemas.MODEL, outputs[name], provenance)


def _evaluate(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.evaluate import evaluate

    _use_threads(args)
    files = _named(args.model)
    models = {name: io.read(path, schemas.MODEL) for name, path in files.items()}
    performance = evaluate(_recording(args.recording), models)
    modules = {_architecture(model) for model in models.values()}
    provenance = _provenance(args, "stages.evaluate", *modules, recording=args.recording, **files)
    io.write(performance, schemas.PERFORMANCE, args.output, provenance)


def _synthesize(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.labels import geometry_of
    from retmech.stages.synthesize import source_of, synthesize

    _use_threads(args)
    settings = _settings(args)
    recording = source = _recording(args.recording, lazy=True)
    # A probe that is only drawn on the recording's geometry is the same for all recordings that have it.
    inputs, modules = {}, [f"probes.{settings.probe}"]
    if source_of(settings.probe) == "recording":
        inputs["recording"] = args.recording
    elif source_of(settings.probe) == "model":
        if args.model is None:
            raise ConfigError(f"{settings.probe} is made with a trained model: --model is missing.")
        source = io.read(args.model, schemas.MODEL)
        inputs["model"] = args.model
        modules.append(_architecture(source))
    if hasattr(settings, "path"):
        inputs["movie"] = Path(settings.path)
    probe = synthesize(geometry_of(recording), settings, settings.probe, source)
    provenance = _provenance(args, "stages.synthesize", *modules, **inputs)
    io.write_pieces(probe, schemas.PROBE, args.output, provenance)


def _respond(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.respond import respond

    _use_threads(args)
    model, probe = io.read(args.model, schemas.MODEL), io.read_dataset(args.probe, schemas.PROBE, lazy=True)
    modules = _architecture(model), f"probes.{probe.attrs['probe']}"
    provenance = _provenance(args, "stages.respond", *modules, model=args.model, probe=args.probe)
    io.write(respond(model, probe), schemas.RESPONSE, args.output, provenance)


def _observe(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.observe import observe

    files = _named(args.probe)
    probes = {name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in files.items()}
    observed = observe(_recording(args.recording, lazy=True), probes, _settings(args))
    modules = {f"probes.{probe.attrs['probe']}" for probe in probes.values()}
    provenance = _provenance(args, "stages.observe", *modules, recording=args.recording, **files)
    io.write(observed, schemas.OBSERVED, args.output, provenance)


def _summarize(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.summarize import summarize

    files, retinas = _named(args.responses), _named(args.retinas)
    responses = {}
    for name, path in files.items():
        model, seed, probe = name.split("/")
        responses[model, seed.removeprefix("seed"), probe] = io.read_dataset(path, schemas.RESPONSE)
    for name, path in retinas.items():
        groups = io.read(path, {"recorded": schemas.OBSERVED, "simulated": schemas.TRUTH}[name]).children.items()
        responses |= {(f"{name} retina", "", probe): group.to_dataset() for probe, group in groups}
    readouts = summarize(responses)
    provenance = _provenance(args, "stages.summarize", **files, **retinas)
    io.write(readouts, schemas.READOUTS, args.output, provenance)
    _write_text(readouts.to_dataframe().to_csv(index=False), args.table)


def _attribute(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.attribute import attribute

    _use_threads(args)
    model, probe = io.read(args.model, schemas.MODEL), io.read_dataset(args.probe, schemas.PROBE, lazy=True)
    attributions = attribute(model, probe, _settings(args), args.probe.stem, args.threads)
    provenance = _provenance(args, "stages.attribute", _architecture(model), model=args.model, probe=args.probe)
    io.write_pieces(attributions, schemas.ATTRIBUTIONS, args.output, provenance)


def _reduce(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.reduce import reduce

    files = _named(args.attributions)
    reduction = reduce(_attributions(files), _settings(args))
    io.write(reduction, schemas.REDUCTION, args.output, _provenance(args, "stages.reduce", **files))


def _consensus(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.consensus import Finding, consensus

    models, reductions, files = _named(args.model), _named(args.reduction), _named(args.attributions)
    findings = {}
    for run, path in models.items():
        own = {name.rpartition("/")[2]: file for name, file in files.items() if name.rpartition("/")[0] == run}
        model, reduction = io.read(path, schemas.MODEL), io.read_dataset(reductions[run], schemas.REDUCTION)
        findings[run] = Finding(model, _attributions(own), reduction)
    modules = {_architecture(finding.model) for finding in findings.values()}
    inputs = files | {f"{run}/model": p for run, p in models.items()} | {f"{run}/reduction": p for run, p in reductions.items()}
    provenance = _provenance(args, "stages.consensus", *modules, **inputs)
    io.write(consensus(findings, _settings(args)), schemas.CONSENSUS, args.output, provenance)


def _explain(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.explain import Inputs, explain

    _use_threads(args)
    files, probes = _named(args.attributions), _named(args.probe)
    inputs = Inputs(
        model=io.read(args.model, schemas.MODEL),
        probes={name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in probes.items()},
        attributions=_attributions(files),
        reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
        recording=_recording(args.recording, lazy=True),
    )
    sources = {"model": args.model, "reduction": args.reduction, "recording": args.recording} | files
    sources |= {f"probe {name}": path for name, path in probes.items()}
    provenance = _provenance(args, "stages.explain", _architecture(inputs.model), **sources)
    io.write(explain(inputs, _settings(args), args.threads), schemas.CIRCUIT, args.output, provenance)


def _recover(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.recover import Inputs, recover

    _use_threads(args)
    files, probes = _named(args.attributions), _named(args.probe)
    inputs = Inputs(
        model=io.read(args.model, schemas.MODEL),
        retina=io.read_dataset(args.retina, schemas.RETINA),
        truth=io.read(args.truth, schemas.TRUTH),
        probes={name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in probes.items()},
        attributions=_attributions(files),
        reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
        circuit=io.read_dataset(args.circuit, schemas.CIRCUIT),
    )
    sources = {name: getattr(args, name) for name in ("model", "retina", "truth", "reduction", "circuit")} | files
    sources |= {f"probe {name}": path for name, path in probes.items()}
    provenance = _provenance(args, "stages.recover", _architecture(inputs.model), **sources)
    io.write(recover(inputs, _settings(args), args.threads), schemas.RECOVERY, args.output, provenance)


def _compare(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.compare import compare

    _use_threads(args)
    settings = _settings(args)
    model, reduction = io.read(args.model, schemas.MODEL), io.read_dataset(args.reduction, schemas.REDUCTION)
    if not settings.interneurons:
        raise ConfigError("compare.interneurons: expected at least one recording of interneurons.")
    found = compare(model, reduction, settings, args.threads)
    files = {f"interneurons {name}": Path(own.path) for name, own in settings.interneurons.items()}
    provenance = _provenance(args, "stages.compare", _architecture(model), model=args.model, reduction=args.reduction, **files)
    io.write(found, schemas.INTERNEURONS, args.output, provenance)


def _export(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.folders import write_folder
    from retmech.stages.export import export

    write_folder(args.output, export(io.read(args.circuit, schemas.CIRCUIT)).items())


def _draw(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.folders import write_folder
    from retmech.stages.draw import RETINAS, Mechanism, Overview, draw

    if (args.recording is None) == (args.circuit is None):
        raise ConfigError("expected either --recording, for what all runs have in common, or --circuit, for one run")
    probes = {name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in _named(args.probe).items()}
    responses: dict[str, dict[str, Any]] = {}
    for name, path in _named(args.responses).items():
        run, _, probe = name.rpartition("/")
        responses.setdefault(run, {})[probe] = io.read_dataset(path, schemas.RESPONSE)
    for name, path in _named(args.retinas).items():
        tree = io.read(path, {"recorded": schemas.OBSERVED, "simulated": schemas.TRUTH}[name])
        responses[RETINAS[name]] = {probe: group.to_dataset() for probe, group in tree.children.items()}
    results: Overview | Mechanism
    if args.recording is not None:
        results = Overview(
            recording=io.read(args.recording, schemas.RECORDING, lazy=True),
            models={run: io.read(path, schemas.MODEL) for run, path in _named(args.model).items()},
            performance={run: io.read(path, schemas.PERFORMANCE) for run, path in _named(args.performance).items()},
            probes=probes,
            responses=responses,
            consensus={model: io.read_dataset(path, schemas.CONSENSUS) for model, path in _named(args.consensus).items()},
        )
    else:
        results = Mechanism(
            name=next(iter(responses)),
            probes=probes,
            responses=responses,
            attributions={name: io.read(p, schemas.ATTRIBUTIONS, lazy=True) for name, p in _named(args.attributions).items()},
            reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
            circuit=io.read(args.circuit, schemas.CIRCUIT),
            recovery=None if args.recovery is None else io.read_dataset(args.recovery, schemas.RECOVERY),
            interneurons=None if args.interneurons is None else io.read_dataset(args.interneurons, schemas.INTERNEURONS),
        )
    write_folder(args.output, draw(results, _settings(args)))


def _recording(path: Path, lazy: bool = False) -> Any:
    """The cells of a recording that models are trained on."""
    from retmech import io, schemas
    from retmech.recording import well_recorded

    return well_recorded(io.read(path, schemas.RECORDING, lazy))


def _attributions(files: Named) -> dict[str, Any]:
    from retmech import io, schemas

    return {name: io.read_dataset(path, schemas.ATTRIBUTIONS, lazy=True) for name, path in files.items()}


def _report(args: argparse.Namespace) -> None:
    from retmech.stages.report import report
    from retmech.study import read_study

    _write_text(report(read_study(args.folder, args.runs, args.probes, args.retina), _settings(args)), args.output)


def _gather(args: argparse.Namespace) -> None:
    from retmech import io, schemas
    from retmech.stages.gather import gather

    found = {name: io.read_dataset(path, schemas.CONSENSUS) for name, path in _named(args.consensus).items()}
    _write_text(gather(_named(args.pages), found, args.output, _settings(args)), args.output)


def _write_text(text: str, path: Path) -> None:
    """Write a file that is either absent or whole."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _run(args: argparse.Namespace) -> None:
    from retmech.launch import launch

    launch(args.snakemake)


def _inspect(args: argparse.Namespace) -> None:
    from rich.console import Console

    from retmech.inspection import inspect

    inspect(args.file, _reader_settings(args), args.stimulus, Console(width=None if sys.stdout.isatty() else 160))


def _validate(args: argparse.Namespace) -> None:
    from retmech.inspection import validate

    kind, problems = validate(args.file, _reader_settings(args), args.stimulus)
    if problems:
        raise RetmechError("\n".join([f"{args.file}: {kind}: {len(problems)} problem(s)", *problems]))
    print(f"{args.file}: a valid {kind}")


def _reader_settings(args: argparse.Namespace) -> Any:
    from retmech.config import section_settings

    return None if args.config == "{}" else section_settings("ingest", _raw_settings(args))


def _fetch(args: argparse.Namespace) -> None:
    from retmech.fetch import PUBLIC, fetch

    if args.name is None:
        for name, data in PUBLIC.items():
            print(f"{name}: {data.citation}\n  sessions {', '.join(data.sessions)}; stimuli {', '.join(data.stimuli)}")
        return
    for path in fetch(args.name, args.sessions, args.stimuli, args.folder):
        print(path)


def _docs(args: argparse.Namespace) -> None:
    from retmech import gallery, reference

    reference.write(args.folder)
    gallery.write(args.folder)


def _use_threads(args: argparse.Namespace) -> None:
    """Compute with as many threads as the job was given, and no more: its neighbours have their own."""
    import torch

    from retmech.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(args.threads)


def _settings(args: argparse.Namespace) -> Any:
    from retmech.config import section_settings

    return section_settings(args.verb, _raw_settings(args))


def _raw_settings(args: argparse.Namespace) -> dict[str, Any]:
    try:
        raw = json.loads(args.config)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--config is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"--config must be an object with the settings of {args.verb}, found {args.config}")
    return raw


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {text}")
    return number


def _architecture(model: Any) -> str:
    return f"models.architectures.{model.attrs['architecture']}"


def _named(pairs: Sequence[str]) -> Named:
    """Split NAME=PATH arguments."""
    named = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals:
            raise ConfigError(f"expected NAME=PATH, found {pair!r}")
        named[name] = Path(path)
    return named


def _provenance(args: argparse.Namespace, *modules: str, **inputs: Path) -> Any:
    from retmech.io import Provenance
    from retmech.provenance import code_digest

    settings = _settings(args).model_dump(mode="json") if "config" in args else None
    if "seed" in args:
        settings = {**(settings or {}), "seed": args.seed}
    return Provenance(settings, code_digest(*modules), inputs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="retmech", description="From retinal recordings to mechanisms, stage by stage.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: Any, text: str, *paths: str, config: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        if config:
            sub.add_argument("--config", default="{}", help="the stage's settings as JSON; defaults for what is left out")
        for path in paths:
            sub.add_argument(f"--{path}", type=Path, required=True)
        return sub

    def several(sub: argparse.ArgumentParser, name: str) -> None:
        sub.add_argument(f"--{name}", nargs="+", required=True, metavar="NAME=PATH")

    def threads(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--threads", type=_positive, default=1)

    verb("simulate", _simulate, "Record a simulated retina.", "naturalscene", "whitenoise", "retina")
    several(verb("truth", _truth, "Take a simulated retina's own responses apart.", "retina", "recording", "output"), "probe")
    several(verb("ingest", _ingest, "Read, cut, align and check a raw recording.", "output"), "stimulus")
    sub = verb("train", _train, "Fit a model to a recording, or to several that share it.", "scratch")
    several(sub, "recording")
    several(sub, "output")
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument(
        "--devices", type=_positive, default=1, help="processes per node, one for each GPU; CPU cores where there is none"
    )
    sub.add_argument("--nodes", type=_positive, default=1)
    sub.add_argument("--accelerator", default="auto", choices=["auto", "cpu", "gpu"])
    threads(sub)
    sub = verb("evaluate", _evaluate, "Hold models against the recording.", "recording", "output", config=False)
    several(sub, "model")
    threads(sub)
    sub = verb("synthesize", _synthesize, "Draw a probe stimulus.", "recording", "output")
    sub.add_argument("--model", type=Path, help="for a probe that is made with a trained model")
    threads(sub)
    threads(verb("respond", _respond, "Show a probe to a model.", "model", "probe", "output", config=False))
    several(verb("observe", _observe, "Read the recorded cells' own responses to probes.", "recording", "output"), "probe")
    sub = verb("summarize", _summarize, "Put all readouts into one table.", "output", "table", config=False)
    several(sub, "responses")
    several(sub, "retinas")
    threads(verb("attribute", _attribute, "Attribute responses to interneurons.", "model", "probe", "output"))
    several(verb("reduce", _reduce, "Reduce attributions to factors.", "output"), "attributions")
    sub = verb("consensus", _consensus, "Compare what several seeds, or recordings, have found.", "output")
    for name in ("model", "reduction", "attributions"):
        several(sub, name)
    sub = verb("explain", _explain, "Build the reduced circuits and test them.", "model", "reduction", "recording", "output")
    several(sub, "attributions")
    several(sub, "probe")
    threads(sub)
    paths = ("model", "retina", "truth", "reduction", "circuit", "output")
    sub = verb("recover", _recover, "Hold a model's channels against the true pathways.", *paths)
    several(sub, "attributions")
    several(sub, "probe")
    threads(sub)
    threads(verb("compare", _compare, "Hold channels against recorded interneurons.", "model", "reduction", "output"))
    verb("export", _export, "Write the circuit as a PyTorch module and as tables.", "circuit", "output", config=False)
    _draw_arguments(verb("draw", _draw, "Draw every panel for papers, of a recording or of one run.", "output"))
    sub = verb("report", _report, "Make the page of one recording.", "folder", "output")
    for name in ("runs", "probes"):
        sub.add_argument(f"--{name}", nargs="+", required=True)
    sub.add_argument("--retina", type=Path, help="the simulated retina that was recorded")
    sub = verb("gather", _gather, "Make one page of the pages of all recordings.", "output")
    several(sub, "pages")
    sub.add_argument("--consensus", nargs="*", default=[], metavar="MODEL=PATH", help="consensus over all recordings")
    verb("run", _run, "Run the pipeline; all other arguments go to snakemake.", config=False)
    for name, run, text in (
        ("inspect", _inspect, "Print what is in a file or folder, raw or of a stage."),
        ("validate", _validate, "Say everything that is wrong with a file or folder, raw or of a stage."),
    ):
        sub = verb(name, run, text)
        sub.add_argument("file", type=Path)
        sub.add_argument("--stimulus", default="naturalscene", help="stimulus class, for formats with several in a file")
    sub = verb("fetch", _fetch, "Download sessions of a public data set; without a name, list them.", config=False)
    sub.add_argument("name", nargs="?")
    sub.add_argument("--sessions", nargs="+", default=[])
    sub.add_argument("--stimuli", nargs="+", default=[])
    sub.add_argument("--folder", type=Path, default=Path("data"))
    verb("docs", _docs, "Write the config's schema and reference.", config=False).add_argument("--folder", type=Path, default=".")
    return parser


def _draw_arguments(sub: argparse.ArgumentParser) -> None:
    """Those of both kinds of drawings; a kind's own are left out of the other."""
    for name in ("probe", "responses"):
        sub.add_argument(f"--{name}", nargs="+", required=True, metavar="NAME=PATH")
    for name in ("retinas", "model", "performance", "consensus", "attributions"):
        sub.add_argument(f"--{name}", nargs="*", default=[], metavar="NAME=PATH")
    for name in ("recording", "reduction", "circuit", "recovery", "interneurons"):
        sub.add_argument(f"--{name}", type=Path)


if __name__ == "__main__":
    sys.exit(main())
