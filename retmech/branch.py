"""One stimulus class of a recording: its parts, cut and aligned, all but their movies."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.alignment import SURE, Alignment, align
from retmech.errors import RecordingError, note, warn
from retmech.labels import quantile_coordinate, variable
from retmech.quality import reliability, reliability_interval, signal_to_noise
from retmech.readers._raw import RawPart, RawRecording
from retmech.receptive_field import Fields
from retmech.settings import IngestSettings

Span = tuple[int, int]

PARTS = ("train", "validation", "test")


@dataclass
class Branch:
    """One stimulus class: all but the movies of its parts, and where they are."""

    name: str
    raw: RawRecording
    cells: list[str]
    parts: dict[str, xr.Dataset]
    spans: dict[str, list[Span]]
    spike_times: tuple[NDArray[np.float64], ...] | None
    found: dict[str, Alignment] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, raw: RawRecording, cells: list[int], settings: IngestSettings) -> "Branch":
        """Cut a class into its parts."""
        lag = settings.response_lag
        spans = _spans(name, raw, settings)
        rates = raw.trial_rate
        if raw.test is None:
            rates = raw.train.rate[None, :, spans["test"][0][0] : spans["test"][0][1] + lag]
        parts = {part: _responses(_source(raw, part), spans[part], cells, raw.frame_rate, lag) for part in PARTS}
        if len(rates) < 2:
            say = warn if raw.test is not None else note
            say(f"{name}: the test movie was shown {len(rates)} time(s); without repeats the noise ceiling is missing (NaN).")
        parts["test"] = _with_trials(name, parts["test"], rates[:, cells], raw.frame_rate, lag)
        times = None if raw.spike_times is None else tuple(raw.spike_times[i] for i in cells)
        return cls(name, raw, [raw.cells[i] for i in cells], parts, spans, times)

    def alone(self) -> xr.Dataset:
        """What the class has beside its parts, at the start."""
        return xr.Dataset(coords={"part": variable("part", ["train", "test"], "1", "part of the recording")})

    @property
    def places(self) -> dict[str, str]:
        """Where the movie of each CLASS/PART stands, for errors."""
        return {f"{self.name}/{part}": _source(self.raw, part).stimulus.place for part in PARTS}

    def pieces(self, part: str) -> Iterator[tuple[int, bool, xr.Dataset]]:
        """Yield the movie of a part in pieces: the first frame's number in the part, whether a run begins, and the frames."""
        movie = _source(self.raw, part).stimulus
        time, done = self.parts[part]["time"].variable, 0
        for start, stop in self.spans[part]:
            for first, frames in movie.pieces(start, stop):
                stimulus = variable(("time", "y", "x"), frames, "1", "luminance of the movie")
                yield done, first == start, xr.Dataset({"stimulus": stimulus}, coords={"time": time[done : done + len(frames)]})
                done += len(frames)

    def align(self, part: str, fields: Fields, trace: NDArray[np.generic]) -> None:
        """Hold the responses of a part against what receptive fields predict."""
        segment = self.parts[part]["segment"].values
        runs = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist()]
        found = align(fields.kernel, trace.astype(np.float64), self.parts[part]["rate"].values[fields.cells], runs)
        if found is not None:
            self.found[part] = found

    def shifts(self, check: bool) -> xr.Dataset:
        """By how many bins responses are late, measured by receptive fields; those of test and training must agree."""
        # Where receptive fields come from the training part itself it is not late, by definition.
        late = {part: float(self.found[part].best) if part in self.found else np.nan for part in ("train", "test")}
        usual = 0 if np.isnan(late["train"]) else int(late["train"])
        test = self.found.get("test")
        if test is not None and check and test.best != usual and test.better(test.best, usual) > SURE:
            raise RecordingError(
                f"{self.name}: the responses to the test movie are {test.best - usual:+d} bin(s) late against those of training "
                f"({test.better(test.best, usual):.0f} standard errors). Mend the file; if it is right, set ingest.check_lag to "
                "false."
            )
        values = np.array([late["train"], late["test"]])
        return xr.Dataset(
            {"response_shift": variable("part", values, "1", "bins that responses are late by receptive fields")},
            coords={"part": variable("part", ["train", "test"], "1", "part of the recording")},
        )


def _source(raw: RawRecording, part: str) -> RawPart:
    """Where a part is cut from: the test from the training movie where none was repeated."""
    return raw.test if part == "test" and raw.test is not None else raw.train


