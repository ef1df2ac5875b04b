"""Turn the raw files of a recording into one typed file: cut into parts, aligned, judged, with receptive fields.

Movies are gone through once, piece by piece: memory does not grow with the recording's length.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.alignment import SURE, Alignment, align
from retmech.errors import RecordingError, warn
from retmech.geometry import Geometry
from retmech.labels import (
    cell_coordinate,
    geometry_variables,
    lag_coordinate,
    pixel_coordinates,
    quantile_coordinate,
    variable,
)
from retmech.pieces import Pieces
from retmech.progress import progress
from retmech.quality import rate_drift, refractory_violations, reliability, reliability_interval, signal_to_noise
from retmech.readers._raw import RawPart, RawRecording
from retmech.receptive_field import FieldQuality, Moments, ReverseCorrelation, field_quality, receptive_field_centre
from retmech.settings import IngestSettings, QualitySettings

Span = tuple[int, int]

PARTS = ("train", "validation", "test")
BANDS = 2  # of rows that are correlated beside each other


def ingest(raw: Mapping[str, RawRecording], settings: IngestSettings) -> Pieces:
    """Return the recording of one session as a tree with a branch for each stimulus class.

    Parameters
    ----------
    raw
        Stimulus class -> what its reader returned. All classes are of the same cells.

    Returns
    -------
    recording
        See the *recording* section of the data model. In it the response at time t is the one that the newest frame at t
        drives: the recorded lag between them is taken out.
    """
    first = next(iter(raw.values()))
    _check_same_session(raw, first)
    geometry = Geometry(first.train.stimulus.shape[1:], first.frame_rate, settings.pixel_size)
    cells = _chosen_cells(first, settings)
    unit = _unit(raw, settings)
    source = "whitenoise" if "whitenoise" in raw else next(iter(raw))
    # The class that receptive fields come from goes first: what they predict is held against the responses to the others.
    order = sorted(raw, key=lambda name: name != source)
    branches = {name: _Branch.of(name, raw[name], cells, settings) for name in order}
    root = xr.Dataset(
        geometry_variables(geometry),
        coords={
            "cell": cell_coordinate([first.cells[i] for i in cells]),
            "lag": lag_coordinate(geometry.frames(settings.history), first.frame_rate),
        }
        | pixel_coordinates(geometry.shape, geometry.pixel_size),
    )
    tree = {"/": root}
    for name in raw:
        tree |= {f"/{name}": branches[name].alone()} | {f"/{name}/{part}": branches[name].parts[part] for part in PARTS}
    return Pieces(xr.DataTree.from_dict(tree), _parts(branches, source, unit, geometry, settings))


def _parts(
    branches: Mapping[str, "_Branch"], source: str, unit: str, geometry: Geometry, settings: IngestSettings
) -> Iterator[xr.DataTree]:
    """All movies, and in the end what only they can tell."""
    branch = branches[source]
    rate = branch.parts["train"]["rate"].values
    # Responses from the other half of the session have nothing to do with the frames: receptive fields without a cell.
    both = np.concatenate([rate, np.roll(rate, rate.shape[1] // 2, axis=1)])
    mapped = ReverseCorrelation(geometry.frames(settings.history), geometry.shape, len(both), bands=BANDS)
    moments: dict[str, Moments] = {}
    kernels: _Kernels | None = None
    worker = ThreadPoolExecutor(1)  # correlates a piece while the last one is written and the next one read
    pending: Future[None] | None = None
    for name, own in branches.items():
        total = sum(dataset.sizes["time"] for dataset in own.parts.values())
        with progress(name, total, "frames") as advance:
            for part in PARTS:
                traces = [] if kernels is None else kernels.empty()
                for start, new_run, piece in own.pieces(part):
                    frames = piece["stimulus"].values
                    if name == source and part == "train":
                        if pending is not None:
                            pending.result()
                        pending = worker.submit(mapped.add, frames, both[:, start : start + len(frames)], new_run)
                    elif part == "train":
                        moments.setdefault(name, Moments()).add(frames)
                    if kernels is not None:
                        traces.append(kernels.seen(frames))
                    yield xr.DataTree.from_dict({f"/{name}/{part}": piece})
                    advance(len(frames))
                if name == source and part == "train":
                    worker.shutdown()
                    moments[name] = mapped.moments
                    field, null = np.split(mapped.average(), 2)
                    kernels = _Kernels.of(field, field_quality(field, null))
                elif kernels is not None and part != "validation":
                    own.align(part, kernels, np.concatenate(traces, axis=1))
            if moments[name].std == 0:
                raise RecordingError(f"{name}: the training movie is constant; a contrast cannot be defined.")
            yield xr.DataTree.from_dict({f"/{name}": own.shifts(settings.check_lag)})
    yield xr.DataTree(_root(branches, source, unit, moments[unit], field, field_quality(field, null), geometry, settings))


def _root(
    branches: Mapping[str, "_Branch"],
    source: str,
    unit: str,
    moments: Moments,
    field: NDArray[np.float32],
    seen: FieldQuality,
    geometry: Geometry,
    settings: IngestSettings,
) -> xr.Dataset:
    """The unit of contrast, receptive fields, and how well each cell was recorded."""
    first = branches[source]
    rate = np.concatenate([branch.parts["train"]["rate"].values for branch in branches.values()], axis=1)
    violations = np.full(len(rate), np.nan)
    if first.spike_times is not None:
        violations = refractory_violations(first.spike_times, 1e-3 * settings.quality.refractory_period)
    places = receptive_field_centre(field) - (np.array(geometry.shape, np.float32) - 1) / 2
    repeats = np.stack([branch.parts["test"]["reliability"].values for branch in branches.values()])
    best = np.where(np.isnan(repeats).all(axis=0), np.nan, np.nanmax(np.nan_to_num(repeats, nan=-1), axis=0))
    found = {
        "mean_rate": (rate.mean(axis=1, dtype=np.float64), "Hz", "mean rate in training"),
        "refractory_violations": (violations, "1", "share of intervals between spikes within the refractory period"),
        "rate_drift": (
            rate_drift(first.parts["train"]["rate"].values),
            "1",
            "change of the rate over the session, over its mean",
        ),
        "field_strength": (seen.strength, "1", "largest value of the receptive field over the null's standard deviation"),
        "field_p_value": (seen.p_value, "1", "probability of a receptive field as strong without a cell"),
        "field_diameter": (seen.diameter * geometry.pixel_size, "um", "diameter of the receptive field's centre"),
        "field_y": (places[:, 0].astype(np.float64) * geometry.pixel_size, "um", "vertical position of the receptive field"),
        "field_x": (places[:, 1].astype(np.float64) * geometry.pixel_size, "um", "horizontal position of the receptive field"),
    }
    values = {name: own for name, (own, _, _) in found.items()}
    reasons = _reasons(values | {"reliability": best}, settings.quality)
    for name, reason in zip(first.cells, reasons, strict=True):
        if reason:
            warn(f"{name} is left out of training: {reason}.")
    text = f"spike-triggered average contrast, {source}"
    return xr.Dataset(
        {
            "stimulus_mean": variable((), moments.mean, "1", f"luminance of zero contrast: mean of the training movie, {unit}"),
            "stimulus_std": variable((), moments.std, "1", f"luminance of unit contrast: sd of the training movie, {unit}"),
            "receptive_field": variable(("cell", "lag", "y", "x"), field / np.float32(moments.std), "1", text),
            "included": variable(
                "cell", np.array([not reason for reason in reasons], np.int8), "1", "1: models are trained on it"
            ),
            "exclusion": variable("cell", np.array(reasons, dtype=str), "1", "why a cell is left out; empty for one that is not"),
        }
        | {name: variable("cell", own, units, text) for name, (own, units, text) in found.items()}
    )


def _reasons(found: Mapping[str, NDArray[np.float64]], settings: QualitySettings) -> list[str]:
    """Why each cell is left out of training; empty for one that is not. What is not known excludes nobody."""
    limits = (
        ("mean_rate", "below", settings.min_rate, "mean rate {:.3g} Hz"),
        ("refractory_violations", "above", settings.max_refractory_violations, "refractory violations {:.3g}"),
        ("reliability", "below", settings.min_reliability, "reliability {:.2f}"),
        ("field_strength", "below", settings.min_field_strength, "receptive field {:.1f} times the null"),
        ("rate_drift", "above", settings.max_rate_drift, "drift of the rate {:+.2f}"),
    )
    reasons = []
    for i in range(len(found["mean_rate"])):
        said = []
        for name, side, limit, text in limits:
            value = float(found[name][i])
            if limit is not None and (value < limit if side == "below" else abs(value) > limit):
                said.append(f"{text.format(value)}, {side} {limit:g}")
        reasons.append("; ".join(said))
    return reasons


@dataclass(frozen=True)
class _Kernels:
    """Temporal filters of the cells that have a receptive field, and the pixels where they are."""

    cells: NDArray[np.int64]
    kernel: NDArray[np.float64]  # (used cell, lag)
    y: NDArray[np.int64]
    x: NDArray[np.int64]

    @classmethod
    def of(cls, field: NDArray[np.float32], quality: FieldQuality) -> "_Kernels":
        """The filters at the pixel of the largest value."""
        cells = np.flatnonzero(quality.p_value < 1e-3)
        places = [np.unravel_index(int(np.abs(field[k]).argmax()), field.shape[1:])[1:] for k in cells]
        y, x = np.array(places, np.int64).reshape(-1, 2).T
        return cls(cells, field[cells, :, y, x].astype(np.float64), y, x)

    def empty(self) -> list[NDArray[np.generic]]:
        """Traces of no frames."""
        return [np.empty((len(self.cells), 0), np.float32)]

    def seen(self, frames: NDArray[np.generic]) -> NDArray[np.generic]:
        """What the cells' pixels show (cell, time)."""
        return frames[:, self.y, self.x].T.astype(np.float32)


