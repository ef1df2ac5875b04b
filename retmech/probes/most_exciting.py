"""Most exciting movies: what gradient ascent on the movie finds for single cells or channels of a trained model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RetmechError
from retmech.labels import geometry_of, variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, judged, responsive, whole_frames
from retmech.settings import Name, Seed
from retmech.streams import derived_seed

if TYPE_CHECKING:
    from torch import Tensor

    from retmech.models.network import Network

SYMMETRY: tuple[str, ...] = ()
FOUND = "Nothing is known of them: the movies are the model's own, and a prediction that an experiment can test."
SOURCE = "Walker et al., Nature Neuroscience 2019; Hoefling et al., eLife 2024"
EXPECTED: dict[str, float] = {}
CRITERION = "a cell with a movie of its own answers most to that one; any other cell answers at all"
NOISE = "noise"
STEP = 0.3  # the first, of the movie's norm


class Config(ProbeSettings):
    """Settings of the ascent."""

    probe: Literal["most_exciting"] = "most_exciting"
    model: Name = Field(description="model that is climbed; the movies are shown to all")
    seed: Seed | None = Field(None, description="that it was trained from; the first when omitted")
    cells: list[str] | None = Field(None, description="cells that get a movie; all when omitted")
    channels: list[str] = Field([], description="first-layer channels (ch1, ch2, ...) whose unit in the middle gets one")
    contrast: float = Field(1.0, gt=0, le=20, description="root mean square of the movies, training sd: the norm")
    low: float | None = Field(None, ge=-20, lt=0, description="darkest that may be shown, training sd; 0 of 255 when omitted")
    high: float | None = Field(None, gt=0, le=20, description="lightest, training sd; 255 of 255 when omitted")
    window: float = Field(10.0, gt=0, le=5000, description="over which the mean response is made large, ms")
    steps: int = Field(100, ge=1, le=100000, description="of the ascent")
    starts: int = Field(3, ge=1, le=100, description="noise movies from which it starts; the best end is kept")
    draw: Seed = Field(1, description="seed of the noise")


def climbed(config: Config, model: xr.DataTree) -> Stimulus:
    """After grey, for each target the movie as long as the model's history and the window; noise of equal contrast comes last.

    Raises
    ------
    RetmechError
        If the model has no such cell or channel, or the range has no room for the contrast.
    """
    import torch

    from retmech.ascent import climb, display
    from retmech.models.store import load_network

    network = load_network(model).requires_grad_(False)
    geometry = geometry_of(model)
    window = whole_frames("most_exciting.window", config.window, geometry)
    targets = _targets(config, [str(cell) for cell in model.dataset["cell"].values], len(network.filters))
    mean, std = float(model.dataset["stimulus_mean"]), float(model.dataset["stimulus_std"])
    low = -mean / std if config.low is None else config.low
    high = (255 - mean) / std if config.high is None else config.high

    def shown(movie: "Tensor") -> "Tensor":
        return display(movie, config.contrast, low, high)

    n_frames = network.history + window - 1
    generator = torch.Generator().manual_seed(derived_seed(config.draw, "noise that exciting movies begin with"))
    starts = torch.randn(config.starts, n_frames, *geometry.shape, generator=generator)
    movies = [shown(starts[0])]
    for kind, index in targets.values():

        def objective(movie: "Tensor", kind: str = kind, index: int = index) -> "Tensor":
            return _activity(network, movie, kind, index)

        ends = [climb(objective, start, shown, config.steps, STEP) for start in starts]
        movies.insert(-1, max(ends, key=lambda end: float(objective(end))))
    onset = geometry.frames(200)
    grey = np.zeros((onset, *geometry.shape), np.float32)
    return Stimulus(
        Movies((len(movies), onset + n_frames, *geometry.shape), lambda i: np.concatenate([grey, movies[i].numpy()])),
        [*targets, NOISE],
        {
            "onset": variable((), onset / geometry.frame_rate, "s", "onset of the movies"),
            "window": variable((), window / geometry.frame_rate, "s", "length of the last part, whose mean response was climbed"),
        },
    )


def _targets(config: Config, cells: list[str], channels: int) -> dict[str, tuple[str, int]]:
    """Labels of the movies, with the cell's or channel's number."""
    asked = cells if config.cells is None else config.cells
    there = {cell: ("cell", k) for k, cell in enumerate(cells)} | {f"ch{c + 1}": ("channel", c) for c in range(channels)}
    for key, names, kind in (("cells", asked, "cell"), ("channels", config.channels, "channel")):
        unknown = [name for name in names if there.get(name, ("", 0))[0] != kind]
        if unknown:
            has = ", ".join(name for name, (k, _) in there.items() if k == kind)
            raise RetmechError(f"most_exciting.{key} = {unknown}: the model has {has}.")
    if not asked and not config.channels:
        raise RetmechError("most_exciting: neither cells nor channels are asked for. Name some, or leave out `cells` for all.")
    return {name: there[name] for name in (*asked, *config.channels)}


def _activity(network: "Network", movie: "Tensor", kind: str, index: int) -> "Tensor":
    """Mean over the window of a cell's rate, or of what a channel's unit in the middle passes on when it is excited."""
    drive = network.first_layer(movie[None])[0]
    if kind == "cell":
        return network.upper(drive)[:, index].mean()
    middle = drive[:, index, drive.shape[2] // 2, drive.shape[3] // 2]
    return middle.mean() * network.channel_gain()[index].sign()


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Mean rate in the window, its ratio to that with noise, and how far a cell prefers its own movie to all others."""
    inside = rate["time"].values >= rate["time"].values[-1] - float(probe["window"]) + 0.5 / float(probe["frame_rate"])
    mean = rate.values[:, inside].astype(np.float64).mean(axis=1)
    baseline, best = rate.values[0, 0], mean.max(axis=0)
    labels, names = probe["condition"].values.tolist(), [str(cell) for cell in rate["cell"].values]
    preference = np.full(len(names), np.nan)
    for k, name in enumerate(names):
        if name in labels:
            own = labels.index(name)
            preference[k] = mean[own, k] / max(np.delete(mean[:, k], own).max(), 1e-9)
    dims = ("condition", "cell")
    return {
        "window_rate": variable(dims, mean, "Hz", "mean rate in the window"),
        "noise_ratio": variable(dims, mean / np.maximum(mean[-1], 1e-9), "1", "mean rate over that with noise"),
        "preference": variable("cell", preference, "1", "rate with the cell's own movie over that with the best other"),
        "best_rate": variable(
            "cell", np.where(responsive(best, baseline), best, np.nan), "Hz", "rate with the most exciting movie"
        ),
    }


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    preference = found["preference"].values
    return judged(np.isnan(preference) | (preference > 1), np.isfinite(found["best_rate"].values))
