"""One look for all figures: colour-blind safe, labelled, embedded in the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

# Okabe & Ito's colours, which colour-blind readers can tell apart; grey for data and controls.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800", "#332288")
GREY = "#777777"

STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with the page's style and without a display."""
    with matplotlib.rc_context(STYLE):
        yield


def colour(i: int) -> str:
    """Colour of the i-th channel, cell or model."""
    return COLOURS[i % len(COLOURS)]


def embed(figure: Figure) -> str:
    """Return a figure as the address of an image inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
