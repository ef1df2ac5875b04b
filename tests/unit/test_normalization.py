"""Batch norm against torch's own, alone and over two processes, and the noise."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch import multiprocessing as mp

from retmech.models.normalization import EPS, BatchNorm, GaussianNoise


def torchs_own(shape: tuple[int, ...]) -> nn.Module:
    """Per channel as BatchNorm2d; per unit each unit is a feature of BatchNorm1d."""
    if len(shape) == 1:
        return nn.BatchNorm2d(shape[0], eps=EPS, momentum=0.3).double()
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(shape[0] * shape[1] * shape[2], eps=EPS, momentum=0.3)).double()


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)])
def test_equals_torch_in_training_and_evaluation(shape: tuple[int, ...], strided: bool) -> None:
    torch.manual_seed(0)
    ours, other = BatchNorm(shape, 0.3).double(), torchs_own(shape)
    own_parameters = dict(other.named_parameters())
    for name, parameter in ours.named_parameters():
        nn.init.normal_(parameter)
        match = next(p for n, p in own_parameters.items() if n.endswith(name))
        match.data.copy_(parameter.data.flatten())
    for training in (True, True, False):
        ours.train(training), other.train(training)
        x = torch.randn(6, 3, 4, 5, dtype=torch.float64) * 3 + 2
        x = x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0) if strided else x
        a, b = x.clone().requires_grad_(), x.clone().contiguous().requires_grad_()
        ya, yb = ours(a), other(b).view(6, 3, 4, 5)
        torch.testing.assert_close(ya, yb)
        upstream = torch.randn(6, 3, 4, 5, dtype=torch.float64)
        grads_a = torch.autograd.grad(ya, [a, *ours.parameters()], upstream)
        grads_b = torch.autograd.grad(yb, [b, *other.parameters()], upstream)
        for ga, gb in zip(grads_a, grads_b, strict=True):
            torch.testing.assert_close(ga.flatten(), gb.flatten())
    buffers = dict(other.named_buffers())
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer.flatten(), next(v for n, v in buffers.items() if n.endswith(name)))


def test_a_positive_scale_keeps_the_sign() -> None:
    norm = BatchNorm((2,), 0.1, positive=True)
    nn.init.constant_(norm.weight, -2.0)
    x = torch.randn(50, 2)
    assert ((norm(x) * (x - x.mean(0))) >= 0).all()
    assert (norm.gain() > 0).all()


def test_gradients_of_a_batch_norm_are_those_of_finite_differences() -> None:
    norm = BatchNorm((2,), 0.1).double()
    x = torch.randn(5, 2, 2, 2, dtype=torch.float64, requires_grad=True)

    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (x, norm.weight, norm.bias))


def _half_of_a_batch(rank: int, folder: str) -> None:
    """One of two processes: the gradients of its half, averaged as a distributed training does."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    norm, x, upstream = _case()
    mine = [slice(0, 3), slice(3, 8)][rank]  # processes need not have equal shares
    part = x[mine].clone().requires_grad_()
    norm(part).backward(upstream[mine])
    parameters = [torch.stack([p.grad for p in norm.parameters()])]
    distributed.all_reduce(parameters[0])
    torch.save({"x": part.grad, "parameters": parameters[0], "var": norm.running_var}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def _case() -> tuple[BatchNorm, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = BatchNorm((2,), 0.3).double()
    x, upstream = (torch.randn(8, 2, 3, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    return norm, x * 2 + 1, upstream


def test_two_processes_have_the_statistics_and_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    mp.spawn(_half_of_a_batch, args=(str(tmp_path),), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    norm, x, upstream = _case()
    x.requires_grad_()
    norm(x).backward(upstream)
    torch.testing.assert_close(torch.cat([half["x"] for half in halves]), x.grad)
    torch.testing.assert_close(halves[0]["parameters"], torch.stack([p.grad for p in norm.parameters()]))  # type: ignore[misc]
    for half in halves:
        torch.testing.assert_close(half["var"], norm.running_var)


def test_noise_has_its_standard_deviation_in_training_only() -> None:
    torch.manual_seed(0)
    noise = GaussianNoise(0.3)
    x = torch.zeros(4, 3, 50, 60).permute(3, 2, 1, 0)
    found = noise(x)
    assert found.std() == pytest.approx(0.3, rel=0.02)
    assert found.shape == x.shape
    assert noise.eval()(x) is x