@dataclass
class _Branch:
    """One stimulus class: all but the movies of its parts, and where they are."""

    name: str
    raw: RawRecording
    cells: list[str]
    parts: dict[str, xr.Dataset]
    spans: dict[str, list[Span]]
    spike_times: tuple[NDArray[np.float64], ...] | None
    found: dict[str, Alignment] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, raw: RawRecording, cells: list[int], settings: IngestSettings) -> "_Branch":
        """Cut a class into its parts."""
        training, validation = _spans(name, raw, settings)
        test = _usable(raw.test, settings.response_lag)
        if test < 1:
            raise RecordingError(f"{name}: the test movie has no responses.")
        spans = {"train": training, "validation": validation, "test": [(0, test)]}
        lag = settings.response_lag
        parts = {
            part: _responses(raw.test if part == "test" else raw.train, spans[part], cells, raw.frame_rate, lag) for part in PARTS
        }
        if len(raw.trial_rate) < 2:
            n = len(raw.trial_rate)
            warn(f"{name}: the test movie was shown {n} time(s); without repeats the noise ceiling is missing (NaN).")
        parts["test"] = _with_trials(name, parts["test"], raw, cells, lag)
        times = None if raw.spike_times is None else tuple(raw.spike_times[i] for i in cells)
        return cls(name, raw, [raw.cells[i] for i in cells], parts, spans, times)

    def alone(self) -> xr.Dataset:
        """What the class has beside its parts, at the start."""
        return xr.Dataset(coords={"part": variable("part", ["train", "test"], "1", "part of the recording")})

    def pieces(self, part: str) -> Iterator[tuple[int, bool, xr.Dataset]]:
        """Yield the movie of a part in pieces: the first frame's number in the part, whether a run begins, and the frames."""
        movie = (self.raw.test if part == "test" else self.raw.train).stimulus
        time, done = self.parts[part]["time"].variable, 0
        for start, stop in self.spans[part]:
            for first, frames in movie.pieces(start, stop):
                stimulus = variable(("time", "y", "x"), frames, "1", "luminance of the movie")
                yield done, first == start, xr.Dataset({"stimulus": stimulus}, coords={"time": time[done : done + len(frames)]})
                done += len(frames)

    def align(self, part: str, kernels: _Kernels, trace: NDArray[np.generic]) -> None:
        """Hold the responses of a part against what receptive fields predict."""
        segment = self.parts[part]["segment"].values
        runs = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist()]
        found = align(kernels.kernel, trace.astype(np.float64), self.parts[part]["rate"].values[kernels.cells], runs)
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


