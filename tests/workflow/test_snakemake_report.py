"""Snakemake's own report of a finished run: sorted into categories, with labels and captions, and nothing of it elsewhere."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from tests.pipeline import run

RUN = "results/tiny/bn_cnn/seed1"


def variable(page: str, name: str) -> dict[str, Any]:
    """A variable of the page's script."""
    found = re.search(rf"var {name} = (\{{.*?\}});?\s*</script>", page, re.DOTALL)
    assert found
    value: dict[str, Any] = json.loads(found.group(1))
    return value


def test_the_report_of_snakemake_has_categories_labels_and_captions(copy: Path, tmp_path: Path) -> None:
    archive = tmp_path / "report.zip"
    run("snakemake", "--report", str(archive), cwd=copy)
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
        page = file.read("report/report.html").decode()
    entries, categories = variable(page, "results"), variable(page, "categories")
    assert set(categories) == {"Report", "Figures", "Tables"}
    assert set(categories["Figures"]) == {"tiny", "tiny, bn_cnn, seed 1"}
    assert f"{RUN}/figures/mechanism_latency.svg" in categories["Figures"]["tiny, bn_cnn, seed 1"]
    drawn = {str(path.relative_to(copy)) for path in (copy / "results/tiny").rglob("figures/*.svg")}
    tables = {"results/tiny/readouts.csv"}
    tables |= {f"results/tiny/bn_cnn/seed{i}/circuit/{t}.csv" for i in (1, 2) for t in ("channels", "factors", "actions")}
    assert set(entries) == drawn | tables | {"results/tiny/report.html", "results/report.html"}
    figure = entries[f"{RUN}/figures/mechanism_latency.svg"]
    assert figure["labels"] == {"recording": "tiny", "model": "bn_cnn", "seed": "1", "figure": "mechanism_latency"}
    assert "Figure of model bn_cnn, seed 1" in figure["caption"]
    assert entries["results/tiny/figures/phenomena.svg"]["labels"]["figure"] == "phenomena"
    assert all(entry["caption"] and entry["labels"] for entry in entries.values())
    assert all(f"report/{entry['data_uri']}" in names for entry in entries.values() if "data_uri" in entry)
