"""The notebook reads any run, with nothing of retmech."""

import contextlib
import io
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import pytest

from tests.docs.pages import ROOT

NOTEBOOK = ROOT / "docs/read_results.ipynb"


def test_the_notebook_reads_the_results_of_the_tiny_config(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("agg")
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert "retmech" not in "".join(cells)
    first = cells[0].replace("../results/insilico", "results/tiny")
    assert first != cells[0]
    monkeypatch.chdir(finished)
    plt.close("all")  # of other tests
    names = {"__name__": "notebook"}
    with mpl.rc_context(), contextlib.redirect_stdout(io.StringIO()) as said:
        for i, source in enumerate([first, *cells[1:]]):
            exec(compile(source, f"code cell {i}", "exec"), names)
    assert len(plt.get_fignums()) == 7
    plt.close("all")
    assert "error of the integral" in said.getvalue()


def test_the_notebook_is_small_and_has_its_outputs() -> None:
    assert NOTEBOOK.stat().st_size < 400_000
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) == 7
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
