"""Locks, and file systems that have none."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from retmech import launch
from retmech.errors import ConfigError, RetmechError
from retmech.locks import lock
from retmech.models.checkpoints import scratch_folder
from retmech.runs import RUN


def test_a_lock_is_held_until_its_file_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert lock(first, wait=False)
    with pytest.raises(BlockingIOError):
        lock(second, wait=False)
    os.close(first)
    assert lock(second, wait=True)
    os.close(second)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_used(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setenv(RUN, "")  # so that what a run sets is forgotten
    file, held = launch.begin(tmp_path)
    os.close(file)
    assert not held
    with scratch_folder(tmp_path, {"a": 1}, 1) as scratch:
        assert scratch.is_dir()
    assert capsys.readouterr().err.count("knows no locks") == 2


def test_a_folder_that_cannot_be_written_to_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file where a folder should be")
    with pytest.raises(RetmechError, match=r"work/run\.lock cannot be written .*\. Run in a folder where you may write"):
        launch.begin(tmp_path)


def test_a_path_with_a_space_is_refused_on_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "Snakefile").touch()
    monkeypatch.chdir(folder)
    with pytest.raises(RetmechError, match="may have a space in its path"):
        launch.launch(["--workflow-profile", "profiles/slurm"])
    assert not (folder / "work").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--configfile", "none.yaml"],
            r"^none\.yaml: cannot be read as a config \(No such file or directory\)\. A target",
        ),
        (
            ["--configfile", "more.yaml", "model.nc"],
            r"^model\.nc: cannot be read as a config \('utf-8' codec .* A target",
        ),
        (["--configfile=list.yaml"], r"^list\.yaml: .* \(expected sections, found \"\['train'\]\"\)"),
        (["-n"], r"^config\.yaml: cannot be read as a config \([\s\S]*line 1, column 9[\s\S]*\)\.$"),
    ],
)
def test_a_config_that_is_none_is_one_clear_error(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    Path("config.yaml").write_text("train: [" if arguments == ["-n"] else "train: {}")
    Path("more.yaml").write_text("train: {}")
    Path("list.yaml").write_text("[train]")
    Path("model.nc").write_bytes(b"\x89HDF")
    with pytest.raises(ConfigError, match=says):
        launch.launch(arguments)
    assert not Path("work").exists()


def test_processes_of_one_training_wait_each_for_its_own_predecessor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with scratch_folder(tmp_path, {}, 2) as scratch:
            names.append({path.name for path in scratch.iterdir()})
    assert names == [{"lock"}, {"lock", "lock-1"}]
