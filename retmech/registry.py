"""Probes, readers and architectures are found by the name of their file: adding one is adding a file to its package."""

import importlib
import pkgutil
from types import ModuleType

from retmech.errors import ConfigError

PACKAGES = {"probe": "retmech.probes", "reader": "retmech.readers", "architecture": "retmech.models.architectures"}


def names(kind: str) -> list[str]:
    """Return the sorted names of all entries of one kind; files that start with an underscore are helpers."""
    package = importlib.import_module(PACKAGES[kind])
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """Import one entry, or say which ones there are."""
    if name not in names(kind):
        raise ConfigError(f"{kind} {name!r} does not exist. There are: {', '.join(names(kind))}")
    return importlib.import_module(f"{PACKAGES[kind]}.{name}")
