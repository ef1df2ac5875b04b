"""HDF5 files that are not trusted: only what is asked for is read, and only after a look at what it claims to be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from retmech.errors import RecordingError, RetmechError
from retmech.readers._raw import LARGEST, Movie, checked_movie, unreadable

# Compression that the HDF5 library itself brings. Others are code from elsewhere that it would load.
FILTERS = {"gzip": 1, "shuffle": 2, "fletcher32": 3, "szip": 4, "nbit": 5, "scaleoffset": 6, "lzf": 32000}
LARGEST_CHUNK = 2**28  # bytes that are unpacked at once
LARGEST_RATIO = 1100  # of unpacked to packed bytes; gzip cannot do better

Value = TypeVar("Value")


class Source:
    """An open file whose datasets are looked up with an error that names them."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file

    def fail(self, name: str, expected: str, found: str) -> RecordingError:
        """Return the error that says what is wrong with a dataset."""
        return RecordingError(f"{self.path}: {name}: expected {expected}, found {found}.")

    def names(self, group: str) -> list[str]:
        """Names in a group, but for those that are no text; none if there is no such group."""
        found = self._lookup(group)
        if not isinstance(found, h5py.Group):
            return []
        return [name for name in self.guarded(group, lambda: list(found)) if isinstance(name, str)]

    def has(self, name: str) -> bool:
        """Whether there is a dataset of this name."""
        return isinstance(self._lookup(name), h5py.Dataset)

    def rank(self, name: str) -> int:
        """Number of dimensions of a dataset; 0 if there is none."""
        found = self._lookup(name)
        return int(found.ndim) if isinstance(found, h5py.Dataset) else 0

    def dataset(self, name: str, rank: int) -> h5py.Dataset:
        """Return a dataset of numbers of a given rank whose data are in this file and can be what it says."""
        dataset = self._lookup(name)
        if not isinstance(dataset, h5py.Dataset):
            there = ", ".join(self.names(name.rpartition("/")[0] or "/")) or "nothing"
            raise self.fail(name, f"a dataset with {rank} dimensions", f"none (there: {there[:300]})")
        return self.guarded(name, lambda: self._checked(name, dataset, rank))

    def array(self, name: str, rank: int) -> NDArray[np.generic]:
        """Return a numeric dataset of a given rank; it must be finite and not empty."""
        dataset = self.dataset(name, rank)
        size = dataset.size * dataset.dtype.itemsize
        if size > LARGEST:
            raise self.fail(name, f"at most {LARGEST / 1e9:.0f} GB", f"shape {dataset.shape}, {size / 1e9:.3g} GB")
        values: NDArray[np.generic] = self.guarded(name, lambda: dataset[...])
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise self.fail(name, "finite values", f"{np.count_nonzero(~np.isfinite(values))} NaN or infinite")
        return values

    def movie(self, name: str) -> Movie:
        """Return a dataset (time, y, x) as a movie that is read from the file when it is needed."""
        dataset = self.dataset(name, 3)
        path = self.path

        def read(start: int, stop: int) -> NDArray[np.generic]:
            with opened(path) as source:
                return source.guarded(name, lambda: source.file[name][start:stop])

        return checked_movie(f"{path}: {name}", dataset.shape, dataset.dtype, read)

    def _lookup(self, name: str) -> h5py.Group | h5py.Dataset | None:
        """What stands at a path, followed step by step: a link to another file is refused."""
        found: h5py.Group | h5py.Dataset = self.file
        for step in (part for part in name.split("/") if part):
            if not isinstance(found, h5py.Group):
                return None
            here = found
            link = self.guarded(name, lambda: here.get(step, getlink=True) if step in here else None)  # noqa: B023
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self.fail(name, "data in the file itself", "a link to another place, which is not followed")
            found = self.guarded(name, lambda: here[step])  # noqa: B023
        return found

    def _checked(self, name: str, dataset: h5py.Dataset, rank: int) -> h5py.Dataset:
        """What a dataset says of itself, before anything of it is read."""
        if dataset.dtype.kind not in "iuf":
            raise self.fail(name, "numbers", f"type {dataset.dtype}")
        if dataset.ndim != rank or 0 in dataset.shape:
            raise self.fail(name, f"{rank} dimensions, none empty", f"shape {dataset.shape}")
        return self._sound(name, dataset)

    def check_all(self) -> None:
        """Refuse a file in which any dataset lies elsewhere, or is larger than what can be unpacked of it.

        Only movies may be larger than what is held as a whole.
        """

        def check(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset) and item.size:
                self._sound(name, item)
                if item.ndim < 3 and item.size * item.dtype.itemsize > LARGEST:
                    raise self.fail(name, f"at most {LARGEST / 1e9:.0f} GB", f"shape {item.shape}")

        def check_link(name: str, link: object) -> None:
            if isinstance(link, h5py.ExternalLink):
                raise self.fail(name, "data in the file itself", "a link to another file, which is not followed")

        self.guarded("/", lambda: self.file.visititems_links(check_link))
        self.guarded("/", lambda: self.file.visititems(check))

    def _sound(self, name: str, dataset: h5py.Dataset) -> h5py.Dataset:
        """A dataset whose data are in this file, packed in a way that is known, and as many as it says."""
        if dataset.external or dataset.is_virtual:
            raise self.fail(name, "data in the file itself", "data in another file, which is not opened")
        plist = dataset.id.get_create_plist()
        unknown = [plist.get_filter(i)[0] for i in range(plist.get_nfilters()) if plist.get_filter(i)[0] not in FILTERS.values()]
        if unknown:
            raise self.fail(name, f"no compression or {', '.join(FILTERS)}", f"filter {unknown[0]}; store it anew with h5repack")
        size = dataset.size * dataset.dtype.itemsize
        if dataset.chunks and int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize > LARGEST_CHUNK:
            raise self.fail(
                name, f"chunks of at most {LARGEST_CHUNK / 1e6:.0f} MB", f"{dataset.chunks}; store it anew with h5repack"
            )
        stored = dataset.id.get_storage_size()
        if stored > self.path.stat().st_size or size > LARGEST_RATIO * max(stored, 1):
            raise self.fail(name, f"the data of shape {dataset.shape}", f"{stored} bytes of them in the file")
        return dataset

    def guarded(self, name: str, act: Callable[[], Value]) -> Value:
        """Do something with the HDF5 library, which reports damage as errors of many kinds."""
        try:
            return act()
        except (RetmechError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise RecordingError(
                f"{self.path}: {name}: cannot be read ({' '.join(str(error).split())[:200]}). "
                "The file is damaged: try copying it again."
            ) from None


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Yield a file to look things up in.

    Raises
    ------
    RecordingError
        If it is not HDF5 or is cut off.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except Exception as error:
        raise unreadable(path, "HDF5", error) from None
    with file:
        yield Source(path, file)
