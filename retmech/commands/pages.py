"""Verbs of what people read: figures and pages."""

import argparse
from typing import Any

from retmech.commands.common import named, read_probes, read_retinas, settings_of
from retmech.errors import ConfigError


def do_draw(args: argparse.Namespace) -> None:
    """Write a folder of figures."""
    from retmech import io, schemas
    from retmech.outputs import write_folder
    from retmech.stages.draw import RETINAS, Mechanism, Overview, draw

    if (args.recording is None) == (args.circuit is None):
        raise ConfigError("expected either --recording, for what all runs have in common, or --circuit, for one run")
    probes = read_probes(named(args.probe))
    responses: dict[str, dict[str, Any]] = {}
    for name, path in named(args.responses).items():
        run, _, probe = name.rpartition("/")
        responses.setdefault(run, {})[probe] = io.read_dataset(path, schemas.RESPONSE)
    responses |= {RETINAS[name]: found for name, found in read_retinas(named(args.retinas)).items()}
    results: Overview | Mechanism
    if args.recording is not None:
        results = Overview(
            recording=io.read(args.recording, schemas.RECORDING, lazy=True),
            models={run: io.read(path, schemas.MODEL) for run, path in named(args.model).items()},
            performance={run: io.read(path, schemas.PERFORMANCE) for run, path in named(args.performance).items()},
            probes=probes,
            responses=responses,
            consensus={model: io.read_dataset(path, schemas.CONSENSUS) for model, path in named(args.consensus).items()},
        )
    else:
        results = Mechanism(
            name=next(iter(responses)),
            probes=probes,
            responses=responses,
            attributions={name: io.read(p, schemas.ATTRIBUTIONS, lazy=True) for name, p in named(args.attributions).items()},
            reduction=io.read_dataset(args.reduction, schemas.REDUCTION),
            circuit=io.read(args.circuit, schemas.CIRCUIT),
            recovery=None if args.recovery is None else io.read_dataset(args.recovery, schemas.RECOVERY),
            interneurons=None if args.interneurons is None else io.read_dataset(args.interneurons, schemas.INTERNEURONS),
        )
    write_folder(args.output, draw(results, settings_of(args)))


def do_report(args: argparse.Namespace) -> None:
    """Write the page of a recording."""
    from retmech.outputs import write_text
    from retmech.stages.report import report
    from retmech.study import read_study

    write_text(report(read_study(args.folder, args.runs, args.probes, args.retina), settings_of(args)), args.output)


def do_gather(args: argparse.Namespace) -> None:
    """Write the page of all recordings."""
    from retmech import io, schemas
    from retmech.outputs import write_text
    from retmech.stages.gather import gather

    found = {name: io.read_dataset(path, schemas.CONSENSUS) for name, path in named(args.consensus).items()}
    write_text(gather(named(args.pages), found, args.output, settings_of(args)), args.output)
