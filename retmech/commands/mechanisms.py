"""Verbs of mechanisms: from attributions to a circuit, and what it is held against."""

import argparse
from pathlib import Path

from retmech.commands.common import (
    architecture_of,
    by_run,
    named,
    provenance_of,
    read_attributions,
    read_probes,
    read_recording,
    settings_of,
    use_threads,
)
from retmech.errors import ConfigError


def do_attribute(args: argparse.Namespace) -> None:
    """Write what each channel adds to a model's responses."""
    from retmech import io, schemas
    from retmech.stages.attribute import attribute

    use_threads(args)
    model, probe = io.read(args.model, schemas.MODEL), io.read_dataset(args.probe, schemas.PROBE, lazy=True)
    attributions = attribute(model, probe, settings_of(args), args.probe.stem, args.threads)
    provenance = provenance_of(args, "stages.attribute", architecture_of(model), model=args.model, probe=args.probe)
    io.write_pieces(attributions, schemas.ATTRIBUTIONS, args.output, provenance)


def do_reduce(args: argparse.Namespace) -> None:
    """Write factors of attributions."""
    from retmech import io, schemas
    from retmech.stages.reduce import reduce

    files = named(args.attributions)
    reduction = reduce(read_attributions(files), settings_of(args))
    io.write(reduction, schemas.REDUCTION, args.output, provenance_of(args, "stages.reduce", **files))


def do_consensus(args: argparse.Namespace) -> None:
    """Write what several runs agree on."""
    from retmech import io, schemas
    from retmech.stages.consensus import Finding, consensus

    models, reductions, files = named(args.model), named(args.reduction), named(args.attributions)
    attributions, findings = by_run(files), {}
    for run, path in models.items():
        model, reduction = io.read(path, schemas.MODEL), io.read_dataset(reductions[run], schemas.REDUCTION)
        findings[run] = Finding(model, read_attributions(attributions[run]), reduction)
    modules = {architecture_of(finding.model) for finding in findings.values()}
    inputs = files | {f"{run}/model": p for run, p in models.items()} | {f"{run}/reduction": p for run, p in reductions.items()}
    provenance = provenance_of(args, "stages.consensus", *modules, **inputs)
    io.write(consensus(findings, settings_of(args)), schemas.CONSENSUS, args.output, provenance)


def do_explain(args: argparse.Namespace) -> None:
    """Write the circuit of a run."""
    from retmech import io, schemas
    from retmech.stages.explain import Inputs, explain

    use_threads(args)
    files, probes = named(args.attributions), named(args.probe)
    inputs = Inputs(
        model=io.read(args.model, schemas.MODEL),
        probes=read_probes(probes),
        attributions=read_attributions(files),
        reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
        recording=read_recording(args.recording, lazy=True),
    )
    sources = {"model": args.model, "reduction": args.reduction, "recording": args.recording} | files
    sources |= {f"probe {name}": path for name, path in probes.items()}
    provenance = provenance_of(args, "stages.explain", architecture_of(inputs.model), **sources)
    io.write(explain(inputs, settings_of(args), args.threads), schemas.CIRCUIT, args.output, provenance)


def do_recover(args: argparse.Namespace) -> None:
    """Write how well a run recovers the true pathways."""
    from retmech import io, schemas
    from retmech.stages.recover import Inputs, recover

    use_threads(args)
    files, probes = named(args.attributions), named(args.probe)
    inputs = Inputs(
        model=io.read(args.model, schemas.MODEL),
        retina=io.read_dataset(args.retina, schemas.RETINA),
        truth=io.read(args.truth, schemas.TRUTH),
        probes=read_probes(probes),
        attributions=read_attributions(files),
        reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
        circuit=io.read_dataset(args.circuit, schemas.CIRCUIT),
    )
    sources = {name: getattr(args, name) for name in ("model", "retina", "truth", "reduction", "circuit")} | files
    sources |= {f"probe {name}": path for name, path in probes.items()}
    provenance = provenance_of(args, "stages.recover", architecture_of(inputs.model), **sources)
    io.write(recover(inputs, settings_of(args), args.threads), schemas.RECOVERY, args.output, provenance)


def do_compare(args: argparse.Namespace) -> None:
    """Write how channels resemble recorded interneurons."""
    from retmech import io, schemas
    from retmech.stages.compare import compare

    use_threads(args)
    settings = settings_of(args)
    model, reduction = io.read(args.model, schemas.MODEL), io.read_dataset(args.reduction, schemas.REDUCTION)
    if not settings.interneurons:
        raise ConfigError("compare.interneurons: expected at least one recording of interneurons.")
    found = compare(model, reduction, settings, args.threads)
    files = {f"interneurons {name}": Path(own.path) for name, own in settings.interneurons.items()}
    sources = {"model": args.model, "reduction": args.reduction} | files
    io.write(found, schemas.INTERNEURONS, args.output, provenance_of(args, "stages.compare", architecture_of(model), **sources))


def do_export(args: argparse.Namespace) -> None:
    """Write the folder of a circuit."""
    from retmech import io, schemas
    from retmech.outputs import write_folder
    from retmech.stages.export import export

    write_folder(args.output, export(io.read(args.circuit, schemas.CIRCUIT)).items())
