"""Public files through a server that stalls, cuts off, corrupts, and one that is not there."""

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from retmech import cli
from retmech.fetch import PUBLIC, FetchError, PublicData, fetch

MEMBER = "set/{session}/{stimulus}.h5"
CONTENT = {
    ("one", "noise"): np.random.default_rng(0).bytes(3_000_000),
    ("one", "scenes"): b"scenes" * 1000,
    ("two", "noise"): np.random.default_rng(1).bytes(1000),
}


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for (session, stimulus), content in CONTENT.items():
            file.writestr(MEMBER.format(session=session, stimulus=stimulus), content)
        file.writestr("set/other/large.bin", bytes(5_000_000))
    return out.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one file, with what can go wrong; counts the bytes it gave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = archive()
        self.faults: list[str] = []
        self.given = 0
        self.ranges = True
        self.status = 206

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not match or not self.server.ranges or self.server.status != 206:
            self.send_response(200 if not self.server.ranges else self.server.status)
            self.end_headers()
            return
        start, stop = int(match[1]), min(int(match[2]) + 1, len(self.server.content))
        body = bytearray(self.server.content[start:stop])
        fault = self.server.faults.pop(0) if self.server.faults and len(body) > 100_000 else ""
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(self.server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "corrupt":
            body[len(body) // 2] ^= 1
        sent = {"cut": body[: len(body) // 2], "stall": body[: len(body) // 2], "nothing": body[:0]}.get(fault, body)
        try:
            self.wfile.write(sent)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return
        self.server.given += len(sent)
        if fault == "stall":
            self.server.stalled.wait(20)  # type: ignore[attr-defined]
        if fault:
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    one.stalled = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.stalled.set()  # type: ignore[attr-defined]
    one.shutdown()
    one.server_close()


def data(*urls: str) -> PublicData:
    return PublicData("nobody", urls, MEMBER, ("one", "two"), ("noise", "scenes"))


def get(server: Server, folder: Path, *stimuli: str, session: str = "one", url: str = "", patience: float = 10) -> list[Path]:
    return fetch("set", [session], stimuli, folder, data(url or server.url), timeout=(patience, patience), pause=0.01)


def test_only_what_is_asked_for_is_transferred(server: Server, tmp_path: Path) -> None:
    paths = get(server, tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == ["set/one/noise.h5", "set/one/scenes.h5"]
    assert [p.read_bytes() for p in paths] == [CONTENT["one", "noise"], CONTENT["one", "scenes"]]
    assert server.given < 3_300_000, "not the members that nobody asked for"
    before = server.given
    get(server, tmp_path)
    assert server.given == before, "what is there is not transferred again"


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_transfer_that_breaks_off_is_gone_on_with(fault: str, server: Server, tmp_path: Path) -> None:
    server.faults = [fault, fault]
    (path,) = get(server, tmp_path, "noise", patience=1)
    assert path.read_bytes() == CONTENT["one", "noise"]
    assert server.given < 3_300_000, "no byte comes twice"


def test_a_later_try_goes_on_with_an_earlier_one(server: Server, tmp_path: Path) -> None:
    server.faults = ["cut", *["nothing"] * 6]
    with pytest.raises(FetchError, match=r"gave up after 6 attempts .*Connection broken"):
        get(server, tmp_path, "noise")
    assert not (tmp_path / "set/one/noise.h5").exists()
    before = server.given
    (path,) = get(server, tmp_path, "noise")
    assert path.read_bytes() == CONTENT["one", "noise"]
    assert server.given - before < 1_700_000, "half of it was there"
    assert sorted(p.name for p in path.parent.iterdir()) == ["noise.h5"]


def test_a_corrupt_transfer_is_noticed_and_made_again(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.faults = ["corrupt"]
    (path,) = get(server, tmp_path, "noise")
    assert path.read_bytes() == CONTENT["one", "noise"]
    assert "the checksum is wrong; it is transferred again" in capsys.readouterr().err


def test_what_is_corrupt_twice_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.faults = ["corrupt", "corrupt"]
    with pytest.raises(FetchError, match=r"noise\.h5 came twice with a wrong checksum"):
        get(server, tmp_path, "noise")
    assert list((tmp_path / "set/one").iterdir()) == []


def test_a_file_that_was_damaged_later_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    (path,) = get(server, tmp_path, "noise")
    path.write_bytes(path.read_bytes()[:-5])
    (path,) = get(server, tmp_path, "noise")
    assert path.read_bytes() == CONTENT["one", "noise"]


def test_a_mirror_is_used_when_the_first_server_fails(server: Server, tmp_path: Path) -> None:
    urls = data("http://127.0.0.1:9/set.zip", server.url)
    (path,) = fetch("set", ["two"], ["noise"], tmp_path, urls, timeout=(0.5, 0.5), pause=0.001)
    assert path.read_bytes() == CONTENT["two", "noise"]


def test_offline_is_said_with_what_to_do(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        FetchError, match=r"(?s)gave up after 6 attempts.*download http://127\.0\.0\.1:9/set\.zip elsewhere, .*one/noise\.h5"
    ):
        get(server, tmp_path, "noise", url="http://127.0.0.1:9/set.zip")


def test_servers_that_cannot_be_used_are_said(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    with pytest.raises(FetchError, match="200 OK, and gives no part of the file"):
        get(server, tmp_path, "noise")
    server.ranges, server.status = True, 404
    with pytest.raises(FetchError, match="404 Not Found"):
        get(server, tmp_path, "noise")
    server.status, server.content = 206, bytes(300_000)
    with pytest.raises(FetchError, match="is not the zip archive that was published"):
        get(server, tmp_path, "noise")
    server.content = archive()
    with pytest.raises(FetchError, match=r"there is no set/two/scenes\.h5 in it"):
        get(server, tmp_path, "scenes", session="two")


def test_the_command_says_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fetch", "nothing", "--sessions", "one"]) == 1
    assert "there is no public data set 'nothing' here; there are: maheswaranathan2023," in capsys.readouterr().err
    assert cli.main(["fetch", "maheswaranathan2023", "--sessions", "99-01-01", "--folder", str(tmp_path)]) == 1
    assert "has no session 99-01-01; it has 15-10-07, 15-11-21a, 15-11-21b" in capsys.readouterr().err
    assert cli.main(["fetch", "maheswaranathan2023"]) == 1
    assert "name the sessions to download" in capsys.readouterr().err
    assert cli.main(["fetch"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in PUBLIC)