def _unit(raw: Mapping[str, RawRecording], settings: IngestSettings) -> str:
    """The stimulus class whose contrast is the unit of contrast of all."""
    name = settings.unit or ("naturalscene" if "naturalscene" in raw else next(iter(raw)))
    if name not in raw:
        raise RecordingError(f"ingest.unit = {name!r}: the recording has only {', '.join(raw)}.")
    return name


def _check_same_session(raw: Mapping[str, RawRecording], first: RawRecording) -> None:
    for name, recording in raw.items():
        for what, found, expected in (
            ("cells", recording.cells, first.cells),
            ("frame rate", recording.frame_rate, first.frame_rate),
            ("frame size", recording.train.stimulus.shape[1:], first.train.stimulus.shape[1:]),
        ):
            if found != expected:
                raise RecordingError(
                    f"{name}: {what} {found} differs from that of {next(iter(raw))}, {expected}. "
                    "The files of one recording must be of one session."
                )


def _chosen_cells(raw: RawRecording, settings: IngestSettings) -> list[int]:
    chosen = list(range(len(raw.cells))) if settings.cells is None else settings.cells
    wrong = [i for i in chosen if i >= len(raw.cells)]
    if wrong:
        raise RecordingError(f"ingest.cells: {wrong} asked for, but the recording has cells 0 to {len(raw.cells) - 1}.")
    return chosen


def _with_trials(name: str, test: xr.Dataset, raw: RawRecording, cells: list[int], lag: int) -> xr.Dataset:
    """Add the single trials to the responses to the test movie, and what they say of the cells.

    The trial average of counts is no count; the trials themselves stand in their place.
    """
    n_bins = test.sizes["time"]
    trials = raw.trial_rate[:, cells, lag : lag + n_bins]
    if trials.shape[-1] < n_bins:
        raise RecordingError(f"{name}: single trials have {raw.trial_rate.shape[-1]} bins, fewer than the test movie.")
    rho = reliability(trials)
    interval = np.sqrt(reliability_interval(trials, round(raw.frame_rate)))
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


def _spans(name: str, raw: RawRecording, settings: IngestSettings) -> tuple[list[Span], list[Span]]:
    """Cut every block into [skipped | training | gap | validation] and return the spans of frames to train and validate on."""
    skip, gap = (round(seconds * raw.frame_rate) for seconds in (settings.skip, settings.guard_gap))
    last = _usable(raw.train, settings.response_lag)
    training, validation, longest = [], [], 0
    blocks = _blocks(name, raw, settings)
    for start, stop in blocks:
        held_out = round(settings.validation_fraction * (stop - start - skip))
        longest = max(longest, stop - start)
        if stop - start - skip - gap - held_out < 1 or held_out < 1:
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
    return training, validation


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
