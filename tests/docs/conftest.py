"""The files of docs/extending.md, put where a reader of it would put them."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from retmech.config import config_model
from tests.docs.pages import ROOT

FILE = re.compile(r"as `(retmech/([\w/]+)/(\w+)\.py)`:\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Name -> package of the probe, the reader and the architecture of the guide, which the package now has."""
    added = {}
    for path, folder, name, code in FILE.findall((ROOT / "docs/extending.md").read_text(encoding="utf-8")):
        package = import_module(f"retmech.{folder.replace('/', '.')}")
        beside = tmp_path / path
        beside.parent.mkdir(parents=True)
        beside.write_text(code, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(beside.parent)])
        added[name] = package.__name__
    config_model.cache_clear()
    yield added
    config_model.cache_clear()
    for name, package_name in added.items():
        sys.modules.pop(f"{package_name}.{name}", None)
        vars(sys.modules[package_name]).pop(name, None)
