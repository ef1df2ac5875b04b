"""Pictures of probe stimuli, for the page that describes them."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from retmech.figures.layout import extent
from retmech.figures.probes import draw_stimulus
from retmech.figures.style import WIDTH, in_words

SHOWN = 3  # conditions


def stimuli(probe: xr.Dataset) -> Figure:
    """Some conditions of a probe: the time course, or position against time through the middle, and a frame."""
    n = probe.sizes["condition"]
    chosen = np.unique(np.linspace(0, n - 1, min(SHOWN, n)).astype(int))
    flat = probe.attrs["symmetry"] == "y x"
    figure = Figure(figsize=(WIDTH, 0.4 + 1.15 * len(chosen)))
    axes = figure.subplots(len(chosen), 1 if flat else 2, squeeze=False, width_ratios=None if flat else [4, 1])
    for i, (row, condition) in enumerate(zip(axes, chosen.tolist(), strict=True)):
        draw_stimulus(row[0], probe, condition)
        row[0].set_title(in_words(probe["condition"].values[condition]))
        if i + 1 == len(axes):
            row[0].set_xlabel("time (s)")
        if not flat:
            movie = probe["stimulus"][condition].values
            limit = max(float(np.abs(movie).max()), 1e-12)
            frame = int(np.abs(movie).mean(axis=(1, 2)).argmax())
            edges = extent(probe["x"].values, probe["y"].values)
            row[1].imshow(movie[frame], cmap="gray", vmin=-limit, vmax=limit, extent=edges, label="contrast (sd)")
            row[1].set_title(f"{float(probe['time'][frame]):.2f} s")
            row[1].set_xticks([])
            row[1].set_yticks([])
    return figure
