"""The site is built without a warning: no name in a docstring and no link of a page leads nowhere."""

from pathlib import Path

from tests.docs.pages import ROOT
from tests.pipeline import run


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "html"
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--doctree-dir", str(tmp_path / "doctrees"))
    run("sphinx-build", *options, "docs", str(site), cwd=ROOT)
    for name in ("index", "tutorial", "method", "read_results", "api/index", "api/stages", "api/files"):
        assert (site / f"{name}.html").exists()
    stages = (site / "api/stages.html").read_text(encoding="utf-8")
    assert 'id="retmech.stages.attribute.attribute"' in stages
    files, settings = ((site / f"api/{name}.html").read_text(encoding="utf-8") for name in ("files", "settings"))
    assert "completeness_error" in files  # a variable of a type of file
    assert "max_refractory_violations" in settings  # a key of the config
    assert "<img" in (site / "read_results.html").read_text(encoding="utf-8")
