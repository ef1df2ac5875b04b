"""`retmech fetch`: public recordings, only the files that are asked for, checked, and gone on with after an interruption.

A data set is one zip archive on a server that gives parts of files. Its directory is read first; then only the members that are
wanted are transferred, each into a file that a later try goes on with, and checked against the archive's checksum when whole.
"""

import io
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pooch
import requests

from retmech.errors import RetmechError, warn
from retmech.progress import progress

PIECE = 2**16  # bytes; what is lost at most where a transfer breaks off
DIRECTORY_PIECE = 2**16  # the zip directory is read in many small steps
ATTEMPTS = 6
TIMEOUT = (10.0, 30.0)  # s to connect, and between two pieces


class FetchError(RetmechError):
    """A public file cannot be had."""


class _BrokenOffError(Exception):
    """A transfer broke off; it is worth going on."""


@dataclass(frozen=True)
class PublicData:
    """A published data set.

    Attributes
    ----------
    urls
        Of its archive: the publisher's, then mirrors.
    member
        Path of one file in the archive, with {session} and {stimulus}.
    """

    citation: str
    urls: tuple[str, ...]
    member: str
    sessions: tuple[str, ...]
    stimuli: tuple[str, ...]


NEURAL_CODE = (
    "https://stacks.stanford.edu/file/druid:rk663dm5577/neural_code_data.zip",
    "https://huggingface.co/datasets/open-retina/open-retina/resolve/main/baccus_lab/maheswaranathan_2023/neural_code_data.zip",
)
#: Name -> what can be fetched.
PUBLIC = {
    "maheswaranathan2023": PublicData(
        citation="Maheswaranathan et al., Neuron 2023; doi:10.25740/rk663dm5577 (salamander ganglion cells)",
        urls=NEURAL_CODE,
        member="neural_code_data/ganglion_cell_data/{session}/{stimulus}.h5",
        sessions=("15-10-07", "15-11-21a", "15-11-21b"),
        stimuli=("naturalscene", "whitenoise"),
    ),
    "maheswaranathan2023-interneurons": PublicData(
        citation="the same; membrane potentials of bipolar, amacrine and horizontal cells",
        urls=NEURAL_CODE,
        member="neural_code_data/interneuron_data/{session}.h5",
        sessions=tuple(f"{kind}_{half}_2012" for kind in ("bipolars", "amacrines", "horizontals") for half in ("early", "late")),
        stimuli=("interneurons",),
    ),
}


def fetch(
    name: str,
    sessions: Sequence[str],
    stimuli: Sequence[str],
    folder: Path,
    data: PublicData | None = None,
    timeout: tuple[float, float] = TIMEOUT,
    pause: float = 1.0,
) -> list[Path]:
    """Download files of a public data set that are not there yet; return the paths of all that were asked for.

    Parameters
    ----------
    name
        A key of :data:`PUBLIC`.
    sessions, stimuli
        Of its sessions and stimulus classes; all stimuli when none is named.
    folder
        Files go to ``folder/name/session/stimulus.h5``.
    timeout
        Longest waits to connect and between two pieces, s.
    pause
        Before the second attempt, s; doubled before each further one.

    Raises
    ------
    FetchError
        If there is no such data set, session or stimulus, no server can be reached, or what comes is not what was published.
    """
    data = data or _known(name)
    if not sessions:
        raise FetchError(f"{name}: name the sessions to download (--sessions); it has {', '.join(data.sessions)}.")
    for what, asked, there in (("session", sessions, data.sessions), ("stimulus", stimuli, data.stimuli)):
        unknown = [one for one in asked if one not in there]
        if unknown:
            raise FetchError(f"{name} has no {what} {', '.join(unknown)}; it has {', '.join(there)}.")
    wanted = [(session, stimulus) for session in sessions for stimulus in stimuli or data.stimuli]
    members = {
        folder / name / session / f"{stimulus}.h5": data.member.format(session=session, stimulus=stimulus)
        for session, stimulus in wanted
    }
    checksums = _Checksums(folder / name / "sha256.txt")
    missing = {path: member for path, member in members.items() if not checksums.right(path)}
    if missing:
        pooch.get_logger().setLevel("WARNING")  # the progress is shown here
        with _space(folder):
            _from_any(data, missing, checksums, timeout, pause)
    return list(members)


