"""Turn the raw files of a recording into one typed file: cut into parts, aligned, judged, with receptive fields.

Movies are gone through once, piece by piece: memory does not grow with the recording's length.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import xarray as xr

from retmech import doubts
from retmech.branch import PARTS, Branch
from retmech.errors import RecordingError, warn
from retmech.geometry import Geometry
from retmech.labels import (
    cell_coordinate,
    geometry_variables,
    lag_coordinate,
    pixel_coordinates,
    variable,
)
from retmech.pieces import Pieces
from retmech.progress import progress
from retmech.quality import exclusions, rate_drift, refractory_violations
from retmech.readers._raw import SAME_RATE, RawRecording
from retmech.receptive_field import Fields, Moments, ReverseCorrelation, field_place, field_quality, peaks
from retmech.settings import IngestSettings

LEAST_CONTRAST = 1e-3  # of a training movie, sd over mean; less is rounding
CHECKED = 60_000  # frames of the training movie by which lags are judged
LEAST_HISTORIES = 5  # that these have to have
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
    raw = _scaled(raw, settings)
    first = next(iter(raw.values()))
    _check_same_session(raw, first)
    geometry = Geometry(first.train.stimulus.shape[1:], first.frame_rate, settings.pixel_size)
    cells = _chosen_cells(first, settings)
    unit = _unit(raw, settings)
    source = "whitenoise" if "whitenoise" in raw else next(iter(raw))
    # The class that receptive fields come from goes first: what they predict is held against the responses to the others.
    order = sorted(raw, key=lambda name: name != source)
    for name, recording in raw.items():
        for part, what in ((recording.train, "training"), (recording.test, "test")):
            if part is not None:
                doubts.silence(f"{name}, {what}", part, recording.cells, recording.frame_rate)
    # Measured rates of one clock differ in their last digits; one is that of all.
    branches = {name: Branch.of(name, replace(raw[name], frame_rate=first.frame_rate), cells, settings) for name in order}
    names = np.array([str((first.names or first.cells)[i]) for i in cells])
    root = xr.Dataset(
        geometry_variables(geometry) | {"raw_name": variable("cell", names, "1", "name in the raw file")},
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
    branches: Mapping[str, Branch], source: str, unit: str, geometry: Geometry, settings: IngestSettings
) -> Iterator[xr.DataTree]:
    """All movies, and in the end what only they can tell."""
    moments: dict[str, Moments] = {}  # by CLASS/PART
    fields: Fields | None = None
    for name, branch in branches.items():
        with progress(name, sum(part.sizes["time"] for part in branch.parts.values()), "frames") as advance:
            if fields is None:
                fields, moments[f"{name}/train"] = yield from _mapped(branch, geometry, settings, advance)
                _check_lags(branch, fields, geometry, settings)
            else:
                moments[f"{name}/train"] = yield from _watched(branch, "train", fields, advance)
            for part in PARTS[1:]:
                moments[f"{name}/{part}"] = yield from _watched(branch, part, fields, advance)
        if moments[f"{name}/train"].std <= LEAST_CONTRAST * abs(moments[f"{name}/train"].mean):
            raise RecordingError(f"{name}: the training movie is constant; a contrast cannot be defined.")
        yield xr.DataTree.from_dict({f"/{name}": branch.shifts(settings.check_lag)})
    assert fields is not None
    places = {key: place for branch in branches.values() for key, place in branch.places.items()}
    shown = {key: found for key, found in moments.items() if not key.endswith("/validation")}  # a part of the training movie
    doubts.scales(shown, f"{unit}/train", places)
    yield xr.DataTree(_root(branches, source, unit, moments[f"{unit}/train"], fields, geometry, settings))


def _mapped(
    branch: Branch, geometry: Geometry, settings: IngestSettings, advance: Callable[[int], None]
) -> Generator[xr.DataTree, None, tuple[Fields, Moments]]:
    """The training movie of the class that receptive fields come from."""
    rate = branch.parts["train"]["rate"].values
    # Responses from the other half of the session have nothing to do with the frames: receptive fields without a cell.
    both = np.concatenate([rate, np.roll(rate, rate.shape[1] // 2, axis=1)])
    mapped = ReverseCorrelation(geometry.frames(settings.history), geometry.shape, len(both), bands=BANDS)
    with ThreadPoolExecutor(1) as worker:  # correlates a piece while the last one is written and the next one read
        pending: Future[None] | None = None
        for start, new_run, piece in branch.pieces("train"):
            frames = piece["stimulus"].values
            if pending is not None:
                pending.result()
            pending = worker.submit(mapped.add, frames, both[:, start : start + len(frames)], new_run)
            yield xr.DataTree.from_dict({f"/{branch.name}/train": piece})
            advance(len(frames))
        if pending is not None:
            pending.result()
    field, null = np.split(mapped.average(), 2)
    return Fields.of(field, field_quality(field, null)), mapped.moments


def _check_lags(branch: Branch, fields: Fields, geometry: Geometry, settings: IngestSettings) -> None:
    """Whether receptive fields lie within the lags that they were looked for in."""
    y, x = peaks(fields.field)
    frames, traces = 0, []
    for _, _, piece in branch.pieces("train"):
        traces.append(piece["stimulus"].values[:, y, x].T.astype(np.float64))
        frames += traces[-1].shape[1]
        if frames >= CHECKED:
            break
    history = geometry.frames(settings.history)
    if frames > LEAST_HISTORIES * history:
        response = branch.parts["train"]["rate"].values[:, :frames].astype(np.float64)
        trace = np.concatenate(traces, axis=1)
        doubts.cut_off(branch.name, trace, response, branch.cells, history, settings.response_lag, geometry.frame_rate)


def _watched(branch: Branch, part: str, fields: Fields, advance: Callable[[int], None]) -> Generator[xr.DataTree, None, Moments]:
    """Any other movie, with a look at what the cells' pixels show."""
    moments, traces = Moments(), [np.empty((len(fields.cells), 0), np.float32)]
    for _, _, piece in branch.pieces(part):
        frames = piece["stimulus"].values
        moments.add(frames)
        traces.append(fields.seen(frames))
        yield xr.DataTree.from_dict({f"/{branch.name}/{part}": piece})
        advance(len(frames))
    if part != "validation":
        branch.align(part, fields, np.concatenate(traces, axis=1))
    return moments


