"""Verbs that people use by hand."""

import argparse
import sys
from typing import Any

from retmech.commands.common import raw_settings
from retmech.errors import RetmechError


def do_run(args: argparse.Namespace) -> None:
    """Start the pipeline in place of this process."""
    from retmech.launch import launch

    launch(args.snakemake)


def do_inspect(args: argparse.Namespace) -> None:
    """Print what is in a file."""
    from rich.console import Console

    from retmech.inspection import inspect

    inspect(args.file, _reader_settings(args), args.stimulus, Console(width=None if sys.stdout.isatty() else 160))


def do_validate(args: argparse.Namespace) -> None:
    """Print whether a file is valid, or raise an error that lists what is wrong."""
    from retmech.errors import warnings_heard
    from retmech.inspection import validate

    with warnings_heard() as warnings:
        kind, problems = validate(args.file, _reader_settings(args), args.stimulus)
    if problems:
        raise RetmechError("\n".join([f"{args.file}: {kind}: {len(problems)} problem(s)", *problems]))
    with_warnings = f", with {len(warnings)} warning(s)" if warnings else ""
    if with_warnings and args.strict:
        raise RetmechError(f"{args.file}: a valid {kind}{with_warnings}, which --strict does not allow")
    print(f"{args.file}: a valid {kind}{with_warnings}")


def _reader_settings(args: argparse.Namespace) -> Any:
    from retmech.config import section_settings

    return None if args.config == "{}" else section_settings("ingest", raw_settings(args))


def do_fetch(args: argparse.Namespace) -> None:
    """Download public recordings, or list them."""
    from retmech.fetch import PUBLIC, fetch

    if args.name is None:
        for name, data in PUBLIC.items():
            print(f"{name}: {data.citation}\n  sessions {', '.join(data.sessions)}; stimuli {', '.join(data.stimuli)}")
        return
    for path in fetch(args.name, args.sessions, args.stimuli, args.folder):
        print(path)


def do_docs(args: argparse.Namespace) -> None:
    """Write generated pages and pictures of the documentation."""
    from retmech import gallery, reference

    reference.write(args.folder)
    gallery.write(args.folder)
