"""The numbers of a figure, read from what is drawn: the table can never be out of step with the picture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from retmech.figures.diagram import Connection

NUMBERS = ("x", "y", "x_end", "y_end", "value")
COLUMNS = ("panel", "title", "x_label", "y_label", "kind", "series", "x_name", "y_name", *NUMBERS)
COLORBAR = "<colorbar>"  # what matplotlib calls their axes

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """What one artist shows: a name, and columns of numbers of one length."""

    kind: str
    series: str
    numbers: Numbers


def table(figure: Figure) -> pd.DataFrame:
    """Return the data of a figure as a long table, a row for each point, bar, pixel or segment.

    Returns
    -------
    table
        ``panel`` is a letter or number, ``title``, ``x_label`` and ``y_label`` are as printed, ``kind`` says what is drawn and
        ``series`` what of, as in the legend. ``x`` and ``y`` are where; what reaches from one place to another (bars, bands,
        error bars, spans) ends at ``x_end`` or ``y_end``; ``value`` is that of a pixel or a connection. ``x_name`` and
        ``y_name`` are the printed names of places on an axis that has names and no numbers.

    Raises
    ------
    TypeError
        The figure has something drawn on its data that is not known here.
    """
    loose = [a for group in (figure.lines, figure.patches, figure.images, figure.artists) for a in group]
    if loose:
        raise TypeError(f"drawn beside the panels, so that its data are not known: {loose[0]}")
    panels = [axes for axes in figure.axes if axes.get_label() != COLORBAR]
    parts = [_panel(str(axes.get_label() or i), axes) for i, axes in enumerate(panels, 1)]
    rows = [part for frames in parts for part in frames]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(COLUMNS))


def _panel(name: str, axes: Axes) -> list[pd.DataFrame]:
    titles = [axes.get_title(loc=place) for place in ("left", "center", "right")]
    words = {
        "panel": name,
        "title": "; ".join(t for t in titles if t),
        "x_label": axes.get_xlabel(),
        "y_label": axes.get_ylabel(),
    }
    words = {key: " ".join(text.split()) for key, text in words.items()}
    frames = []
    for drawn in _artists(axes):
        length = len(np.atleast_1d(next(iter(drawn.numbers.values()))))
        numbers = {key: np.asarray(drawn.numbers.get(key, np.full(length, np.nan)), np.float64) for key in NUMBERS}
        names = {"x_name": _names(axes.xaxis, numbers["x"]), "y_name": _names(axes.yaxis, numbers["y"])}
        frames.append(pd.DataFrame({**words, "kind": drawn.kind, "series": drawn.series, **names, **numbers})[list(COLUMNS)])
    return frames


def _names(axis: Axis, places: np.ndarray) -> list[str] | str:
    """Names of the nearest ticks, if the axis has names."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    if not isinstance(locator, FixedLocator) or not isinstance(formatter, FixedFormatter | FuncFormatter):
        return ""
    ticks = np.asarray(locator(), np.float64)
    if not len(ticks):
        return ""
    names = [" ".join(str(formatter(tick, i)).split()) for i, tick in enumerate(ticks)]
    return [names[int(np.abs(ticks - place).argmin())] if np.isfinite(place) else "" for place in places]


def _artists(axes: Axes) -> Iterator[Drawn]:
    """All that is drawn on the data of a panel, in the order in which it was drawn."""
    grouped, ignored = _containers(axes)
    frame = {axes.patch, axes.title, axes.xaxis, axes.yaxis, axes._left_title, axes._right_title}  # type: ignore[attr-defined]
    for artist in axes.get_children():
        if artist in frame or artist in ignored or isinstance(artist, Spine | Legend):
            continue
        reader = next((read for kind, read in READERS.items() if isinstance(artist, kind)), None)
        if reader is None:
            raise TypeError(f"drawn on the data of a panel in a way that the table does not know: {artist}")
        kind, series = grouped.get(artist, ("", _label(artist)))
        for drawn in reader(artist, axes):
            yield Drawn(kind or drawn.kind, series or drawn.series or axes.get_ylabel().replace("\n", " "), drawn.numbers)


def _containers(axes: Axes) -> tuple[dict[Artist, tuple[str, str]], set[Artist]]:
    """Kind and name of what belongs together, and what only adorns it."""
    grouped: dict[Artist, tuple[str, str]] = {}
    ignored: set[Artist] = set()
    for container in axes.containers:
        name = _label(container)
        if isinstance(container, BarContainer):
            grouped |= dict.fromkeys(
                container.patches, ("horizontal bar" if container.orientation == "horizontal" else "bar", name)
            )
        elif isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            grouped |= dict.fromkeys(bars, ("errorbar", name))
            if line is not None:
                grouped[line] = ("", name)
            ignored |= set(caps)
        else:
            raise TypeError(f"a container that the table does not know: {container}")
    return grouped, ignored


