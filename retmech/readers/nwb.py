"""Neurodata Without Borders 2.x, read by pynwb.

Spike times from ``units``; the movies of training and test from ImageSeries (frames in the file, or in a video beside it), or
from an IndexSeries that says which frame of a template was on the screen when. Presentations of the test movie come from the rows
of ``trials``, or of another table of intervals, or from an IndexSeries that shows the template again and again.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import h5py
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from retmech.errors import RecordingError
from retmech.readers._files import cell_name, inside, joined, movie
from retmech.readers._hdf5 import Source, opened
from retmech.readers._raw import LARGEST, Check, Movie, RawRecording, checked_movie, unreadable
from retmech.readers._timing import EventSettings, Shown, Times, from_events, onsets_of, ordered


class Config(EventSettings):
    """Neurodata Without Borders 2.x: one file, with a training and a test movie for each stimulus class."""

    reader: Literal["nwb"] = "nwb"
    train: str = Field("{class}_train", min_length=1, description="name of the training movie; {class} is the stimulus class")
    test: str = Field("{class}_test", min_length=1, description="name of the test movie")
    repeats: str = Field("trials", min_length=1, description="table of intervals whose rows are presentations of the test movie")
    column: str = Field("stimulus", min_length=1, description="its column that names the movie; without it all rows count")
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
    if train.movie.shape[1:] != test.movie.shape[1:]:
        raise RecordingError(f"{test.movie.place}: expected frames of {train.movie.shape[1:]}, found {test.movie.shape[1:]}.")
    return from_events(train, test, spikes, settings)


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

    def test(self, stimulus_class: str) -> Shown:
        """The test movie."""
        name = self.settings.test.replace("{class}", stimulus_class)
        return self.source.guarded(name, lambda: self._repeated(name))

    def units(self) -> dict[str, Callable[[], Times]]:
        """How to get each unit's spike times, under its name or its number."""
        units = self.nwb.units
        if units is None or "spike_times" not in units.colnames or not len(units):
            raise RecordingError(f"{self.place('units')}: expected spike times of sorted units, found none.")
        named = "unit_name" in units.colnames
        names = [
            cell_name(units["unit_name"][i] if named else f"unit{int(number)}", self.place("units"))
            for i, number in enumerate(units.id[:])
        ]
        if len(set(names)) < len(names):
            raise RecordingError(f"{self.place('units')}: expected a name of its own for each unit.")
        return {name: partial(self._times_of, name, i) for i, name in enumerate(names)}

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

    def _repeated(self, name: str) -> Shown:
        """A movie that was shown again and again, with the onsets of each time."""
        series = self._series(name)
        if type(series).__name__ == "IndexSeries":
            return self._repeated_index(name, series)
        frames = self._movie(name, series)
        onsets = self._onsets(name, series, len(frames))
        starts = self._starts(name)
        if starts is None:
            return Shown(frames, onsets[None], self.place(name))
        return Shown(frames, starts[:, None] + (onsets - onsets[0]), self.place(name))

    def _repeated_index(self, name: str, series: Any) -> Shown:
        index, template = self._indexed(name, series, increasing=False)
        onsets = ordered(self._times(name, series, len(index)), self.place(name))
        n_frames = len(template)
        if len(index) % n_frames or (index.reshape(-1, n_frames) != np.arange(n_frames)).any():
            raise RecordingError(
                f"{self.place(name)}: expected the {n_frames} frames of its template again and again, found {len(index)} others."
            )
        trials = onsets.reshape(-1, n_frames)
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

    def _series(self, name: str) -> Any:
        for where in (self.nwb.stimulus, self.nwb.stimulus_template, self.nwb.acquisition):
            if name in where:
                return where[name]
        there = ", ".join([*self.nwb.stimulus, *self.nwb.stimulus_template]) or "none"
        raise RecordingError(
            f"{self.place('stimulus')}: expected a movie {name!r}, found {there[:300]}. "
            "Set ingest.train and ingest.test to the names it has."
        )

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

    def _starts(self, name: str) -> Times | None:
        """When the test movie began each time; None without a table of intervals."""
        settings = self.settings
        known = {"trials": self.nwb.trials, "epochs": self.nwb.epochs, **(self.nwb.intervals or {})}
        there = {name: intervals for name, intervals in known.items() if intervals is not None}
        intervals = there.get(settings.repeats)
        if intervals is None and settings.repeats != "trials":
            raise RecordingError(
                f"{self.place(settings.repeats)}: expected a table of presentations, found {', '.join(there) or 'none'}. "
                "Set ingest.repeats."
            )
        intervals = there.get("epochs") if intervals is None else intervals
        if intervals is None:
            return None
        start = np.asarray(intervals["start_time"][:])
        if settings.column in intervals.colnames:
            start = start[np.array([str(value) for value in intervals[settings.column][:]]) == name]
        if not len(start):
            raise RecordingError(
                f"{self.place(settings.repeats)}: expected rows whose {settings.column} is {name!r}, found none."
            )
        return ordered(start, self.place(settings.repeats))


def _local(name: str, place: str) -> str:
    """A file's name relative to the session's folder."""
    if "://" in name:
        raise RecordingError(f"{place}: expected the name of a file beside the session, found {name[:200]!r}.")
    return unquote(name)
