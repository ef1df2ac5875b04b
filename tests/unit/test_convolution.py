"""Both backends of the convolutions against an explicit sum, against each other and against finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retmech.models import fourier
from retmech.models.convolution import (
    SpatialConv2d,
    SpatiotemporalConv2d,
    direct,
    faster_backend,
    spatial_spectral,
    spectral,
    spread,
)


def by_definition(clip: Tensor, weight: Tensor) -> Tensor:
    """drive[b, t, c, y, x] as an explicit sum in float64."""
    channels, history, ky, kx = weight.shape
    batch, frames, height, width = clip.shape
    drive = torch.zeros(batch, frames - history + 1, channels, height - ky + 1, width - kx + 1, dtype=torch.float64)
    for t in range(drive.shape[1]):
        for y in range(drive.shape[3]):
            for x in range(drive.shape[4]):
                window = clip[:, t : t + history, y : y + ky, x : x + kx].double()
                drive[:, t, :, y, x] = torch.einsum("bhyx,chyx->bc", window, weight.double())
    return drive


def random_case(sizes: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A clip and a kernel; the sizes include a history of 1 and kernels as large as the frame, odd and even."""
    batch, history, more, ky, kx, dy, dx = sizes
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(batch, history + more - 1, ky + dy, kx + dx, generator=generator, dtype=dtype)
    return clip, torch.randn(3, history, ky, kx, generator=generator, dtype=dtype)


sizes = st.tuples(
    st.integers(1, 2),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 4),
    st.integers(0, 4),
)


@settings(max_examples=60, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 2**31))
def test_backends_agree_with_the_definition(sizes: tuple[int, ...], seed: int) -> None:
    clip, weight = random_case(sizes, seed)
    expected = by_definition(clip, weight)
    scale = weight.abs().sum(dim=(1, 2, 3)).max() * clip.abs().max()
    for backend in (direct, spectral):
        found = backend(clip, weight)
        assert found.shape == expected.shape
        assert (found.double() - expected).abs().max() < 1e-5 * scale


@settings(max_examples=40, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 2**31))
def test_backends_have_the_same_gradients(sizes: tuple[int, ...], seed: int) -> None:
    clip, weight = (x.requires_grad_() for x in random_case(sizes, seed, torch.float64))
    upstream = torch.randn(direct(clip, weight).shape, dtype=torch.float64)
    expected, found = (torch.autograd.grad(backend(clip, weight), (clip, weight), upstream) for backend in (direct, spectral))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(0, 4), st.integers(0, 3), st.integers(0, 2**31))
def test_spatial_convolution_is_that_of_torch(n: int, channels: int, kernel: int, dy: int, dx: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, channels, kernel + dy, kernel + dx, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, channels, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.conv2d(maps, weight)
    found = spatial_spectral(maps, weight)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    upstream = torch.randn(expected.shape, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad(y, (maps, weight), upstream) for y in (expected, found)), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("backend", ["direct", "spectral"])
def test_gradients_are_those_of_finite_differences(backend: str) -> None:
    layer = SpatiotemporalConv2d(2, 3, (3, 2), backend).double()  # type: ignore[arg-type]
    clip = torch.randn(2, 6, 5, 4, dtype=torch.float64, requires_grad=True)

    def forward(clip: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (clip,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (clip, layer.weight))


@pytest.mark.parametrize("backend", ["direct", "spectral"])
def test_spatial_gradients_are_those_of_finite_differences(backend: str) -> None:
    layer = SpatialConv2d(2, 3, (3, 2), backend).double()  # type: ignore[arg-type]
    maps = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)

    def forward(maps: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (maps,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (maps, layer.weight))


def test_windows_in_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, weight = (x.requires_grad_() for x in random_case((2, 5, 4, 3, 3, 4, 5), 0, torch.float64))
    whole = torch.autograd.grad(spectral(clip, weight).square().sum(), (clip, weight))
    monkeypatch.setitem(fourier.PIECE_BYTES, "cpu", 1)
    for a, b in zip(whole, torch.autograd.grad(spectral(clip, weight).square().sum(), (clip, weight)), strict=True):
        torch.testing.assert_close(a, b)


def test_precision_is_kept_under_autocast() -> None:
    clip, weight = random_case((1, 5, 4, 5, 5, 4, 4), 0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(spectral(clip, weight), spectral(clip, weight).float(), rtol=0, atol=0)
        assert spectral(clip, weight).dtype == torch.float32


def test_state_does_not_depend_on_the_backend() -> None:
    a, b = SpatiotemporalConv2d(2, 3, (3, 3), "direct"), SpatiotemporalConv2d(2, 3, (3, 3), "spectral")
    b.load_state_dict(a.state_dict())
    clip = torch.randn(1, 5, 6, 6)
    torch.testing.assert_close(a(clip), b(clip), rtol=1e-5, atol=1e-5)


def test_large_kernels_go_through_the_fourier_domain_and_small_ones_do_not() -> None:
    assert faster_backend((50, 50), (15, 15), 1, 8, 40) == "spectral"
    assert faster_backend((36, 36), (11, 11), 8, 8, 1) == "spectral"
    assert faster_backend((48, 48), (3, 3), 8, 8, 1) == "direct"


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 8), st.integers(1, 8), st.integers(0, 100))
def test_the_transpose_is_that_of_torch_by_both_backends(
    outs: int, channels: int, kernel: int, y: int, x: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, outs, y, x, generator=generator, dtype=torch.float64)
    weight = torch.randn(outs, channels, kernel, kernel, generator=generator, dtype=torch.float64)
    expected = torch.nn.functional.conv_transpose2d(maps, weight)
    through_frequencies = fourier.uncorrelate(maps.permute(3, 2, 1, 0).contiguous(), weight.permute(3, 2, 0, 1))
    torch.testing.assert_close(through_frequencies.permute(3, 2, 1, 0), expected)
    torch.testing.assert_close(spread(maps, weight), expected)
