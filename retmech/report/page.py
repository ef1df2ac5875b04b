"""The parts of the page, and the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import jinja2

from retmech import __version__
from retmech.study import Study


@dataclass(frozen=True)
class Picture:
    """A figure inside the page."""

    image: str
    caption: str
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers, already formatted."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A chapter of the page."""

    title: str
    text: str = ""
    figures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Name for links to it."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def render(study: Study, findings: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the page as HTML; all text is escaped, since names come from the user's config."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(resources.files("retmech.report").joinpath("page.html.j2").read_text("utf-8"))
    return template.render(study=study, findings=findings, sections=sections, version=__version__)
