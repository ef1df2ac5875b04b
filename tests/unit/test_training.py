"""The loss, the clips, and what makes training resume exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributed
from torch import multiprocessing as mp

from retmech import io, schemas
from retmech.errors import RecordingError, RetmechError
from retmech.geometry import Geometry
from retmech.models.architectures import bn_cnn
from retmech.models.checkpoints import finished, is_first_process, saved_history
from retmech.models.data import Batch, ClipDataset, Clips, EpochSampler, SharedBatches, clip_starts, cut, runs
from retmech.models.fitting import Devices
from retmech.models.lightning import RetinaModule, Sums, halvings, learning_rate, poisson_loss, share_of_mean
from retmech.quality import pearson
from retmech.settings import TrainSettings
from retmech.stages.evaluate import evaluate
from retmech.stages.train import train
from tests.pipeline import run


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 64))
def test_clips_give_every_response_once(n_frames: int, history: int, length: int) -> None:
    given_responses: list[int] = []
    for start, skip in clip_starts(n_frames, history, length):
        assert start >= 0
        assert start + history - 1 + length <= n_frames
        given_responses += range(start + history - 1 + skip, start + history - 1 + length)
    expected = list(range(history - 1, n_frames)) if n_frames - history + 1 >= length else []
    assert given_responses == expected


def clips_of(recording: xr.DataTree, length: int = 32, **kwargs: float) -> Clips:
    part = recording["naturalscene/train"].to_dataset()  # type: ignore[union-attr]
    return cut(part, 20, length, slice(0, 2), **kwargs)  # type: ignore[arg-type]


def test_clips_stay_within_segments_and_share_the_movie(recording: xr.DataTree) -> None:
    part = recording["naturalscene/train"].to_dataset()  # type: ignore[union-attr]
    clips = clips_of(recording)
    assert clips.movie.data_ptr() == part["stimulus"].values.ctypes.data, "no copy of the movie"
    segment = part["segment"].values
    for start in clips.starts.tolist():
        assert len(set(segment[start : start + 51])) == 1
    with pytest.raises(RecordingError, match="no run of frames is as long as one clip"):
        clips_of(recording, length=4000)


def test_a_batch_holds_frames_and_responses_of_its_clips(recording: xr.DataTree) -> None:
    part = recording["naturalscene/train"].to_dataset()  # type: ignore[union-attr]
    clips = clips_of(recording)
    last = int((clips.skips > 0).nonzero()[0])
    batch = ClipDataset([clips], 20, 32, 2).__getitems__([1, last])
    for i, which in enumerate((1, last)):
        start, skip = int(clips.starts[which]), int(clips.skips[which])
        np.testing.assert_array_equal(batch.frames[i], part["stimulus"].values[start : start + 51])
        np.testing.assert_array_equal(batch.recorded[i].T, part["rate"].values[:, start + 19 : start + 51])
        np.testing.assert_array_equal(batch.spikes[i].T, part["spike_count"].values[:, start : start + 51])
        assert batch.counts[i].sum() == 2 * (32 - skip)
    spikes = ClipDataset([clips_of(recording, spike_rate=100.0)], 20, 32, 2).__getitems__([1])
    np.testing.assert_array_equal(spikes.recorded, 100.0 * batch.spikes[:1, 19:])


def test_recordings_in_one_batch_keep_to_their_cells(recording: xr.DataTree) -> None:
    one = clips_of(recording)
    two = replace(one, cells=slice(2, 4))
    data = ClipDataset([one, two], 20, 32, 4)
    n = len(one.starts)
    assert len(data) == 2 * n
    batch = data.__getitems__([n + 3, 3])
    torch.testing.assert_close(batch.frames[0], batch.frames[1])
    torch.testing.assert_close(batch.recorded[0][:, :2], batch.recorded[1][:, 2:])
    np.testing.assert_array_equal(batch.counts.all(dim=1), [[True, True, False, False], [False, False, True, True]])
    assert batch.counts.sum() == 2 * 32 * 2


def test_runs() -> None:
    assert runs(np.array([3, 3, 1, 1, 1, 2])) == [(0, 2), (2, 3), (5, 1)]


def mean_loss(predicted: Tensor, recorded: Tensor, counts: Tensor) -> float:
    return float(poisson_loss(predicted, recorded, share_of_mean(counts, counts.sum(), predicted.dtype)))


def test_loss_is_a_mean_over_responses_and_cells() -> None:
    rng = np.random.default_rng(0)
    predicted, recorded = (torch.from_numpy(rng.uniform(0.1, 3, (4, 10, 3))) for _ in range(2))
    counts = torch.ones(4, 10, 3, dtype=torch.bool)
    loss = mean_loss(predicted, recorded, counts)
    q, p = predicted.numpy(), recorded.numpy()
    assert loss == pytest.approx((q - p * np.log(q + 1e-8)).mean(), rel=1e-6)
    doubled = [x.repeat(2, 3, 2) for x in (predicted, recorded, counts)]
    assert mean_loss(*doubled) == pytest.approx(loss, rel=1e-12), "batch, clip length, number of cells"
    counts[:, 5:] = False
    counts[..., 2] = False
    some = [x[:, :5, :2] for x in (predicted, recorded, counts)]
    assert mean_loss(predicted, recorded, counts) == pytest.approx(mean_loss(*some), rel=1e-12)


def test_sums_over_batches_give_loss_and_correlation_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    predicted, recorded = (torch.from_numpy(rng.uniform(0.1, 30, (6, 10, 3))) for _ in range(2))
    counts = torch.from_numpy(rng.random((6, 10, 3)) < 0.7)
    counts[..., 2] = True
    recorded[..., 2] = 5.0
    scale = torch.tensor([1.0, 7.0, 3.0])
    sums = Sums(3)
    for part in (slice(0, 1), slice(1, 6)):
        sums.add(predicted[part], recorded[part], counts[part], scale)
    loss, r = sums.result()
    assert float(loss) == pytest.approx(mean_loss(predicted / scale, recorded / scale, counts), rel=1e-9)
    for cell in range(2):
        chosen = counts[..., cell].numpy()
        expected = np.corrcoef(predicted[..., cell].numpy()[chosen], recorded[..., cell].numpy()[chosen])[0, 1]
        assert float(r[cell]) == pytest.approx(expected, rel=1e-9)
    assert torch.isnan(r[2]), "a constant response has no correlation"


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_processes_share_each_batch(size: int, batch_clips: int, processes: int, shuffled: bool) -> None:
    sampler = EpochSampler(size, 1 if shuffled else None)
    alone = list(SharedBatches(sampler, batch_clips, 0, 1))
    assert sorted(i for batch in alone for i in batch) == list(range(size))
    shares = [list(SharedBatches(sampler, batch_clips, rank, processes)) for rank in range(processes)]
    if shuffled and size >= batch_clips >= processes:
        assert len({len(share) for share in shares}) == 1, "all processes take as many steps"
    if not shuffled:
        assert sorted(i for share in shares for batch in share for i in batch) == list(range(size)), "nothing is left out"


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
    assert learning_rate(TrainSettings(halve_after=2), [3, 2, 2.5, 2.1]) == pytest.approx(2.5e-3)
    cosine = TrainSettings(schedule="cosine", epochs=4)
    assert [learning_rate(cosine, [1.0] * n) / 5e-3 for n in (0, 2, 4)] == pytest.approx([1, 0.5, 0], abs=1e-9)
    assert learning_rate(TrainSettings(schedule="constant"), [1, 2, 3, 4, 5]) == 5e-3
    assert not finished([], TrainSettings())
    assert not finished(rows, TrainSettings(patience=3, epochs=9))
    assert finished(rows, TrainSettings(patience=2, epochs=9))
    assert finished(rows, TrainSettings(patience=9, epochs=4))


def test_a_best_checkpoint_that_is_damaged_is_not_loaded_either(recording: xr.DataTree, tmp_path: Path) -> None:
    first = fitted(recording, tmp_path)
    best = bytearray((tmp_path / "best.ckpt").read_bytes())
    best[len(best) // 2] ^= 255
    (tmp_path / "best.ckpt").write_bytes(best)
    assert saved_history(tmp_path / "last.ckpt") == []
    xr.testing.assert_identical(fitted(recording, tmp_path), first)


SMALL = bn_cnn.Config(history=200, kernels=[5, 3], channels=[2, 2], epochs=2, batch_clips=4, clip_length=32)


def fitted(recording: xr.DataTree, scratch: Path, **settings: object) -> xr.DataTree:
    scratch.mkdir(exist_ok=True)
    config = SMALL.model_copy(update=settings)
    return train({"one": recording}, config, "bn_cnn", 1, scratch)["one"]


def test_a_constant_prediction_has_no_correlation() -> None:
    sums = Sums(2)
    recorded = torch.rand(5, 40, 2) * 30
    predicted = torch.stack([torch.full((5, 40), 0.1), recorded[..., 1]], dim=-1)
    sums.add(predicted, recorded, torch.ones(5, 40, 2, dtype=torch.bool), torch.ones(2))
    _, r = sums.result()
    assert torch.isnan(r[0])
    assert float(r[1]) == pytest.approx(1)


def test_what_processes_cannot_share_is_refused(recording: xr.DataTree, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"batch_clips": 1})
    with pytest.raises(RetmechError, match="2 processes cannot share batches of batch_clips = 1"):
        train({"one": recording}, config, "bn_cnn", 1, tmp_path, Devices(per_node=2))
    with pytest.raises(RetmechError, match="a batch of one response has no variance"):
        train({"one": recording}, config.model_copy(update={"clip_length": 1}), "bn_cnn", 1, tmp_path)
    with pytest.raises(RecordingError, match="one: it has no stimulus class absent, only naturalscene, whitenoise"):
        train({"one": recording}, config.model_copy(update={"stimulus": ["absent"]}), "bn_cnn", 1, tmp_path)


def test_only_one_process_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_process(2)
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert not is_first_process(4)
    assert is_first_process(1), "a training of its own, whatever task it is"
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first_process(2), "started by the first process of an interactive job"
    monkeypatch.setenv("RANK", "0")
    assert is_first_process(2)


def test_fewer_tasks_of_slurm_than_devices_are_an_error_and_not_a_wait(
    recording: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    with pytest.raises(RetmechError, match=r"2 processes were asked for .*, 1 came together\. Under SLURM"):
        train({"tiny": recording}, SMALL, "bn_cnn", 1, tmp_path, Devices(2))


def test_one_process_trains_in_a_batch_job_of_several_tasks(
    recording: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = fitted(recording, tmp_path / "alone", epochs=1)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_NAME", "pipeline")
    xr.testing.assert_identical(fitted(recording, tmp_path / "in a job", epochs=1), alone)


def test_a_loss_that_is_no_number_stops_with_the_epoch_and_keeps_the_checkpoint(recording: xr.DataTree, tmp_path: Path) -> None:
    fitted(recording, tmp_path, epochs=1)
    before = saved_history(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    state["state_dict"]["network.dense.weight"].fill_(float("nan"))
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.raises(RetmechError, match=r"the loss is nan in epoch 2\. Lower learning_rate"):
        fitted(recording, tmp_path)
    assert saved_history(tmp_path / "last.ckpt") == before
    assert (tmp_path / "best.ckpt").exists()


def test_a_training_that_is_resumed_in_a_moved_folder_knows_its_best_epoch(recording: xr.DataTree, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    fitted(recording, tmp_path / "here/it")
    (tmp_path / "here").rename(tmp_path / "there")
    best = torch.load(tmp_path / "there/it/best.ckpt", weights_only=True)["state_dict"]["network.dense.weight"]
    model = fitted(recording, tmp_path / "there/it", epochs=4, learning_rate=0.5)  # worse from here on
    assert model["best_epoch"] <= 2
    assert model["validation_loss"][2:].min() > model["validation_loss"][:2].min()
    np.testing.assert_array_equal(model["weights/dense.weight"], best)


def test_precision_optimizer_schedule_and_clipping_are_used(recording: xr.DataTree, tmp_path: Path) -> None:
    gentle = {"learning_rate": 1e-3}  # the second epoch is the better one: its rate is what schedules differ in
    plain = fitted(recording, tmp_path / "plain", **gentle)
    assert plain["best_epoch"] == 2
    for i, settings in enumerate(
        (
            {"precision": "float64"},
            {"precision": "bfloat16"},
            {"optimizer": "sgd", "learning_rate": 1e-2},
            {"optimizer": "adamw", "weight_decay": 0.1},
            {"schedule": "cosine"},
            {"gradient_clip": 1e-3},
        )
    ):
        other = fitted(recording, tmp_path / str(i), **{**gentle, **settings})
        a, b = (m["weights/first_layer.weight"].values for m in (plain, other))
        assert b.dtype == np.float32
        assert not np.array_equal(a, b), settings
        assert np.isfinite(b).all()
        if settings == {"precision": "float64"}:
            assert pearson(a.ravel(), b.ravel()) > 0.95


def test_constant_pixels_and_a_silent_cell_train_without_harm(recording: xr.DataTree, tmp_path: Path) -> None:
    odd = recording.copy(deep=True)
    for part in ("train", "validation"):
        odd[f"naturalscene/{part}/stimulus"][:, :, :3] = 7
        for name in ("rate", "spike_count"):
            odd[f"naturalscene/{part}/{name}"][1] = 0
    model = fitted(odd, tmp_path)
    assert all(np.isfinite(weight).all() for weight in model["weights"].data_vars.values())
    performance = evaluate(odd, {"m": model})
    assert np.isfinite(performance["naturalscene/predicted_rate"]).all()


def test_contrast_has_one_unit_whatever_a_model_is_trained_on(recording: xr.DataTree, tmp_path: Path) -> None:
    """A probe must be the same luminance to every model of a recording."""
    config = TrainSettings(stimulus=["whitenoise"], epochs=1)
    model = train({"one": recording}, config, "ln", 1, tmp_path)["one"]
    other = recording.copy()
    other.dataset = other.to_dataset().assign(
        stimulus_mean=recording["stimulus_mean"] + 8, stimulus_std=recording["stimulus_std"] * 2
    )
    (tmp_path / "both").mkdir()
    both = train({"one": recording, "two": other}, config, "ln", 1, tmp_path / "both")["two"]
    for name in ("stimulus_mean", "stimulus_std"):
        assert float(model[name]) == float(recording[name])
    sd = float(recording["stimulus_std"])
    assert float(both["stimulus_mean"]) == pytest.approx(float(recording["stimulus_mean"]) + 4)
    assert float(both["stimulus_std"]) == pytest.approx(np.sqrt(2.5 * sd**2 + 16), rel=1e-12)


def test_recordings_that_share_a_model_share_all_but_their_cells(recording: xr.DataTree, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"shared": True})
    models = train({"one": recording, "two": recording}, config, "bn_cnn", 1, tmp_path)
    one, two = (models[name].children["weights"].to_dataset() for name in ("one", "two"))
    for name, weight in one.items():
        assert np.array_equal(weight, two[name]) == ("cell" not in weight.dims or name == "rate_scale"), name
    assert models["one"].attrs["trained_with"] == '["one","two"]'
    performance = evaluate(recording, models)
    assert performance["naturalscene/pearson_r"].shape == (2, 2)
    assert performance["whitenoise/trained_on"].values.tolist() == [False, False]
    other = recording.copy()
    other.dataset = other.to_dataset().assign(pixel_size=other["pixel_size"] * 2)
    with pytest.raises(RecordingError, match="must have equal frames, frame rate and pixel size"):
        train({"one": recording, "two": other}, config, "bn_cnn", 1, tmp_path)


def test_two_processes_train_the_model_of_one(recording: xr.DataTree, tmp_path: Path) -> None:
    io.write(recording, schemas.RECORDING, tmp_path / "recording.nc", io.Provenance())
    settings = SMALL.model_copy(update={"noise": 0.0, "precision": "float64"}).model_dump_json()
    models = []
    for devices in ("1", "2"):
        options = ["--config", settings, "--scratch", f"work{devices}", "--devices", devices, "--accelerator", "cpu"]
        run("retmech", "train", *options, "--recording", "r=recording.nc", "--output", f"r={devices}.nc", cwd=tmp_path)
        models.append(io.read(tmp_path / f"{devices}.nc", schemas.MODEL))
    assert [m.attrs["processes"] for m in models] == [1, 2]
    for name in ("train_loss", "validation_loss", "validation_correlation"):
        np.testing.assert_allclose(*(m[name].values for m in models), rtol=1e-6)
    for name, weight in models[0].children["weights"].data_vars.items():
        np.testing.assert_allclose(models[1][f"weights/{name}"].values, weight.values, rtol=1e-4, atol=1e-5)


def _share(rank: int, processes: int, meet: str, batch: Batch) -> list[Tensor]:
    """The gradients that a training of some processes has, after DDP has averaged them."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=processes)
    module = RetinaModule(
        bn_cnn.build(SMALL.model_copy(update={"noise": 0.0}), Geometry((12, 12), 100.0, 50.0), 2), SMALL, 100, 50, 1
    )
    module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    step = torch.nn.parallel.DistributedDataParallel(_Step(module.double().train()))
    step(Batch(*(part[rank::processes] for part in batch))).backward()
    del step  # before the group that it uses: the other order can wait for ever
    distributed.destroy_process_group()
    return [p.grad for p in module.parameters() if p.grad is not None]


