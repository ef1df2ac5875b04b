"""What a network's first layer makes of a probe, and of the baselines that its responses are compared with."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from retmech.errors import RetmechError
from retmech.labels import geometry_of
from retmech.models.network import Network
from retmech.settings import AttributeSettings, Baseline

Drive = Tensor  # (n, channel, y, x), float32
Frames = NDArray[np.float32]  # (time, y, x), contrast

TRUNCATE = 4.0  # standard deviations at which Gaussians end


class Span(NamedTuple):
    """Consecutive responses to one condition of a probe."""

    condition: int
    start: int
    stop: int


@dataclass(frozen=True)
class Drives:
    """The first layer's output for a probe's stimulus histories.

    Attributes
    ----------
    probe
        Frames are read from its file as they are needed, if it was opened so.
    name
        Of the probe in the settings.
    mean_frame : (y, x)
        Mean of the training movie, as contrast.
    """

    network: Network
    probe: xr.Dataset
    name: str
    mean_frame: Frames
    settings: AttributeSettings

    def spans(self, together: int) -> Iterator[Span]:
        """Yield all responses to all conditions, so many at a time."""
        n_conditions, n_frames = (self.probe.sizes[d] for d in ("condition", "time"))
        for condition, start in product(range(n_conditions), range(0, n_frames, together)):
            yield Span(condition, start, min(start + together, n_frames))

    def drive(self, span: Span) -> Drive:
        """Return the drive of the responses of a span."""
        return self.of(self.clip(span))

    def baseline(self, span: Span, kind: Baseline) -> Drive:
        """Return the drive of their baselines: one for all, or one for each."""
        return self.of(self.baseline_clip(span, kind))

    def clip(self, span: Span) -> Frames:
        """Return the frames of the histories of a span: ``history - 1`` more than it has responses."""
        return self._frames(span.condition, span.start - self.network.history + 1, span.stop)

    def baseline_clip(self, span: Span, kind: Baseline) -> Frames:
        """Return the frames of their baselines: a single history for all, or as many as :meth:`clip`."""
        history, shape = self.network.history, self.probe["stimulus"].shape[2:]
        if kind == "grey":
            return np.zeros((history, *shape), np.float32)
        if kind == "mean":
            return np.repeat(self.mean_frame[None], history, axis=0)
        if kind == "frame":
            at = self.baseline_frame()
            return self.clip(Span(span.condition, at, at + 1))
        geometry = geometry_of(self.probe)
        sd = 1e-3 * self.settings.blur_time * geometry.frame_rate
        pixels = self.settings.blur / geometry.pixel_size
        reach = int(TRUNCATE * sd + 0.5)
        longer = self._frames(span.condition, span.start - history + 1 - reach, span.stop + reach)
        blurred = gaussian_filter(longer, (sd, pixels, pixels), mode="nearest", truncate=TRUNCATE)
        return blurred[reach : len(blurred) - reach]

    def baseline_frame(self) -> int:
        """Index of the frame that the settings name for the probe.

        Raises
        ------
        RetmechError
            If it is no event of the probe, or beyond its end.
        """
        wanted, frame_rate, n = self.settings.frames[self.name], float(self.probe["frame_rate"]), self.probe.sizes["time"]
        where = f"attribute.frames.{self.name} = {wanted!r}"
        events = {str(k): float(v) for k, v in self.probe.data_vars.items() if not v.dims and v.attrs["units"] == "s"}
        if isinstance(wanted, str) and wanted not in events:
            raise RetmechError(f"{where}: the probe has no such event, only {', '.join(events) or 'none at all'}.")
        seconds = events[wanted] if isinstance(wanted, str) else wanted
        if not 0 <= round(seconds * frame_rate) < n:
            raise RetmechError(f"{where}: {seconds:g} s is not in the probe, which lasts {n / frame_rate:g} s.")
        return round(seconds * frame_rate)

    def of(self, frames: Frames) -> Drive:
        """Return the drive of a clip of frames, one response for each complete history."""
        parameter = next(self.network.parameters())
        with torch.no_grad():
            drive: Drive = self.network.first_layer(torch.from_numpy(frames).to(parameter)[None])[0]
        return drive

    def _frames(self, condition: int, start: int, stop: int) -> Frames:
        """Frames [start, stop) of one condition's movie; grey before its first, and its last one for ever after its end."""
        movie = self.probe["stimulus"].isel(condition=condition)
        n, shape = movie.sizes["time"], movie.shape[1:]
        grey = np.zeros((max(min(stop, 0) - start, 0), *shape), np.float32)
        inside = movie.isel(time=slice(max(start, 0), min(max(stop, 0), n))).values
        after = np.repeat(movie.isel(time=slice(n - 1, n)).values, max(stop - max(start, n), 0), axis=0)
        return np.concatenate([grey, inside, after])
