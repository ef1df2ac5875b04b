"""One self-contained page about one recording: an explorer of its mechanisms."""

from retmech.report.blocks import encode
from retmech.report.page import render
from retmech.report.payload import payload
from retmech.settings import ReportSettings
from retmech.study import Study


def report(study: Study, settings: ReportSettings) -> str:
    """Return the page of a study as HTML."""
    return render({name: encode(block) for name, block in payload(study, settings)})
