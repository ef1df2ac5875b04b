"""What verbs share: their arguments, and files that several read or write."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retmech.errors import ConfigError

Named = dict[str, Path]


def settings_of(args: argparse.Namespace) -> Any:
    """Return the settings of a verb, from `--config` and the defaults."""
    from retmech.config import section_settings

    return section_settings(args.verb, raw_settings(args))


def raw_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return what stands in `--config`."""
    try:
        raw = json.loads(args.config)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--config is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"--config must be an object with the settings of {args.verb}, found {args.config}")
    return raw


def named(pairs: Sequence[str]) -> Named:
    """Split NAME=PATH arguments."""
    found = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals:
            raise ConfigError(f"expected NAME=PATH, found {pair!r}")
        found[name] = Path(path)
    return found


def by_run(files: Named) -> dict[str, Named]:
    """Sort files with names such as ``model/seedN/probe`` by the run."""
    found: dict[str, Named] = {}
    for name, path in files.items():
        run, _, probe = name.rpartition("/")
        found.setdefault(run, {})[probe] = path
    return found


def provenance_of(args: argparse.Namespace, *modules: str, **inputs: Path) -> Any:
    """Return what a verb's output was made of: its settings and seed, the code of some modules, and files by name."""
    from retmech.io import Provenance
    from retmech.provenance import code_digest

    settings = settings_of(args).model_dump(mode="json") if "config" in args else None
    if "seed" in args:
        settings = {**(settings or {}), "seed": args.seed}
    return Provenance(settings, code_digest(*modules), inputs)


def architecture_of(model: Any) -> str:
    """Return the module of a model's architecture."""
    return f"models.architectures.{model.attrs['architecture']}"


def use_threads(args: argparse.Namespace) -> None:
    """Compute with as many threads as the job was given, and no more: its neighbours have their own."""
    import torch

    from retmech.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(args.threads)


def read_recording(path: Path, lazy: bool = False) -> Any:
    """Read the cells of a recording that models are trained on."""
    from retmech import io, schemas
    from retmech.recording import well_recorded

    return well_recorded(io.read(path, schemas.RECORDING, lazy))


def read_probes(files: Named) -> dict[str, Any]:
    """Open probes; their movies stay in the files."""
    from retmech import io, schemas

    return {name: io.read_dataset(path, schemas.PROBE, lazy=True) for name, path in files.items()}


def read_retinas(files: Named) -> dict[str, dict[str, Any]]:
    """Read what the `recorded` and the `simulated` retina do, by what they are and probe."""
    from retmech import io, schemas
    from retmech.labels import RECORDED, TRUTH

    kinds = {"recorded": (RECORDED, schemas.OBSERVED), "simulated": (TRUTH, schemas.TRUTH)}
    trees = {kinds[name][0]: io.read(path, kinds[name][1]) for name, path in files.items()}
    return {name: {probe: group.to_dataset() for probe, group in tree.children.items()} for name, tree in trees.items()}


def read_responses(files: Named) -> dict[str, dict[str, Any]]:
    """Read responses, by run and probe."""
    from retmech import io, schemas

    return {run: {p: io.read_dataset(f, schemas.RESPONSE) for p, f in own.items()} for run, own in by_run(files).items()}


def read_attributions(files: Named) -> dict[str, Any]:
    """Open attributions, which stay in their files."""
    from retmech import io, schemas

    return {name: io.read_dataset(path, schemas.ATTRIBUTIONS, lazy=True) for name, path in files.items()}
