"""Part of a test movie that was shown to the recorded cells: natural responses, explained like those to artificial stimuli."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RetmechError
from retmech.labels import variable
from retmech.probes._probe import Movies, ProbeSettings, Stimulus, judged
from retmech.quality import pearson
from retmech.settings import Name

SYMMETRY: tuple[str, ...] = ()
FOUND = "What these cells themselves answered is known: the correlation is that of the model's with the recorded rate."
SOURCE = "the recording"
EXPECTED: dict[str, float] = {}
CRITERION = "correlation above 0.5"


class Config(ProbeSettings):
    """Settings of the excerpt."""

    probe: Literal["recorded_movie"] = "recorded_movie"
    stimulus: Name = Field("naturalscene", description="stimulus class whose test movie it is taken from")
    start: float = Field(0.0, ge=0, le=100000, description="of the excerpt in the test movie, s")
    duration: float = Field(5.0, gt=0, le=100000, description="of the excerpt, s")
    warm_up: float = Field(400.0, ge=0, le=5000, description="left out of the correlation: before it the model saw grey, ms")


def excerpt(config: Config, recording: xr.DataTree) -> Stimulus:
    """Cut the excerpt and the recorded rates of the same time.

    Raises
    ------
    RetmechError
        If the recording has no such class, or its test movie is too short.
    """
    if config.stimulus not in recording.children:
        raise RetmechError(
            f"recorded_movie.stimulus = {config.stimulus!r}: the recording has only {', '.join(recording.children)}"
        )
    test = recording.children[config.stimulus].children["test"].to_dataset()
    frame_rate = float(recording.dataset["frame_rate"])
    start, stop = round(config.start * frame_rate), round((config.start + config.duration) * frame_rate)
    if stop > test.sizes["time"] or start >= stop:
        raise RetmechError(
            f"recorded_movie: {config.start:g} s to {config.start + config.duration:g} s is not within the test movie of "
            f"{config.stimulus}, which lasts {test.sizes['time'] / frame_rate:g} s."
        )
    part = test.isel(time=slice(start, stop))
    mean, std = float(recording.dataset["stimulus_mean"]), float(recording.dataset["stimulus_std"])
    contrast = ((part["stimulus"].values.astype(np.float32) - mean) / std).astype(np.float32)
    return Stimulus(
        Movies((1, *contrast.shape), lambda _: contrast),
        [f"{config.stimulus}, {config.start:g} s"],
        {
            "cell": recording.dataset["cell"].variable,
            "recorded_rate": variable(("cell", "time"), part["rate"].values, "Hz", "recorded rate, average over trials"),
            "warm_up": variable((), 1e-3 * config.warm_up, "s", "left out of the correlation"),
        },
    )


def readout(rate: xr.DataArray, probe: xr.Dataset) -> Mapping[str, xr.Variable]:
    """Correlation of the model's rate with the recorded one."""
    later = rate["time"].values >= float(probe["warm_up"])
    r = pearson(rate.values[0].T[:, later], probe["recorded_rate"].values[:, later])
    return {"correlation": variable("cell", r, "1", "correlation with the recorded rate")}


def verdict(found: xr.Dataset) -> NDArray[np.str_]:
    """Judge by :data:`CRITERION`."""
    r = found["correlation"].values
    return judged(r > 0.5, np.isfinite(r))
