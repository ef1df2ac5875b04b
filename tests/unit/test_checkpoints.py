"""Checkpoints: only whole ones of the same training are gone on from, and nothing in them is executed."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retmech.models.checkpoints import saved_history


def checkpoint(folder: Path, training: str | None = None, history: Sequence[object] = ()) -> Path:
    """A checkpoint as training leaves it, of which the last is the best."""
    folder.mkdir(exist_ok=True)
    state = {"training": training or folder.name, "history": list(history), "weights": torch.arange(10_000)}
    callbacks = {"validation_loss": {"best_model_path": str(folder / "last.ckpt")}}
    torch.save({**state, "callbacks": callbacks}, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_a_checkpoint_that_is_cut_off_or_damaged_or_foreign_is_not_gone_on_from(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert saved_history(tmp_path / "last.ckpt") == []
    path = checkpoint(tmp_path / "this", history=[{"epoch": 1.0}])
    whole = path.read_bytes()
    assert saved_history(path) == [{"epoch": 1.0}]
    path.write_bytes(whole[:200])
    assert saved_history(path) == []
    damaged = bytearray(whole)
    damaged[damaged.index(torch.arange(500, 510).numpy().tobytes())] ^= 1  # one bit of a weight
    path.write_bytes(damaged)
    assert saved_history(path) == []
    path.write_bytes(whole)
    shutil.copy(path, checkpoint(tmp_path / "that"))
    assert saved_history(tmp_path / "that/last.ckpt") == []
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(line.endswith("starting over") for line in said)
    assert "cannot be read" in said[0]
    assert "is damaged" in said[1]
    assert "is of another training (this)" in said[2]


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_no_damage_to_a_checkpoint_goes_unseen_or_stops_a_training(place: float, bit: int, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint(Path(folder) / "it", history=[{"epoch": 1.0}])
        content = bytearray(path.read_bytes())
        at = int(place * len(content))
        content[at] ^= 1 << bit
        path.write_bytes(content[:at] if cut else content)
        found = saved_history(path)  # bits that hold nothing, such as dates of the archive, may change
        assert found in ([], [{"epoch": 1.0}])


@pytest.mark.parametrize(
    "content", [[1, 2], torch.arange(3), {"training": "it"}, {"training": "it", "history": [], "callbacks": {}}]
)
def test_what_is_no_checkpoint_is_not_gone_on_from(tmp_path: Path, content: object) -> None:
    (tmp_path / "it").mkdir()
    torch.save(content, tmp_path / "it/last.ckpt")
    assert saved_history(tmp_path / "it/last.ckpt") == []


def test_nothing_in_a_checkpoint_is_executed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Malice:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (tmp_path.joinpath("executed").write_text, ("x",))

    assert saved_history(checkpoint(tmp_path / "it", history=[Malice()])) == []
    assert not (tmp_path / "executed").exists()
