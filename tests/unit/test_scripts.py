"""The scripts of the page: none is forgotten, and together they use what they define and define what they use."""

import os
import subprocess
from pathlib import Path

from retmech import report
from retmech.report.page import SCRIPTS

FOLDER = Path(report.__path__[0]) / "explorer"


def test_every_script_is_on_the_page() -> None:
    assert {path.stem for path in FOLDER.glob("*.js")} == set(SCRIPTS)


def test_together_the_scripts_are_clean(tmp_path: Path) -> None:
    whole = tmp_path / "page.js"
    whole.write_text("\n".join((FOLDER / f"{name}.js").read_text() for name in SCRIPTS))
    done = subprocess.run(["deno", "lint", str(whole)], capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