def _label(artist: Any) -> str:
    """The name of an artist, if it was given one."""
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label


def _on_data(artist: Artist, axes: Axes) -> tuple[bool, bool]:
    """Whether an artist's x and y are data, and no places in the panel."""
    return tuple(artist.get_transform().contains_branch_seperately(axes.transData))  # type: ignore[return-value]


def _line(line: Line2D, axes: Axes) -> Iterator[Drawn]:
    on_x, on_y = _on_data(line, axes)
    x, y = np.asarray(line.get_xdata(), np.float64), np.asarray(line.get_ydata(), np.float64)
    if on_x and on_y:
        kind = "points" if line.get_linestyle() == "None" else "line"
        yield Drawn(kind, "", {"x": x, "y": y})
    elif on_x or on_y:
        yield Drawn("reference", "reference", {"x": x[:1]} if on_x else {"y": y[:1]})


def _connection(line: Connection, axes: Axes) -> Iterator[Drawn]:
    yield Drawn("connection", "", {"value": [line.strength]})


def _rectangle(patch: Rectangle, axes: Axes) -> Iterator[Drawn]:
    (x, y), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
    on_x, on_y = _on_data(patch, axes)
    if not (on_x and on_y):
        numbers: Numbers = ({"x": [x], "x_end": [x + width]} if on_x else {}) | (
            {"y": [y], "y_end": [y + height]} if on_y else {}
        )
        if numbers:
            yield Drawn("span", "", numbers)
        return
    container = next((c for c in axes.containers if isinstance(c, BarContainer) and patch in c.patches), None)
    if container is None:
        yield Drawn("rectangle", "", {"x": [x], "y": [y], "x_end": [x + width], "y_end": [y + height]})
    elif container.orientation == "horizontal":
        yield Drawn("", "", {"x": [x], "x_end": [x + width], "y": [y + height / 2]})
    else:
        yield Drawn("", "", {"x": [x + width / 2], "y": [y], "y_end": [y + height]})


def _band(band: FillBetweenPolyCollection, axes: Axes) -> Iterator[Drawn]:
    """Each polygon begins on the second edge, goes along the first and comes back along the second."""
    along, across = (0, 1) if band.t_direction == "x" else (1, 0)  # type: ignore[attr-defined]
    first, second = ("y", "y_end") if along == 0 else ("x", "x_end")
    for path in band.get_paths():
        corners = np.asarray(path.vertices, np.float64)[:-1]  # the last closes it
        n = (len(corners) - 2) // 2
        there, back = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
        place = "x" if along == 0 else "y"
        yield Drawn("band", "", {place: there[:, along], first: there[:, across], second: back[:, across]})


def _segments(lines: LineCollection, axes: Axes) -> Iterator[Drawn]:
    ends = np.array([[segment[0], segment[-1]] for segment in lines.get_segments() if len(segment)], np.float64)
    if len(ends):
        (x, y), (x_end, y_end) = ends[:, 0].T, ends[:, 1].T
        yield Drawn("segment", "", {"x": x, "y": y, "x_end": x_end, "y_end": y_end})


def _scatter(points: PathCollection, axes: Axes) -> Iterator[Drawn]:
    x, y = np.asarray(points.get_offsets(), np.float64).T
    values = points.get_array()
    yield Drawn("points", "", {"x": x, "y": y} | ({} if values is None else {"value": np.asarray(values, np.float64)}))


def _image(image: AxesImage, axes: Axes) -> Iterator[Drawn]:
    values = np.asarray(np.ma.filled(np.ma.asarray(image.get_array(), np.float64), np.nan))
    if values.ndim != 2:
        raise TypeError(f"an image of colours and not of values: {image}")
    left, right, bottom, top = image.get_extent()
    rows, columns = values.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    y = y if image.origin == "lower" else y[::-1]
    yield Drawn("image", "", {"x": np.tile(x, rows), "y": np.repeat(y, columns), "value": values.ravel()})


def _text(text: Text, axes: Axes) -> Iterator[Drawn]:
    said = " ".join(text.get_text().split())
    if said and said != axes.get_label():  # the panel's letter
        yield Drawn("text", said, {"x": [np.nan]})


# The first kind that an artist is of says how it is read.
READERS: dict[type[Artist], Callable[[Any, Axes], Iterator[Drawn]]] = {
    Connection: _connection,
    Line2D: _line,
    Rectangle: _rectangle,
    FillBetweenPolyCollection: _band,
    LineCollection: _segments,
    PathCollection: _scatter,
    AxesImage: _image,
    Text: _text,
}
