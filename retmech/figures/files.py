"""A figure as files: PDF and SVG for papers, and its numbers as CSV."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib
from fontTools import subset
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from retmech.figures.style import style
from retmech.figures.table import table

LAYOUT_TABLES = ("GSUB", "GPOS", "GDEF", "kern")  # of a font: how a program that sets text would place its letters

DIGITS = 6  # of places on the page, in its widths and heights


def written(figure: Figure, name: str) -> dict[str, bytes]:
    """Return the three files of a figure by their names; a figure that is drawn anew gives the same bytes.

    Panels are laid out once, and for good: a layout takes as long as the drawing itself.
    """
    with style():
        _lay_out(figure)
        with _small_fonts():
            pdf = _saved(figure, "pdf", {"CreationDate": None})
        return {
            f"{name}.pdf": pdf,
            f"{name}.svg": _saved(figure, "svg", {"Date": None}),
            f"{name}.csv": table(figure).to_csv(index=False, float_format="%.6g").encode(),
        }


def _lay_out(figure: Figure) -> None:
    """Find the panels' places, and round them: the solver's last digits depend on the order in which Python hashes names."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    with matplotlib.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # "none" would leave a placeholder, for which every file is drawn twice
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position(original=True).get_points().round(DIGITS)))


def _saved(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    file = BytesIO()
    figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()


@contextmanager
def _small_fonts() -> Iterator[None]:
    """Leave out of embedded fonts what a PDF, in which each letter has its place, never uses: a quarter of a figure's time."""
    default = subset.Options._drop_tables_default
    subset.Options._drop_tables_default = [*default, *LAYOUT_TABLES]
    try:
        yield
    finally:
        subset.Options._drop_tables_default = default
