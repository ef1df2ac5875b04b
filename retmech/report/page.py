"""The page: one file with its data, its drawing library and its scripts, which asks for nothing from anywhere."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from retmech import __version__
from retmech.report.blocks import blocks_of, decode

# In the order in which they are read: later ones use what earlier ones define.
SCRIPTS = (
    "data",
    "state",
    "draw",
    "response",
    "channels",
    "reduced",
    "circuit",
    "factors",
    "readouts",
    "models",
    "consensus",
    "truth",
    "checks",
    "main",
)


def render(blocks: Mapping[str, str]) -> str:
    """Return the explorer of the recordings whose blocks these are, as HTML."""
    pages = [decode(text) for name, text in blocks.items() if "/" not in name]
    links = [page | {"link": f"#recording={page['name']}"} for page in pages]
    return _fill(links, blocks, explorer=True)


def render_index(pages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a page that links to those of single recordings: their overviews, by the address of their page."""
    return _fill([{**page, "link": link} for link, page in pages.items()], {}, explorer=False)


def overviews(page: str, source: str) -> list[dict[str, Any]]:
    """Return the overviews of the recordings that a page holds."""
    return [decode(text) for name, text in blocks_of(page, source).items() if "/" not in name]


def _fill(pages: Sequence[Mapping[str, Any]], blocks: Mapping[str, str], explorer: bool) -> str:
    """All text is escaped, since names come from the user's config; scripts and styles are our own."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    names = [str(page["name"]) for page in pages]
    folder = resources.files("retmech.report").joinpath("explorer")
    return environment.from_string(folder.joinpath("page.html.j2").read_text("utf-8")).render(
        title=names[0] if len(names) == 1 else f"{len(names)} recordings",
        pages=pages,
        names=_verbatim(json.dumps(names).replace("<", "\\u003c")),
        blocks=blocks,
        explorer=explorer,
        version=__version__,
        css=_verbatim(folder.joinpath("page.css").read_text("utf-8")),
        script=_verbatim("\n".join(folder.joinpath(f"{name}.js").read_text("utf-8") for name in SCRIPTS)),
        plotly=_verbatim(_plotly()) if explorer else "",
    )


def _verbatim(text: str) -> Markup:
    return Markup(text)  # noqa: S704 our own files, and JSON that cannot end a script


def _plotly() -> str:
    """The drawing library, as it comes with its package; a page cannot hold the end of a script inside one."""
    source = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")
    return source.replace("</script", "<\\/script")
