"""Verbs of models: train, hold against the recording, show probes."""

import argparse
from pathlib import Path

from retmech.commands.common import (
    architecture_of,
    named,
    provenance_of,
    read_recording,
    read_retinas,
    settings_of,
    use_threads,
)
from retmech.errors import ConfigError


def do_train(args: argparse.Namespace) -> None:
    """Write trained models."""
    from retmech import io, schemas
    from retmech.models.checkpoints import is_first_process, scratch_folder
    from retmech.models.fitting import Devices
    from retmech.stages.train import train

    use_threads(args)
    settings = settings_of(args)
    kind = settings.architecture
    files, outputs = named(args.recording), named(args.output)
    if list(files) != list(outputs):
        raise ConfigError(f"expected one --output for each --recording, found {', '.join(outputs)} for {', '.join(files)}")
    provenance = provenance_of(args, "stages.train", f"models.architectures.{kind}", **files)
    recordings = {name: read_recording(path) for name, path in files.items()}
    devices = Devices(args.devices, args.nodes, args.accelerator)
    with scratch_folder(args.scratch, {**provenance.attributes(), "seed": args.seed}, devices.processes) as scratch:
        models = train(recordings, settings, kind, args.seed, scratch, devices)
        if is_first_process(devices.processes):
            for name, model in models.items():
                io.write(model, schemas.MODEL, outputs[name], provenance)


def do_evaluate(args: argparse.Namespace) -> None:
    """Write how well models predict a recording."""
    from retmech import io, schemas
    from retmech.stages.evaluate import evaluate

    use_threads(args)
    files = named(args.model)
    models = {name: io.read(path, schemas.MODEL) for name, path in files.items()}
    performance = evaluate(read_recording(args.recording), models)
    modules = {architecture_of(model) for model in models.values()}
    provenance = provenance_of(args, "stages.evaluate", *modules, recording=args.recording, **files)
    io.write(performance, schemas.PERFORMANCE, args.output, provenance)


def do_synthesize(args: argparse.Namespace) -> None:
    """Write a probe."""
    from retmech import io, schemas
    from retmech.labels import geometry_of
    from retmech.stages.synthesize import source_of, synthesize

    use_threads(args)
    settings = settings_of(args)
    recording = source = read_recording(args.recording, lazy=True)
    # A probe that is only drawn on the recording's geometry is the same for all recordings that have it.
    inputs, modules = {}, [f"probes.{settings.probe}"]
    if source_of(settings.probe) == "recording":
        inputs["recording"] = args.recording
    elif source_of(settings.probe) == "model":
        if args.model is None:
            raise ConfigError(f"{settings.probe} is made with a trained model: --model is missing.")
        source = io.read(args.model, schemas.MODEL)
        inputs["model"] = args.model
        modules.append(architecture_of(source))
    if hasattr(settings, "path"):
        inputs["movie"] = Path(settings.path)
    probe = synthesize(geometry_of(recording), settings, settings.probe, source)
    provenance = provenance_of(args, "stages.synthesize", *modules, **inputs)
    io.write_pieces(probe, schemas.PROBE, args.output, provenance)


def do_respond(args: argparse.Namespace) -> None:
    """Write a model's responses to a probe."""
    from retmech import io, schemas
    from retmech.stages.respond import respond

    use_threads(args)
    model, probe = io.read(args.model, schemas.MODEL), io.read_dataset(args.probe, schemas.PROBE, lazy=True)
    modules = architecture_of(model), f"probes.{probe.attrs['probe']}"
    provenance = provenance_of(args, "stages.respond", *modules, model=args.model, probe=args.probe)
    io.write(respond(model, probe), schemas.RESPONSE, args.output, provenance)


def do_summarize(args: argparse.Namespace) -> None:
    """Write the table of all readouts."""
    from retmech import io, schemas
    from retmech.outputs import write_text
    from retmech.stages.summarize import summarize

    files, retinas = named(args.responses), named(args.retinas)
    responses = {}
    for name, path in files.items():
        model, seed, probe = name.split("/")
        responses[model, seed.removeprefix("seed"), probe] = io.read_dataset(path, schemas.RESPONSE)
    for name, groups in read_retinas(retinas).items():
        responses |= {(name, "", probe): group for probe, group in groups.items()}
    readouts = summarize(responses)
    provenance = provenance_of(args, "stages.summarize", **files, **retinas)
    io.write(readouts, schemas.READOUTS, args.output, provenance)
    write_text(readouts.to_dataframe().to_csv(index=False), args.table)
