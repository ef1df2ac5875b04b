"""One small session, and writers of it in every format that is read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pynwb
from pynwb.base import ImageReferences, Images
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries
from scipy.io import savemat

RATE = 100.0  # Hz
START = 1.5  # s, of the training movie


@dataclass(frozen=True)
class Session:
    """Movies (time, y, x) and spikes per frame: (cell, time) in training and (trial, cell, time) in the test."""

    train: np.ndarray
    test: np.ndarray
    count: np.ndarray
    trials: np.ndarray

    @property
    def cells(self) -> list[str]:
        return [f"cell{i + 1:02d}" for i in range(len(self.count))]

    def onsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the frames of the training movie, and of each presentation of the test movie, s."""
        frame = np.arange(len(self.test)) / RATE
        first = START + len(self.train) / RATE + 1
        starts = first + (len(self.test) / RATE + 0.7) * np.arange(len(self.trials))
        return START + np.arange(len(self.train)) / RATE, starts[:, None] + frame

    def spikes(self) -> dict[str, np.ndarray]:
        """Times of each cell's spikes, evenly within their bins, s."""
        train, test = self.onsets()
        found = {}
        for i, cell in enumerate(self.cells):
            times = [spread(train, self.count[i])] + [spread(on, trial[i]) for on, trial in zip(test, self.trials, strict=True)]
            found[cell] = np.concatenate(times)
        return found


