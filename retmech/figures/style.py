"""One look for all figures: as wide as a page, in small sans-serif letters, in colours that colour-blind readers tell apart."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes

# Okabe & Ito's colours, which colour-blind readers can tell apart; grey for data and controls.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800", "#332288")
GREY = "#777777"
EXCITATORY, INHIBITORY = "#0072B2", "#D55E00"

WIDTH = 7.0  # inches; a page's two columns

STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],  # the first comes with matplotlib: the same on every machine
    "font.size": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.titley": 1.0,  # not sought anew in every drawing: no axis stands above a panel
    "axes.labelpad": 2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "figure.titlesize": 8,
    "figure.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "image.interpolation": "none",  # pixels as they are: no backend resamples them
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "pdf.fonttype": 42,  # letters stay letters in PDF and SVG: they can be searched, and edited in a drawing program
    "svg.fonttype": "none",
    "svg.hashsalt": "retmech",  # the names of parts are the same in every run
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with this style and without a display."""
    with matplotlib.rc_context(STYLE):
        yield


def colour(i: int) -> str:
    """Colour of the i-th channel, cell or model."""
    return COLOURS[i % len(COLOURS)]


def in_words(text: object) -> str:
    """Return a name from a file as it is printed, with the sign of micrometres."""
    return " ".join("µm" + word[2:] if word in {"um", "um/s", "um,"} else word for word in str(text).split(" "))


def with_unit(text: str, unit: str) -> str:
    """Return the label of an axis; what has no dimension has no unit."""
    return text if unit == "1" else f"{text} ({in_words(unit)})"


def letter_panels(panels: Iterable[Axes]) -> None:
    """Name panels a, b, c ... in bold letters above their upper left corners; their data are found under the letters."""
    for axes, letter in zip(panels, "abcdefghijklmnopqrstuvwxyz", strict=False):
        axes.set_label(letter)
        axes.annotate(
            letter,
            (0, 1),
            xycoords="axes fraction",
            xytext=(-22, 6),
            textcoords="offset points",
            fontsize=9,
            fontweight="bold",
        )


def legend_once(handles: Iterable[Any], labels: Iterable[str]) -> tuple[list[Any], list[str]]:
    """Return a legend's entries, each name once."""
    unique = dict(zip(reversed(list(labels)), reversed(list(handles)), strict=True))
    names = list(reversed(unique))
    return [unique[name] for name in names], names
