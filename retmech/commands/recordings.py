"""Verbs of recordings: make one, bring one into its file, read what its cells do."""

import argparse
from pathlib import Path

from retmech.commands.common import Named, named, provenance_of, read_probes, read_recording, settings_of


def do_simulate(args: argparse.Namespace) -> None:
    """Write the raw files of a simulated session, and the retina that was recorded."""
    from retmech import io, schemas
    from retmech.insilico import session
    from retmech.insilico.description import circuit_path
    from retmech.outputs import placed, write_errors
    from retmech.stages.simulate import simulate
    from retmech.streams import stream

    settings = settings_of(args)
    simulation = simulate(settings)
    for name, recorded in simulation.sessions.items():
        path: Path = getattr(args, name)
        with placed(path) as partial, write_errors(path):
            session.write(partial, recorded, stream(settings.seed, "spikes of a simulated recording", name))
    provenance = provenance_of(args, "stages.simulate", circuit=circuit_path(settings.circuit))
    io.write(simulation.retina, schemas.RETINA, args.retina, provenance)


def do_truth(args: argparse.Namespace) -> None:
    """Write the simulated retina's own responses to probes."""
    from retmech import io, schemas
    from retmech.stages.truth import truth

    files = named(args.probe)
    probes = read_probes(files)
    retina = io.read_dataset(args.retina, schemas.RETINA)
    found = truth(retina, read_recording(args.recording, lazy=True), probes, settings_of(args))
    modules = {f"probes.{probe.attrs['probe']}" for probe in probes.values()}
    provenance = provenance_of(args, "stages.truth", *modules, retina=args.retina, recording=args.recording, **files)
    io.write(found, schemas.TRUTH, args.output, provenance)


def do_ingest(args: argparse.Namespace) -> None:
    """Write a recording."""
    from threadpoolctl import threadpool_limits

    from retmech import io, registry, schemas
    from retmech.memory import keep_freed_memory
    from retmech.stages.ingest import ingest

    keep_freed_memory()
    settings = settings_of(args)
    reader = registry.load("reader", settings.reader)
    paths = named(args.stimulus)
    recording = ingest({name: reader.read(path, settings, name) for name, path in paths.items()}, settings)
    inputs: Named = {}
    for name, path in paths.items():
        found = reader.files(path) if hasattr(reader, "files") else [path]
        inputs |= {name if file == path else f"{name}/{file.relative_to(path.parent)}": file for file in found}
    provenance = provenance_of(args, "stages.ingest", f"readers.{settings.reader}", **inputs)
    with threadpool_limits(1, "blas"):  # many small products, of two threads: more would wait for each other
        io.write_pieces(recording, schemas.RECORDING, args.output, provenance)


def do_observe(args: argparse.Namespace) -> None:
    """Write what the recorded cells do in probes that were shown to them."""
    from retmech import io, schemas
    from retmech.stages.observe import observe

    files = named(args.probe)
    probes = read_probes(files)
    observed = observe(read_recording(args.recording, lazy=True), probes, settings_of(args))
    modules = {f"probes.{probe.attrs['probe']}" for probe in probes.values()}
    provenance = provenance_of(args, "stages.observe", *modules, recording=args.recording, **files)
    io.write(observed, schemas.OBSERVED, args.output, provenance)