def session(n_train: int = 900, n_test: int = 220, shape: tuple[int, int] = (8, 6), seed: int = 0) -> Session:
    """Three cells that answer to single pixels of noise, 40 ms later."""
    rng = np.random.default_rng(seed)
    movies = [np.repeat(rng.integers(0, 256, (-(-n // 2), *shape), np.uint8), 2, axis=0)[:n] for n in (n_train, n_test)]

    def rates(movie: np.ndarray) -> np.ndarray:
        contrast = movie.astype(float) / 128 - 1
        drive = np.stack([contrast[:, 2, 2], -contrast[:, 4, 3], contrast[:, 5, 1]])
        late = np.concatenate([np.zeros((3, 4)), drive[:, :-4]], axis=1)
        return 0.4 * np.clip(late, 0, None)

    count = rng.poisson(rates(movies[0])).astype(np.int32)
    trials = rng.poisson(np.broadcast_to(rates(movies[1]), (4, 3, n_test))).astype(np.int32)
    return Session(movies[0], movies[1], count, trials)


def spread(onsets: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Spike times from counts in the bins that begin at some onsets."""
    index = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    return onsets[index] + (number + 0.5) / (count[index] + 1) / RATE


def stanford(path: Path, one: Session) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for part, movie, count in (("train", one.train, one.count), ("test", one.test, one.trials.mean(axis=0))):
            file[f"{part}/stimulus"] = movie
            file[f"{part}/time"] = START + np.arange(len(movie)) / RATE
            file[f"{part}/response/binned"] = count
        for i, (cell, times) in enumerate(one.spikes().items()):
            file[f"test/repeats/{cell}"] = one.trials[:, i]
            file[f"spikes/{cell}"] = times
    return path


def openretina(path: Path, one: Session, inside: bool = False) -> Path:
    folder = path.parent / "stimuli"
    folder.mkdir(parents=True, exist_ok=True)
    half = len(one.train) // 2
    movies = {"a": one.train[:half], "b": one.train[half:], "test": one.test}
    counts = {"a": one.count[:, :half], "b": one.count[:, half:], "test": one.trials.mean(axis=0)}
    with h5py.File(path, "w") as file:
        for name, movie in movies.items():
            file[f"responses_{name}"] = counts[name]
            if inside:
                file[f"stimulus_{name}"] = movie[None]
            else:
                np.save(folder / f"{name}.npy", movie[None])
        file["trials_test"] = one.trials
        file["session_info/n"] = 3
    return path


def arrays(folder: Path, one: Session, text: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    train, test = one.onsets()
    np.save(folder / "train_movie.npy", one.train)
    np.save(folder / "test_movie.npy", one.test)
    if text:
        np.savetxt(folder / "train_frames.csv", train, fmt="%.9f")
        np.savetxt(folder / "test_frames.csv", test, fmt="%.9f", delimiter=",")
        rows = [f"{cell},{time:.9f}" for cell, times in one.spikes().items() for time in times]
        (folder / "spikes.csv").write_text("\n".join(["cell,time", *rows]) + "\n")
    else:
        np.save(folder / "train_frames.npy", train)
        np.save(folder / "test_frames.npy", test)
        (folder / "spikes").mkdir(exist_ok=True)
        for cell, times in one.spikes().items():
            np.save(folder / "spikes" / f"{cell}.npy", times)
    return folder


def matlab(folder: Path, one: Session, new: bool = False) -> Path:
    """A folder as :func:`arrays` writes it, of MATLAB's files: of version 5, or of the new 7.3, HDF5 with the axes in reverse."""
    (folder / "spikes").mkdir(parents=True, exist_ok=True)

    def save(path: Path, value: np.ndarray) -> None:
        if new:
            with h5py.File(path, "w", userblock_size=512) as file:
                file["value"] = value.T
        else:
            savemat(path, {"value": value}, do_compression=True)

    for part, movie, onsets in zip(("train", "test"), (one.train, one.test), one.onsets(), strict=True):
        save(folder / f"{part}_movie.mat", np.moveaxis(movie, 0, -1))
        save(folder / f"{part}_frames.mat", np.atleast_2d(onsets))
    for cell, times in one.spikes().items():
        save(folder / "spikes" / f"{cell}.mat", times[:, None])
    return folder


def phy(folder: Path, one: Session, rate: float = 1e5) -> Path:
    arrays(folder, one)
    for path in (folder / "spikes").iterdir():
        path.unlink()
    (folder / "spikes").rmdir()
    own = folder / "phy"
    own.mkdir(exist_ok=True)
    samples = [np.rint(times * rate).astype(np.int64) for times in one.spikes().values()]
    noise = np.arange(0, 10**6, 5000)  # a cluster that is no cell
    times = np.concatenate([*samples, noise])
    cluster = np.repeat([1, 2, 10, 4], [*(len(s) for s in samples), len(noise)])
    order = np.argsort(times, kind="stable")
    np.save(own / "spike_times.npy", times[order])
    np.save(own / "spike_clusters.npy", cluster[order].astype(np.int32))
    (own / "params.py").write_text(
        f"dat_path = 'recording.dat'\nn_channels_dat = 4\ndtype = 'int16'\noffset = 0\nsample_rate = {rate}\n"
    )
    (own / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tgood\n2\tgood\n10\tgood\n4\tnoise\n")
    return folder


def nwb(path: Path, one: Session, index: bool = False, name: str = "noise") -> Path:
    """With trials and movies as they were shown, or with an index into templates and measured times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = pynwb.NWBFile(
        session_description="Retinal ganglion cells under noise.",
        identifier="session",
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
        experimenter=["Nobody, A."],
        institution="None",
        experiment_description="A small session.",
        keywords=["retina"],
    )
    file.subject = pynwb.file.Subject(subject_id="s1", species="Ambystoma tigrinum", sex="U", age="P1Y")
    train, test = (times + 2e-5 * np.sin(np.arange(times.shape[-1])) for times in one.onsets())  # as measured, not quite even
    about = {"unit": "n.a.", "description": "Movie on the retina.", "comments": "none"}
    movies = {part: movie.transpose(0, 2, 1) for part, movie in (("train", one.train), ("test", one.test))}
    if index:
        for part, times in (("train", train), ("test", test)):
            images = [GrayscaleImage(name=f"frame{i:04d}", data=frame) for i, frame in enumerate(movies[part])]
            order = ImageReferences(name="order_of_images", data=images)
            template = Images(name=f"{part}_template", images=images, order_of_images=order, description="Frames of the movie.")
            file.add_stimulus_template(template)
            frame = np.tile(np.arange(len(images), dtype=np.uint32), times.size // len(images))
            shown = {**about, "unit": "N/A", "timestamps": times.ravel(), "indexed_images": template}
            file.add_stimulus(IndexSeries(name=f"{name}_{part}", data=frame, **shown))
    else:
        file.add_stimulus(ImageSeries(name=f"{name}_train", data=movies["train"], timestamps=train, **about))
        file.add_stimulus(ImageSeries(name=f"{name}_test", data=movies["test"], rate=RATE, starting_time=test[0, 0], **about))
        file.add_trial_column("stimulus", "Name of the movie.")
        for onsets in test:
            file.add_trial(start_time=onsets[0], stop_time=onsets[-1] + 1 / RATE, stimulus=f"{name}_test")
        file.add_trial(start_time=test[-1, -1] + 5, stop_time=test[-1, -1] + 6, stimulus="grey")
    file.add_unit_column("unit_name", "Name of the cell.")
    file.units.resolution = 1e-5
    for cell, times in one.spikes().items():
        file.add_unit(spike_times=times, unit_name=cell)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path
