"""The loss, the clips, and what makes training resume exactly."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from retmech.errors import ConfigError, RecordingError
from retmech.geometry import Geometry
from retmech.models.architectures import bn_cnn, ln
from retmech.models.data import ClipDataset, EpochSampler, clip_starts, runs
from retmech.models.lightning import finished, halvings, poisson_loss, saved_history
from retmech.models.predict import predict
from retmech.settings import TrainSettings


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 64))
def test_clips_give_every_response_once(n_frames: int, history: int, length: int) -> None:
    given_responses: list[int] = []
    for start, skip in clip_starts(n_frames, history, length):
        assert start >= 0
        assert start + history - 1 + length <= n_frames
        given_responses += range(start + history - 1 + skip, start + history - 1 + length)
    expected = list(range(history - 1, n_frames)) if n_frames - history + 1 >= length else []
    assert given_responses == expected


def test_clips_stay_within_segments_and_share_the_movie(recording: xr.DataTree) -> None:
    part = recording["naturalscene/train"].to_dataset()  # type: ignore[union-attr]
    data = ClipDataset(part, history=20, length=32)
    segment = part["segment"].values
    for start, _ in data.clips:
        assert len(set(segment[start : start + 51])) == 1
    frames, rate, _ = data[1]
    assert frames.untyped_storage().data_ptr() == data.stimulus.untyped_storage().data_ptr(), "a view, no copy"
    np.testing.assert_array_equal(rate[0], part["rate"].values[:, data.clips[1][0] + 19])
    with pytest.raises(RecordingError, match="no run of frames is as long as one clip"):
        ClipDataset(part, history=20, length=4000)


def test_runs() -> None:
    assert runs(np.array([3, 3, 1, 1, 1, 2])) == [(0, 2), (2, 3), (5, 1)]


def test_loss_is_a_mean_over_responses_and_cells() -> None:
    rng = np.random.default_rng(0)
    predicted, recorded = (torch.from_numpy(rng.uniform(0.1, 3, (4, 10, 3))) for _ in range(2))
    counts = torch.ones(4, 10, dtype=torch.bool)
    loss = poisson_loss(predicted, recorded, counts)
    q, p = predicted.numpy(), recorded.numpy()
    assert float(loss) == pytest.approx((q - p * np.log(q + 1e-8)).mean(), rel=1e-6)
    doubled = [x.repeat(2, 3, *([2] * (x.ndim - 2))) for x in (predicted, recorded, counts)]
    assert float(poisson_loss(*doubled)) == pytest.approx(float(loss), rel=1e-12), "batch, clip length, number of cells"
    counts[:, 5:] = False
    assert float(poisson_loss(predicted, recorded, counts)) == pytest.approx(
        float(poisson_loss(predicted[:, :5], recorded[:, :5], counts[:, :5])), rel=1e-12
    )


def test_order_of_clips_is_a_function_of_seed_and_epoch() -> None:
    sampler, again = EpochSampler(50, seed=3), EpochSampler(50, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    again.set_epoch(1)
    assert list(again) == list(sampler)
    assert sorted(first) == list(range(50))


def test_stopping_and_halving_follow_from_the_losses() -> None:
    assert halvings([], 2) == 0
    assert halvings([3, 2, 2.5, 2.1, 2.2, 2.3], 2) == 2
    assert halvings([3, 2, 2.5, 1, 2], 2) == 0
    rows = [{"validation_loss": loss} for loss in (3.0, 2.0, 2.5, 2.1)]
    assert not finished([], TrainSettings())
    assert not finished(rows, TrainSettings(patience=3, epochs=9))
    assert finished(rows, TrainSettings(patience=2, epochs=9))
    assert finished(rows, TrainSettings(patience=9, epochs=4))


def test_a_cut_off_checkpoint_is_no_checkpoint(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "last.ckpt"
    assert saved_history(path) == []
    torch.save({"history": [{"epoch": 1.0}]}, path)
    assert saved_history(path) == [{"epoch": 1.0}]
    path.write_bytes(path.read_bytes()[:200])
    assert saved_history(path) == []
    assert "starting over" in capsys.readouterr().err


def test_nothing_in_a_checkpoint_is_executed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Malice:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (tmp_path.joinpath("executed").write_text, ("x",))

    torch.save({"history": [Malice()]}, tmp_path / "last.ckpt")
    assert saved_history(tmp_path / "last.ckpt") == []
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("architecture", [bn_cnn, ln])
def test_prediction_in_chunks_is_that_of_the_whole_clip(architecture, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    options = {"kernels": [5, 3]} if architecture is bn_cnn else {}
    network = architecture.build(architecture.Config(history=100, **options), Geometry((10, 10), 100.0, 50.0), 2).eval()
    movie = np.random.default_rng(0).normal(size=(60, 10, 10)).astype(np.float32)
    with torch.no_grad():
        whole = network(torch.from_numpy(movie)[None])[0].numpy()
    monkeypatch.setattr("retmech.models.predict.CHUNK", 7)
    np.testing.assert_allclose(predict(network, movie), whole, rtol=1e-4, atol=1e-5)
    assert whole.shape == (51, 2)


def test_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"kernels = \[15, 11\] do not fit into frames of 24 x 24"):
        bn_cnn.build(bn_cnn.Config(), Geometry((24, 24), 100.0, 50.0), 2)
