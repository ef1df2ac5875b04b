"""A circuit as a diagram: interneurons above, ganglion cells below, and what joins them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D

from retmech.figures.style import EXCITATORY, INHIBITORY

THICKEST = 4.0  # points
WEAK = 0.02  # of the strongest connection; weaker ones are not drawn


class Connection(Line2D):
    """A line from an interneuron to a cell; excitation ends in a triangle, inhibition in a bar.

    Parameters
    ----------
    start, end
        Places in the panel's data.
    strength, largest
        Of this one and of the strongest, in one unit; thickness is proportional to it.
    excites
        Whether it raises the rate.
    name
        Under which it stands in the table.
    """

    def __init__(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        strength: float,
        largest: float,
        excites: bool,
        name: str,
    ) -> None:
        width = max(0.4, THICKEST * strength / largest) if largest > 0 else 0.4
        super().__init__(
            [start[0], end[0]],
            [start[1], end[1]],
            color=EXCITATORY if excites else INHIBITORY,
            linewidth=width,
            alpha=0.85,
            solid_capstyle="butt",
            markevery=[1],
            markersize=5 + 1.3 * width,
            markeredgewidth=0 if excites else 1 + width / 2,
            label=f"{name}, {'excitatory' if excites else 'inhibitory'}",
        )
        self.strength = strength
        self.excites = excites

    def draw(self, renderer: RendererBase) -> None:
        """Turn the end to where the line comes from on the page, which is known only now."""
        (x, y), (x_end, y_end) = self.get_transform().transform(np.asarray(self.get_xydata()))
        angle = float(np.degrees(np.arctan2(y_end - y, x_end - x)))
        shape: Any = (3, 0, 0) if self.excites else "_"  # a triangle that points upwards, and a level bar
        self.set_marker(MarkerStyle(shape, transform=Affine2D().rotate_deg(angle - 90)))
        super().draw(renderer)


def connect(axes: Axes, connection: Connection, largest: float) -> None:
    """Draw a connection unless it is too weak to be seen."""
    if connection.strength >= WEAK * largest:
        axes.add_line(connection)


def node(axes: Axes, place: tuple[float, float], text: str, shade: str) -> None:
    """Draw a neuron with its name in it."""
    box = {"boxstyle": "round", "facecolor": shade, "edgecolor": "none"}
    axes.text(*place, text, ha="center", va="center", fontsize=6.5, color="white", fontweight="bold", bbox=box, zorder=3)
