"""Neurodata Without Borders 2.x, read by pynwb.

Spike times from ``units``; the movies of training and test from ImageSeries (frames in the file, or in a video beside it), or
from an IndexSeries that says which frame of a template was on the screen when. Presentations of the test movie come from the rows
of ``trials``, or of another table of intervals, or from an IndexSeries that shows the template again and again. What the file
says of when it recorded (``invalid_times``, ``obs_intervals``, ``stop_time``) is heeded.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RecordingError, warn
from retmech.readers._clock import Times
from retmech.readers._coverage import Recorded
from retmech.readers._files import inside, joined, movie
from retmech.readers._hdf5 import Source, opened
from retmech.readers._raw import HEAD, LARGEST, LAST, NO_TEST, Check, Header, Movie, RawRecording, checked_movie, unreadable
from retmech.readers._timing import EventSettings, Shown, from_events, onsets_of, ordered, plausible, rate_about

SAME_LENGTH = 0.02  # relative difference of two lengths that are one


class Config(EventSettings):
    """Neurodata Without Borders 2.x: one file, with a training and a test movie for each stimulus class."""

    reader: Literal["nwb"] = "nwb"
    train: str = Field("{class}_train", min_length=1, description="name of the training movie; {class} is the stimulus class")
    test: str = Field(
        "{class}_test", min_length=1, description="name of the test movie; last: the last part of the training movie"
    )
    repeats: str = Field("trials", min_length=1, description="table of intervals whose rows are presentations of the test movie")
    column: str = Field("stimulus", min_length=1, description="its column that names the movie")
    axes: Literal["xy", "yx"] = Field("xy", description="order of a frame's axes in the file; the standard says xy")


def files(path: Path) -> list[Path]:
    """Return the file and the videos that it names."""
    names: list[str] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and name.rpartition("/")[2] == "external_file":
            names.extend(str(file) for file in item.asstr()[...].ravel())

    with opened(path) as source:
        source.guarded("external_file", lambda: source.file.visititems(note))
    folder = path.parent
    return [path, *(inside(folder / _local(name, str(path)), folder) for name in sorted(set(names)))]


def read(path: Path, settings: Config, stimulus_class: str = "") -> RawRecording:
    """Read one stimulus class.

    Raises
    ------
    RecordingError
        Naming the file, the object, what was expected and what was found.
    """
    with opened(path) as source:
        found = _session(source, settings)
        train, test = found.train(stimulus_class), found.test(stimulus_class)
        spikes = {name: times() for name, times in source.guarded("units", found.units).items()}
        recorded = source.guarded("units", found.recorded)
    if test is not None and train.movie.shape[1:] != test.movie.shape[1:]:
        raise RecordingError(f"{test.movie.place}: expected frames of {train.movie.shape[1:]}, found {test.movie.shape[1:]}.")
    return from_events(train, test, spikes, f"{path}: units", settings, recorded)


def header(path: Path, settings: Config, stimulus_class: str = "") -> Header | None:
    """Return what the datasets say of their sizes, if the movies stand in the file as they were shown, with their times."""
    names = [
        None if name in {None, LAST} else str(name).replace("{class}", stimulus_class) for name in (settings.train, settings.test)
    ]
    with opened(path) as source:
        stored = [f"stimulus/presentation/{name}/data" for name in names if name]
        if not all(source.rank(data) == 3 for data in stored):
            return None
        shapes = [source.dataset(data, 3).shape for data in stored]
        times, rate = stored[0].replace("/data", "/timestamps"), stored[0].replace("/data", "/starting_time")
        if source.has(times):
            rate_of_movie = rate_about(source.dataset(times, 1)[:HEAD], f"{path}: {names[0]}")
        elif rate in source.file:
            rate_of_movie = plausible(float(source.file[rate].attrs.get("rate", np.nan)), f"{path}: {names[0]}")
        else:
            return None
        cells = source.dataset("units/id", 1).shape[0] if source.has("units/id") else None
    _, width, height = shapes[0]
    shape = (height, width) if settings.axes == "xy" else (width, height)
    return Header(shape, cells, rate_of_movie, shapes[0][0], shapes[1][0] if shapes[1:] else None)


def checks(path: Path, settings: Config, stimulus_class: str = "") -> Iterator[Check]:
    """Yield what can be wrong with a file, one thing after the other."""
    with opened(path) as source:
        found: list[_Session] = []
        yield lambda: found.append(_session(source, settings))
        if found:
            yield lambda: found[0].train(stimulus_class)
            yield lambda: found[0].test(stimulus_class)
            units: dict[str, Callable[[], Times]] = {}
            yield lambda: units.update(source.guarded("units", found[0].units))
            yield from units.values()


def _session(source: Source, settings: Config) -> "_Session":
    """A file that keeps nothing elsewhere; pynwb would open that too."""
    import pynwb

    source.check_all()
    try:
        return _Session(source, pynwb.NWBHDF5IO(file=source.file, mode="r", load_namespaces=True).read(), settings)
    except Exception as error:
        raise unreadable(source.path, "NWB", error) from None


class _Session:
    """An open file, in which objects are looked up with an error that names them."""

    def __init__(self, source: Source, nwb: Any, settings: Config) -> None:
        self.source, self.path, self.nwb, self.settings = source, source.path, nwb, settings

    def place(self, name: str) -> str:
        """Where something stands, for errors."""
        return f"{self.path}: {name}"

    def train(self, stimulus_class: str) -> Shown:
        """The training movie."""
        name = self.settings.train.replace("{class}", stimulus_class)
        return self.source.guarded(name, lambda: self._shown(name))

    def test(self, stimulus_class: str) -> Shown | None:
        """The test movie; None where none was repeated."""
        if self.settings.test == LAST:
            return None
        name = self.settings.test.replace("{class}", stimulus_class)
        train = self.settings.train.replace("{class}", stimulus_class)
        return self.source.guarded(name, lambda: self._repeated(name, train))

    def recorded(self) -> Recorded:
        """Times that are marked as not recorded, and those in which each unit was observed."""
        invalid, gaps = self.nwb.invalid_times, []
        for i in range(0 if invalid is None else len(invalid)):
            tags = ", ".join(map(str, invalid["tags"][i])) if "tags" in invalid.colnames else ""
            start, stop = float(invalid["start_time"][i]), float(invalid["stop_time"][i])
            if not start <= stop:
                raise RecordingError(
                    f"{self.place('invalid_times')}: expected start before stop, found {start:.6g}, {stop:.6g} s."
                )
            words = f"invalid_times has {start:.6g} to {stop:.6g} s" + (f" ({tags})" if tags else "")
            warn(f"{self.path}: {words}: that time is left out.")
            gaps.append((start, stop, words))
        units = self.nwb.units
        observed = {}
        if "obs_intervals" in units.colnames:
            for i, name in enumerate(self._names()):
                spans = np.asarray(units["obs_intervals"][i], np.float64).reshape(-1, 2)
                if len(spans):
                    observed[name] = tuple((float(start), float(stop)) for start, stop in spans)
        return Recorded(tuple(gaps), observed)

    def units(self) -> dict[str, Callable[[], Times]]:
        """How to get each unit's spike times, under its name or its number."""
        units = self.nwb.units
        if units is None or "spike_times" not in units.colnames or not len(units):
            raise RecordingError(f"{self.place('units')}: expected spike times of sorted units, found none.")
        return {name: partial(self._times_of, name, i) for i, name in enumerate(self._names())}

    def _names(self) -> list[str]:
        units = self.nwb.units
        named = "unit_name" in units.colnames
        names = [str(units["unit_name"][i]) if named else f"unit{int(number)}" for i, number in enumerate(units.id[:])]
        if len(set(names)) < len(names):
            raise RecordingError(f"{self.place('units')}: expected a name of its own for each unit.")
        return names

    def _times_of(self, name: str, i: int) -> Times:
        place = self.place(f"units: {name}")
        return self.source.guarded(f"units: {name}", lambda: ordered(np.asarray(self.nwb.units["spike_times"][i]), place))

    def _shown(self, name: str) -> Shown:
        """A movie as it was shown once."""
        series = self._series(name)
        if type(series).__name__ == "IndexSeries":
            index, template = self._indexed(name, series)
            frames = template.shown(index)
        else:
            frames = self._movie(name, series)
        return Shown(frames, self._onsets(name, series, len(frames)), self.place(name))

    def _repeated(self, name: str, train: str) -> Shown:
        """A movie that was shown again and again, with the onsets of each time."""
        series = self._series(name, f"{NO_TEST} Else set ingest.test to its name.")
        if type(series).__name__ == "IndexSeries":
            return self._repeated_index(name, series)
        frames = self._movie(name, series)
        onsets = self._onsets(name, series, len(frames))
        rows = self._rows(name, train, onsets)
        return Shown(frames, onsets[None] if rows is None else rows, self.place(name))

    def _repeated_index(self, name: str, series: Any) -> Shown:
        index, template = self._indexed(name, series, increasing=False)
        onsets = ordered(self._times(name, series, len(index)), self.place(name))
        n_frames = len(template)
        if (index != np.arange(len(index)) % n_frames).any():
            raise RecordingError(
                f"{self.place(name)}: expected the {n_frames} frames of its template again and again, found {len(index)} others."
            )
        aborted = np.full(-len(onsets) % n_frames, np.nan)  # the last presentation did not come to its end
        trials = np.concatenate([onsets, aborted]).reshape(-1, n_frames)
        return Shown(template, np.array([onsets_of(trial, n_frames, self.place(name)) for trial in trials]), self.place(name))

    def _indexed(self, name: str, series: Any, increasing: bool = True) -> tuple[NDArray[np.int64], Movie]:
        """Frame numbers of an IndexSeries, and the template that it shows."""
        template = series.indexed_timeseries if series.indexed_images is None else series.indexed_images
        if template is None:
            raise RecordingError(f"{self.place(name)}: expected a template that it shows, found none.")
        frames = self._movie(str(template.name), template) if series.indexed_images is None else self._images(template)
        index = np.asarray(series.data[:])
        if index.dtype.kind not in "iu" or not len(index) or index.min() < 0 or index.max() >= len(frames):
            raise RecordingError(
                f"{self.place(name)}: expected numbers of the {len(frames)} frames of {template.name}, found others."
            )
        if increasing and (np.diff(index.astype(np.int64)) < 0).any():
            raise RecordingError(f"{self.place(name)}: expected the frames of a training movie in order, found steps back.")
        return index.astype(np.int64), frames

    def _series(self, name: str, otherwise: str = "Set ingest.train to the name that it has.") -> Any:
        for where in (self.nwb.stimulus, self.nwb.stimulus_template, self.nwb.acquisition):
            if name in where:
                return where[name]
        there = ", ".join([*self.nwb.stimulus, *self.nwb.stimulus_template]) or "none"
        raise RecordingError(f"{self.place('stimulus')}: expected a movie {name!r}, found {there[:300]}. {otherwise}")

    def _movie(self, name: str, series: Any) -> Movie:
        if getattr(series, "external_file", None) is not None:
            folder = self.path.parent
            return joined(
                [movie(inside(folder / _local(str(file), self.place(name)), folder)) for file in series.external_file[:]]
            )
        data = getattr(series, "data", None)
        if not isinstance(data, h5py.Dataset):
            raise RecordingError(f"{self.place(name)}: expected an ImageSeries with frames, found {type(series).__name__}.")
        stored, path, turned = data.name, self.path, self.settings.axes == "xy"
        shape, dtype = self.source.dataset(stored, 3).shape, data.dtype

        def frames(start: int, stop: int) -> NDArray[np.generic]:
            with opened(path) as source:
                found = source.guarded(stored, lambda: source.file[stored][start:stop])
            return found.transpose(0, 2, 1) if turned else found

        return checked_movie(self.place(name), (shape[0], shape[2], shape[1]) if turned else shape, dtype, frames)

    def _images(self, images: Any) -> Movie:
        """Single images in their order, as the frames of a movie."""
        place = self.place(str(images.name))
        order = images.order_of_images
        data = [image.data for image in (order.data[:] if order is not None else [])]
        if not data or not all(isinstance(own, h5py.Dataset) for own in data):
            raise RecordingError(f"{place}: expected images and their order, found none.")
        shapes = {self.source.dataset(own.name, 2).shape for own in data}
        if len(shapes) > 1:
            raise RecordingError(f"{place}: expected images of one size, found {len(shapes)}.")
        if sum(own.nbytes for own in data) > LARGEST:
            raise RecordingError(f"{place}: expected at most {LARGEST / 1e9:.0f} GB of single images.")
        frames = np.stack([own[...] for own in data])
        return Movie.of(frames.transpose(0, 2, 1) if self.settings.axes == "xy" else frames, place)

    def _times(self, name: str, series: Any, n_frames: int) -> NDArray[np.generic]:
        """Onsets of frames: measured, or from a start and a rate."""
        if series.timestamps is not None:
            return np.asarray(series.timestamps[:])
        if series.rate is None or not 0 < series.rate < 1e6:
            raise RecordingError(f"{self.place(name)}: expected timestamps or a rate in Hz, found {series.rate}.")
        return float(series.starting_time or 0) + np.arange(n_frames) / float(series.rate)

    def _onsets(self, name: str, series: Any, n_frames: int) -> Times:
        return onsets_of(self._times(name, series, n_frames), n_frames, self.place(name))

    def _rows(self, name: str, train: str, onsets: Times) -> Times | None:
        """Onsets (trial, frame) of a movie by the rows of a table that are presentations of it; None without a table.

        Frames that would have come on after a row's ``stop_time`` were not shown: NaN.
        """
        settings, place = self.settings, self.place(self.settings.repeats)
        known = {"trials": self.nwb.trials, "epochs": self.nwb.epochs, **(self.nwb.intervals or {})}
        there = {table: intervals for table, intervals in known.items() if intervals is not None}
        intervals = there.get(settings.repeats)
        if intervals is None and settings.repeats != "trials":
            raise RecordingError(
                f"{place}: expected a table of presentations, found {', '.join(there) or 'none'}. Set ingest.repeats."
            )
        intervals = there.get("epochs") if intervals is None else intervals
        if intervals is None:
            named = [table for table, other in there.items() if _rows_of(other, settings.column, name).any()]
            if named:
                warn(f"{place}: there is none, but {', '.join(named)} has rows of {name!r}. Set ingest.repeats to take them.")
            return None
        start, stop = (np.asarray(intervals[column][:], np.float64) for column in ("start_time", "stop_time"))
        lasts = (onsets[-1] - onsets[0]) * len(onsets) / (len(onsets) - 1)  # s
        if settings.column in intervals.colnames:
            ours = _rows_of(intervals, settings.column, name)
            if not ours.any():
                raise RecordingError(f"{place}: expected rows whose {settings.column} is {name!r}, found none.")
            start, stop = start[ours], stop[ours]
        else:
            self._check_lengths(name, train, stop - start, lasts, intervals.colnames)
        order = np.argsort(start, kind="stable")
        lengths, shown = (stop - start)[order, None], onsets - onsets[0]
        tolerance = lasts / len(onsets) / 2
        longest = float(np.nanmax(lengths, initial=0.0))
        if longest > lasts + 4 * tolerance:
            warn(
                f"{place}: rows that are presentations of {name!r} last up to {longest:.4g} s, the movie {lasts:.4g} s. It is "
                "taken to begin with the row."
            )
        rows = ordered(start[order], place)[:, None] + shown
        aborted = lengths < shown[-1] - tolerance  # a row stops when the last frame went or, in other files, when it came on
        rows[aborted & (shown + tolerance > lengths)] = np.nan
        return rows

    def _check_lengths(self, name: str, train: str, lengths: Times, lasts: float, columns: Sequence[str]) -> None:
        """Refuse rows that do not say which movie they are of, unless there is only one and each is as long as it."""
        others = sorted({*self.nwb.stimulus} - {name, train})
        if others or not len(lengths) or (np.abs(lengths - lasts) > SAME_LENGTH * lasts).any():
            found = f"movies {', '.join(others)} beside it" if others else f"rows of {lengths.min():.4g} to {lengths.max():.4g} s"
            raise RecordingError(
                f"{self.place(self.settings.repeats)}: expected a column {self.settings.column!r} that says which rows are "
                f"presentations of {name!r}, or rows that are all as long as that movie ({lasts:.4g} s), found {found}. Columns: "
                f"{', '.join(columns)}. Set ingest.column to the one that names the movie, or ingest.repeats to another table."
            )


def _rows_of(intervals: Any, column: str, name: str) -> NDArray[np.bool_]:
    """Which rows of a table have a movie's name in a column."""
    values = intervals[column][:] if column in intervals.colnames else []
    return np.array([_says(value, name) for value in values], bool)


def _says(value: Any, name: str) -> bool:
    """Whether an entry of a table is a name, or a list with it."""
    return name in map(str, value) if isinstance(value, list | tuple | np.ndarray) else str(value) == name


def _local(name: str, place: str) -> str:
    """A file's name relative to the session's folder."""
    if "://" in name:
        raise RecordingError(f"{place}: expected the name of a file beside the session, found {name[:200]!r}.")
    return unquote(name)
