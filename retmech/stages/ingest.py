"""Turn the raw files of a recording into one typed file: cut into parts, aligned, with ceilings and receptive fields."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

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
from retmech.quality import reliability, reliability_interval, spike_triggered_average
from retmech.readers._raw import RawPart, RawRecording
from retmech.settings import IngestSettings

Span = tuple[int, int]


def ingest(raw: Mapping[str, RawRecording], settings: IngestSettings) -> xr.DataTree:
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
    chosen = _chosen_cells(first, settings)
    branches = {name: _branch(name, recording, chosen, settings) for name, recording in raw.items()}
    history = geometry.frames(settings.history)
    source = "whitenoise" if "whitenoise" in raw else next(iter(raw))
    train = branches[source]["train"]
    unit = _unit(raw, settings)
    movie = branches[unit]["train"]["stimulus"].values
    mean, std = movie.mean(dtype=np.float64), movie.std(dtype=np.float64)
    field = spike_triggered_average(
        train["stimulus"].values, train["rate"].values, train["segment"].values, history
    ) / np.float32(std)
    root = xr.Dataset(
        geometry_variables(geometry)
        | {
            "stimulus_mean": variable((), mean, "1", f"luminance of zero contrast: mean of the training movie, {unit}"),
            "stimulus_std": variable((), std, "1", f"luminance of unit contrast: sd of the training movie, {unit}"),
            "receptive_field": variable(("cell", "lag", "y", "x"), field, "1", f"spike-triggered average contrast, {source}"),
        },
        coords={
            "cell": cell_coordinate([first.cells[i] for i in chosen]),
            "lag": lag_coordinate(history, first.frame_rate),
        }
        | pixel_coordinates(geometry.shape, geometry.pixel_size),
    )
    tree = {"/": root}
    for name, parts in branches.items():
        tree |= {f"/{name}/{part}": dataset for part, dataset in parts.items()}
    return xr.DataTree.from_dict(tree)


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


def _branch(name: str, raw: RawRecording, cells: list[int], settings: IngestSettings) -> dict[str, xr.Dataset]:
    """The parts of one stimulus class."""
    training, validation = _spans(name, raw, settings)
    test = _usable(raw.test, settings.response_lag)
    parts = {
        "train": _part(raw.train, training, cells, raw.frame_rate, settings.response_lag),
        "validation": _part(raw.train, validation, cells, raw.frame_rate, settings.response_lag),
        "test": _part(raw.test, [(0, test)], cells, raw.frame_rate, settings.response_lag),
    }
    movie = parts["train"]["stimulus"].values
    if movie.min() == movie.max():
        raise RecordingError(f"{name}: the training movie is constant; a contrast cannot be defined.")
    lag = settings.response_lag
    trials = raw.trial_rate[:, cells, lag : lag + test]
    if trials.shape[-1] < test:
        raise RecordingError(f"{name}: single trials have {raw.trial_rate.shape[-1]} bins, fewer than the test movie.")
    rho = reliability(trials)
    rho_interval = reliability_interval(trials, round(raw.frame_rate))
    _warn(name, parts["train"], [raw.cells[i] for i in cells], len(trials))
    # The trial average of counts is no count; the trials themselves stand in their place.
    parts["test"] = (
        parts["test"]
        .drop_vars("spike_count")
        .assign(
            trial_rate=variable(("trial", "cell", "time"), trials, "Hz", "rate in single trials"),
            reliability=variable("cell", rho, "1", "split-half reliability of the trial average, Spearman-Brown corrected"),
            noise_ceiling=variable("cell", np.sqrt(rho), "1", "largest correlation a perfect model can reach"),
            noise_ceiling_interval=variable(
                ("quantile", "cell"), np.sqrt(rho_interval), "1", "95 % confidence interval of noise_ceiling"
            ),
        )
        .assign_coords(quantile=quantile_coordinate())
    )
    return parts


def _warn(name: str, train: xr.Dataset, cells: list[str], n_trials: int) -> None:
    """Say what will be missing later; it is no error."""
    if n_trials < 2:
        warn(f"{name}: the test movie was shown {n_trials} time(s); without repeats the noise ceiling is missing (NaN).")
    silent = [cell for cell, count in zip(cells, train["spike_count"].values.sum(axis=1), strict=True) if not count]
    if silent:
        warn(
            f"{name}: {', '.join(silent)} never fire in training: leave them out (ingest.cells), no model of them means anything."
        )


def _usable(part: RawPart, lag: int) -> int:
    """Frames that have a response."""
    return min(len(part.stimulus), part.rate.shape[1] - lag)


def _spans(name: str, raw: RawRecording, settings: IngestSettings) -> tuple[list[Span], list[Span]]:
    """Cut every block into [skipped | training | gap | validation] and return the spans of frames to train and validate on."""
    n_frames = len(raw.train.stimulus)
    if n_frames % settings.blocks:
        raise RecordingError(
            f"{name}: the training movie's {n_frames} frames cannot be cut into ingest.blocks = {settings.blocks} equal "
            "blocks. Set ingest.blocks to the number that was recorded (1 if it is one movie)."
        )
    block = n_frames // settings.blocks
    skip, gap = (round(seconds * raw.frame_rate) for seconds in (settings.skip, settings.guard_gap))
    held_out = round(settings.validation_fraction * (block - skip))
    if block - skip - gap - held_out < 1 or held_out < 1:
        raise RecordingError(
            f"{name}: a block lasts {block / raw.frame_rate:g} s; ingest.skip = {settings.skip:g} s, guard_gap = "
            f"{settings.guard_gap:g} s and validation_fraction = {settings.validation_fraction:g} leave nothing to train on."
        )
    last = _usable(raw.train, settings.response_lag)
    training, validation = [], []
    for start in range(0, n_frames, block):
        end = min(start + block - settings.response_lag, last)
        training.append((start + skip, start + block - held_out - gap))
        validation.append((start + block - held_out, end))
    if any(stop <= start for start, stop in training + validation):
        raise RecordingError(f"{name}: the responses end after {last} of {n_frames} frames, before the last block does.")
    return training, validation


def _part(raw: RawPart, spans: list[Span], cells: list[int], frame_rate: float, lag: int) -> xr.Dataset:
    frames = np.concatenate([np.arange(*span) for span in spans])
    segment = np.repeat(np.arange(len(spans), dtype=np.int32), [stop - start for start, stop in spans])
    bins = np.ix_(np.asarray(cells), frames + lag)
    return xr.Dataset(
        {
            "stimulus": variable(("time", "y", "x"), raw.stimulus[frames], "1", "luminance of the movie"),
            "spike_count": variable(("cell", "time"), raw.spike_count[bins], "1", "spikes per bin"),
            "rate": variable(("cell", "time"), raw.rate[bins], "Hz", "firing rate"),
            "segment": variable("time", segment, "1", "number of the run of consecutive frames"),
        },
        coords={"time": variable("time", frames / frame_rate, "s", "time in the recording")},
    )