def _root(
    branches: Mapping[str, Branch],
    source: str,
    unit: str,
    moments: Moments,
    fields: Fields,
    geometry: Geometry,
    settings: IngestSettings,
) -> xr.Dataset:
    """The unit of contrast, receptive fields, and how well each cell was recorded."""
    first, field, seen = branches[source], fields.field, fields.quality
    rate = np.concatenate([branch.parts["train"]["rate"].values for branch in branches.values()], axis=1)
    violations = np.full(len(rate), np.nan)
    if first.spike_times is not None:
        violations = refractory_violations(first.spike_times, 1e-3 * settings.quality.refractory_period)
    places = field_place(field) * geometry.pixel_size
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
        "field_y": (places[:, 0], "um", "vertical position of the receptive field"),
        "field_x": (places[:, 1], "um", "horizontal position of the receptive field"),
    }
    values = {name: own for name, (own, _, _) in found.items()}
    judged = exclusions(values | {"reliability": best}, settings.quality)
    reasons = ["; ".join(filter(None, [_unobserved(branches, cell), why])) for cell, why in zip(first.cells, judged, strict=True)]
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


def _unobserved(branches: Mapping[str, Branch], cell: str) -> str:
    """In which classes a cell was not observed throughout."""
    found = {name: branch.raw.excluded.get(cell) for name, branch in branches.items()}
    return "; ".join(f"{name}: {why}" for name, why in found.items() if why)


def _scaled(raw: Mapping[str, RawRecording], settings: IngestSettings) -> dict[str, RawRecording]:
    """Bring movies to one scale, as ``ingest.scale`` says."""
    places = [place for name in raw for place in (name, f"{name}/train")]
    places += [f"{name}/test" for name, recording in raw.items() if recording.test is not None]
    unknown = [key for key in settings.scale if key not in places]
    if unknown:
        raise RecordingError(f"ingest.scale: there is no {', '.join(unknown)} in this recording; there are {', '.join(places)}.")
    found = {}
    for name, recording in raw.items():
        train, test = (settings.scale.get(f"{name}/{part}", settings.scale.get(name, 1.0)) for part in ("train", "test"))
        found[name] = recording
        if train != 1:
            found[name] = replace(found[name], train=recording.train.scaled(train))
        if test != 1 and recording.test is not None:
            found[name] = replace(found[name], test=recording.test.scaled(test))
    return found


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
            ("frame size", recording.train.stimulus.shape[1:], first.train.stimulus.shape[1:]),
        ):
            if found != expected:
                raise RecordingError(
                    f"{name}: {what} {found} differs from that of {next(iter(raw))}, {expected}. "
                    "The files of one recording must be of one session."
                )
        if abs(recording.frame_rate / first.frame_rate - 1) > SAME_RATE:
            raise RecordingError(
                f"{name}: frame rate {recording.frame_rate:g} differs from that of {next(iter(raw))}, {first.frame_rate:g}. "
                "Formats with times of frames can be brought to one rate: ingest.frame_rate."
            )


def _chosen_cells(raw: RawRecording, settings: IngestSettings) -> list[int]:
    chosen = list(range(len(raw.cells))) if settings.cells is None else settings.cells
    if len(set(chosen)) < len(chosen):
        raise RecordingError(f"ingest.cells = {chosen}: a cell stands there twice.")
    wrong = [i for i in chosen if i >= len(raw.cells)]
    if wrong:
        raise RecordingError(f"ingest.cells: {wrong} asked for, but the recording has cells 0 to {len(raw.cells) - 1}.")
    return chosen
