"""Verbs of what people read: figures and pages."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retmech.commands.common import by_run, named, read_probes, read_responses, read_retinas, settings_of
from retmech.errors import ConfigError

if TYPE_CHECKING:
    from retmech.study import Study


def do_draw(args: argparse.Namespace) -> None:
    """Write a folder of figures."""
    from retmech import io, schemas
    from retmech.outputs import write_folder
    from retmech.stages.draw import Mechanism, Overview, draw

    if (args.recording is None) == (args.circuit is None):
        raise ConfigError("expected either --recording, for what all runs have in common, or --circuit, for one run")
    probes = read_probes(named(args.probe))
    responses = read_responses(named(args.responses)) | read_retinas(named(args.retinas))
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
            recovery=_where_given(io.read_dataset, args.recovery, schemas.RECOVERY),
            interneurons=_where_given(io.read_dataset, args.interneurons, schemas.INTERNEURONS),
        )
    write_folder(args.output, draw(results, settings_of(args)))


def do_report(args: argparse.Namespace) -> None:
    """Write the page of a recording."""
    from retmech.outputs import write_text
    from retmech.stages.report import report

    write_text(report(read_study(args), settings_of(args)), args.output)


def read_study(args: argparse.Namespace) -> "Study":
    """Read what a page is made of: the files that are named, whatever else lies beside them."""
    from retmech import io, schemas
    from retmech.study import Run, Study

    models, performance, responses = named(args.model), named(args.performance), read_responses(named(args.responses))
    attributions, reductions, circuits = by_run(named(args.attributions)), named(args.reduction), named(args.circuit)
    recoveries, interneurons = named(args.recovery), named(args.interneurons)

    def run(name: str) -> Run:
        own = attributions.get(name, {})
        return Run(
            model=io.read(models[name], schemas.MODEL),
            performance=io.read(performance[name], schemas.PERFORMANCE),
            responses=responses[name],
            attributions={probe: io.read(path, schemas.ATTRIBUTIONS, lazy=True) for probe, path in own.items()},
            reduction=_where_given(io.read, reductions.get(name), schemas.REDUCTION),
            circuit=_where_given(io.read, circuits.get(name), schemas.CIRCUIT),
            recovery=_where_given(io.read_dataset, recoveries.get(name), schemas.RECOVERY),
            interneurons=_where_given(io.read_dataset, interneurons.get(name), schemas.INTERNEURONS),
        )

    return Study(
        name=args.name,
        recording=io.read(args.recording, schemas.RECORDING),
        probes=read_probes(named(args.probe)),
        runs={name: run(name) for name in models},
        consensus={model: io.read_dataset(path, schemas.CONSENSUS) for model, path in named(args.consensus).items()},
        retinas=read_retinas(named(args.retinas)),
        retina=_where_given(io.read_dataset, args.retina, schemas.RETINA),
    )


def _where_given(read: Callable[[Path, Any], Any], path: Path | None, schema: Any) -> Any:
    return None if path is None else read(path, schema)


def do_gather(args: argparse.Namespace) -> None:
    """Write the page of all recordings."""
    from retmech import io, schemas
    from retmech.outputs import write_text
    from retmech.stages.gather import gather

    found = {name: io.read_dataset(path, schemas.CONSENSUS) for name, path in named(args.consensus).items()}
    write_text(gather(named(args.pages), found, args.output, settings_of(args)), args.output)
