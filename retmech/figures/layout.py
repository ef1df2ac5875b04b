"""Panels in rows that fit on a page, however many there are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retmech.figures.style import WIDTH

ACROSS = 6  # panels in a row at most


def wrapped(n: int, height: float, extra: float = 0.3, across: int = ACROSS, **options: bool | str) -> tuple[Figure, list[Axes]]:
    """Return a figure of a page's width with n panels of one height in as many rows as they need.

    Parameters
    ----------
    n
        Panels.
    height
        Of a row, inches.
    extra
        Room for a legend or a title, inches.
    across
        Panels in a row at most.
    options
        Of ``Figure.subplots``: what the panels share.
    """
    rows, columns = rows_of(n, across)
    figure = Figure(figsize=(WIDTH, extra + height * rows))
    grid = figure.subplots(rows, columns, squeeze=False, **options)  # type: ignore[call-overload]
    panels: list[Axes] = list(grid.flat)
    for empty in panels[n:]:
        empty.remove()
    return figure, panels[:n]


def rows_of(n: int, across: int = ACROSS) -> tuple[int, int]:
    """Return rows and columns of as equal a length as can be."""
    rows = -(-n // across)
    return rows, -(-n // rows)


def leftmost(panels: Sequence[Axes]) -> list[Axes]:
    """Return the first panel of every row."""
    return [axes for axes in panels if (place := axes.get_subplotspec()) is None or place.is_first_col()]


def lowest(panels: Sequence[Axes]) -> list[Axes]:
    """Return the panels with none below them."""
    columns: dict[float, Axes] = {}
    for axes in panels:
        place = axes.get_subplotspec()
        assert place is not None
        columns[place.colspan.start] = axes
    return list(columns.values())


def extent(x: np.ndarray, y: np.ndarray, upwards: bool = False) -> tuple[float, float, float, float]:
    """Return the edges of an image whose pixels have these centres; the first row is above, or with ``upwards`` below."""
    half_x, half_y = (abs(float(v[1] - v[0])) / 2 if len(v) > 1 else 0.5 for v in (x, y))
    first, last = float(y[0]) - half_y, float(y[-1]) + half_y
    return float(x[0]) - half_x, float(x[-1]) + half_x, *((first, last) if upwards else (last, first))