def _known(name: str) -> PublicData:
    if name not in PUBLIC:
        raise FetchError(f"there is no public data set {name!r} here; there are: {', '.join(PUBLIC)}.")
    return PUBLIC[name]


def _from_any(
    data: PublicData, missing: dict[Path, str], checksums: "_Checksums", timeout: tuple[float, float], pause: float
) -> None:
    """Take the files from the first server that has them."""
    said = []
    for url in data.urls:
        remote = _Remote(url, timeout, pause)
        try:
            for path, member in missing.items():
                if not checksums.right(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    pooch.retrieve(url, None, path.name, path.parent, downloader=_Member(remote, member, path))
                    checksums.add(path)
            return
        except FetchError as error:
            said.append(str(error))
            warn(str(error))
    first = next(iter(missing))
    raise FetchError(
        "\n".join(said)
        + f"\nNo server could be used. Without a network, download {data.urls[0]} elsewhere, and put the files where they "
        f"belong, such as {first}. What was transferred is kept: the same command goes on with it."
    )


class _Checksums:
    """SHA-256 of the files that were downloaded, so that one that was damaged or cut later is noticed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _all(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        pairs = (line.split(maxsplit=1) for line in self.path.read_text(encoding="utf-8").splitlines() if line.strip())
        return {name: digest for digest, name in pairs}

    def right(self, path: Path) -> bool:
        """Whether a file is there and is what was downloaded; one that was put there by hand counts as right."""
        if not path.is_file():
            return False
        known = self._all().get(str(path.relative_to(self.path.parent)))
        if known is None or pooch.file_hash(str(path)) == known:
            return True
        warn(f"{path}: is not what was downloaded; it is downloaded again.")
        path.unlink()
        return False

    def add(self, path: Path) -> None:
        """Note a file."""
        found = self._all() | {str(path.relative_to(self.path.parent)): pooch.file_hash(str(path))}
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(found.items())), encoding="utf-8")
        partial.replace(self.path)


class _Remote:
    """A file on a server that gives parts of it."""

    def __init__(self, url: str, timeout: tuple[float, float], pause: float) -> None:
        self.url, self.timeout, self.pause = url, timeout, pause
        self.session = requests.Session()

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return self.insist(self._size)

    def insist(self, act: Callable[[], Any], done: Callable[[], int] = lambda: 0) -> Any:
        """Do something, again after a longer and longer pause if it breaks off; ``done`` says how far it came."""
        said, attempt = "", 0
        while attempt < ATTEMPTS:
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            before = done()
            try:
                return act()
            except (
                _BrokenOffError,
                requests.Timeout,
                requests.ConnectionError,
                requests.exceptions.ChunkedEncodingError,
            ) as error:
                said = " ".join(str(error).split())[:200]
            attempt = 1 if done() > before else attempt + 1
        raise FetchError(f"{self.url}: gave up after {ATTEMPTS} attempts ({said}).")

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield bytes ``start`` to before ``stop`` as they come."""
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with self.session.get(self.url, headers=headers, stream=True, timeout=self.timeout) as response:
            self._check(response)
            left = stop - start
            for piece in response.iter_content(PIECE):
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    return
        raise _BrokenOffError(f"the connection was closed {left} bytes too early")

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes ``start`` to before ``stop``."""
        return bytes(self.insist(lambda: b"".join(self.stream(start, stop))))

    def _size(self) -> int:
        with self.session.get(self.url, headers={"Range": "bytes=0-0"}, stream=True, timeout=self.timeout) as response:
            self._check(response)
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
        if not total.isdigit():
            raise FetchError(f"{self.url}: the server does not say how long the file is.")
        return int(total)

    def _check(self, response: requests.Response) -> None:
        if response.status_code >= 500 or response.status_code == 429:
            raise _BrokenOffError(f"the server says {response.status_code} {response.reason}")
        if response.status_code != 206:
            raise FetchError(
                f"{self.url}: the server says {response.status_code} {response.reason}, and gives no part of the file."
            )


class _Seekable(io.RawIOBase):
    """A remote file as what `zipfile` reads a directory from."""

    def __init__(self, remote: _Remote) -> None:
        self.remote, self.place = remote, 0
        self.kept: tuple[int, bytes] = (0, b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere, as in any file."""
        self.place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.remote.size}[whence])
        return self.place

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, of a larger piece that is kept."""
        stop = self.remote.size if size < 0 else min(self.place + size, self.remote.size)
        start, kept = self.kept
        if not start <= self.place <= stop <= start + len(kept):
            start = max(0, min(self.place, self.remote.size - DIRECTORY_PIECE))
            kept = self.remote.read(start, min(max(stop, start + DIRECTORY_PIECE), self.remote.size))
            self.kept = (start, kept)
        found = kept[self.place - start : stop - start]
        self.place += len(found)
        return found


class _Member:
    """Downloads one member of a remote archive, for pooch."""

    def __init__(self, remote: _Remote, name: str, path: Path) -> None:
        self.remote, self.name = remote, name
        self.partial = path.with_name(f".{path.name}.part")

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        info, start = self._place()
        for last in (False, True):
            self._transfer(info, start)
            if self._unpack(info, Path(output_file)):
                self.partial.unlink()
                return
            self.partial.unlink()
            if last:
                raise FetchError(
                    f"{self.remote.url}: {self.name} came twice with a wrong checksum: the file or the network is broken."
                )
            warn(f"{self.name}: the checksum is wrong; it is transferred again.")

    def _place(self) -> tuple[zipfile.ZipInfo, int]:
        """What the archive's directory says of the member, and where its packed bytes begin."""
        try:
            with zipfile.ZipFile(_Seekable(self.remote)) as archive:
                info = archive.getinfo(self.name)
        except KeyError:
            raise FetchError(f"{self.remote.url}: there is no {self.name} in it.") from None
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise FetchError(f"{self.remote.url}: is not the zip archive that was published ({error}).") from None
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or info.flag_bits & 1:
            raise FetchError(f"{self.remote.url}: {self.name} is packed in a way that is not known.")
        header = self.remote.read(info.header_offset, info.header_offset + 30)
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        return info, info.header_offset + 30 + names

    def _transfer(self, info: zipfile.ZipInfo, start: int) -> None:
        """Get the packed bytes, after those that are there already."""
        size = info.compress_size
        if self.partial.exists() and self.partial.stat().st_size > size:
            self.partial.unlink()
        done = self.partial.stat().st_size if self.partial.exists() else 0
        with progress(self.name.rpartition("/")[2], size, "bytes") as advance:
            advance(done)

            def go_on() -> None:
                with open(self.partial, "ab") as file:
                    if file.tell() < size:
                        for piece in self.remote.stream(start + file.tell(), start + size):
                            file.write(piece)
                            advance(len(piece))

            self.remote.insist(go_on, lambda: self.partial.stat().st_size if self.partial.exists() else 0)

    def _unpack(self, info: zipfile.ZipInfo, path: Path) -> bool:
        """Write what was packed; False if it is not what the archive's directory says."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
        crc = size = 0
        try:
            with open(self.partial, "rb") as packed, open(path, "wb") as out:
                while piece := packed.read(PIECE):
                    content = inflate.decompress(piece) if inflate else piece
                    crc, size = zlib.crc32(content, crc), size + len(content)
                    if size > info.file_size:
                        return False
                    out.write(content)
        except zlib.error:
            return False
        return crc == info.CRC and size == info.file_size


@contextmanager
def _space(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written ({error}). Is there space, and may you write there?") from None