class _Step(torch.nn.Module):
    """What DDP wraps in a training: its forward pass is the training step."""

    def __init__(self, module: RetinaModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.training_step(batch, 0)


def _save_share(rank: int, processes: int, folder: str) -> None:
    batch = Batch(*torch.load(f"{folder}/batch.pt", weights_only=True))
    torch.save(_share(rank, processes, f"{folder}/meet{processes}", batch), f"{folder}/{processes}-{rank}.pt")


def test_gradients_of_two_processes_are_those_of_the_whole_batch(recording: xr.DataTree, tmp_path: Path) -> None:
    data = ClipDataset([clips_of(recording)], 20, 32, 2)
    torch.save(
        list(data.__getitems__([0, 1, 2, 3, 4, len(data) - 1, 5])), tmp_path / "batch.pt"
    )  # one with a mask; 4 and 3 clips
    for processes in (1, 2):
        mp.spawn(_save_share, args=(processes, str(tmp_path)), nprocs=processes)
    whole, *halves = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1"))
    for half in halves:
        for a, b in zip(whole, half, strict=True):
            assert (a - b).abs().max() <= 1e-6 * a.abs().max() + 1e-12


def test_a_movie_shorter_than_the_history_cannot_be_evaluated(recording: xr.DataTree, tmp_path: Path) -> None:
    model = fitted(recording, tmp_path)
    short = recording.copy()
    short["naturalscene/test"] = xr.DataTree(short["naturalscene/test"].to_dataset(inherit=False).isel(time=slice(20)))
    with pytest.raises(RecordingError, match="naturalscene: the test movie has 20 frames"):
        evaluate(short, {"m": model})