def _with_trials(name: str, test: xr.Dataset, rates: NDArray[np.float32], frame_rate: float, lag: int) -> xr.Dataset:
    """Add the single trials (trial, cell, time) to the responses to the test movie, and what they say of the cells.

    The trial average of counts is no count; the trials themselves stand in their place.
    """
    n_bins = test.sizes["time"]
    trials = rates[..., lag : lag + n_bins]
    if trials.shape[-1] < n_bins:
        raise RecordingError(f"{name}: single trials have {rates.shape[-1]} bins, fewer than the test movie.")
    rho = reliability(trials)
    interval = np.sqrt(reliability_interval(trials, max(1, round(frame_rate))))
    return (
        test.drop_vars("spike_count", errors="ignore")
        .assign(
            trial_rate=variable(("trial", "cell", "time"), trials, "Hz", "rate in single trials"),
            reliability=variable("cell", rho, "1", "split-half reliability of the trial average, Spearman-Brown corrected"),
            noise_ceiling=variable("cell", np.sqrt(rho), "1", "largest correlation a perfect model can reach"),
            noise_ceiling_interval=variable(("quantile", "cell"), interval, "1", "95 % confidence interval of noise_ceiling"),
            signal_to_noise=variable("cell", signal_to_noise(trials), "1", "variance of what repeats over that between trials"),
        )
        .assign_coords(quantile=quantile_coordinate())
    )


def _usable(part: RawPart, lag: int) -> int:
    """Frames that have a response."""
    return min(len(part.stimulus), part.rate.shape[1] - lag)


def _blocks(name: str, raw: RawRecording, settings: IngestSettings) -> list[Span]:
    """Spans of the training movie that were recorded without a break."""
    n_frames = len(raw.train.stimulus)
    runs = [*raw.train.runs, n_frames]
    if len(raw.train.runs) > 1:
        return list(pairwise(runs))
    if n_frames % settings.blocks:
        raise RecordingError(
            f"{name}: the training movie's {n_frames} frames cannot be cut into ingest.blocks = {settings.blocks} equal "
            "blocks. Set ingest.blocks to the number that was recorded (1 if it is one movie)."
        )
    block = n_frames // settings.blocks
    return [(start, start + block) for start in range(0, n_frames, block)]


def _spans(name: str, raw: RawRecording, settings: IngestSettings) -> dict[str, list[Span]]:
    """Return the spans of frames of each part.

    Every block is cut into [skipped | training | gap | validation]; where no movie was repeated, the last one of them into [... |
    gap | test].
    """
    skip, gap = (round(seconds * raw.frame_rate) for seconds in (settings.skip, settings.guard_gap))
    last = _usable(raw.train, settings.response_lag)
    blocks = _blocks(name, raw, settings)
    if raw.test is not None:
        usable = _usable(raw.test, settings.response_lag)
        if usable < 1:
            raise RecordingError(f"{name}: the test movie has no responses.")
        tests = [(0, usable)]
    else:
        lengths = [stop - start for start, stop in blocks]
        start, stop = blocks.pop(max(i for i, length in enumerate(lengths) if 2 * length >= max(lengths)))
        stop = min(stop - settings.response_lag, last)
        held_out = min(round(settings.test_fraction * len(raw.train.stimulus)), (stop - start - skip) // 2)
        tests = [(stop - held_out, stop)]
        blocks.append((start, stop - held_out - gap))
        if held_out < 2 * gap:
            raise RecordingError(
                f"{name}: ingest.test_fraction = {settings.test_fraction:g} of the training movie leaves {held_out} frames for "
                "the test. Make it larger."
            )
    training, validation, longest = [], [], 0
    for start, stop in blocks:
        held_out = round(settings.validation_fraction * (stop - start - skip))
        longest = max(longest, stop - start)
        if stop - start - skip - gap - held_out < 1 or held_out <= settings.response_lag:
            continue  # a short run has nothing to give
        if min(stop - settings.response_lag, last) <= stop - held_out:
            raise RecordingError(
                f"{name}: the responses end after {last} of {len(raw.train.stimulus)} frames, before the last block does."
            )
        training.append((start + skip, stop - held_out - gap))
        validation.append((stop - held_out, min(stop - settings.response_lag, last)))
    if not training:
        raise RecordingError(
            f"{name}: a block lasts {longest / raw.frame_rate:g} s; ingest.skip = {settings.skip:g} s, guard_gap = "
            f"{settings.guard_gap:g} s and validation_fraction = {settings.validation_fraction:g} leave nothing to train on."
        )
    return {"train": training, "validation": validation, "test": tests}


def _responses(raw: RawPart, spans: list[Span], cells: list[int], frame_rate: float, lag: int) -> xr.Dataset:
    """A part without its movie."""
    frames = np.concatenate([np.arange(*span) for span in spans])
    segment = np.repeat(np.arange(len(spans), dtype=np.int32), [stop - start for start, stop in spans])
    bins = np.ix_(np.asarray(cells), frames + lag)
    counts = (
        {}
        if raw.spike_count is None
        else {"spike_count": variable(("cell", "time"), raw.spike_count[bins], "1", "spikes per bin")}
    )
    return xr.Dataset(
        counts
        | {
            "rate": variable(("cell", "time"), raw.rate[bins], "Hz", "firing rate"),
            "segment": variable("time", segment, "1", "number of the run of consecutive frames"),
        },
        coords={"time": variable("time", frames / frame_rate, "s", "time in the recording")},
        attrs={"timing": raw.timing} if raw.timing else {},
    )
