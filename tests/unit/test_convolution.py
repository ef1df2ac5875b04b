"""The first layer's backends against each other and against a direct sum."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retmech.models.convolution import SpatiotemporalConv2d, direct, spectral


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


sizes = st.tuples(
    st.integers(1, 2),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 4),
    st.integers(0, 4),
)


@settings(max_examples=40, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 2**31))
def test_backends_agree_with_the_definition(sizes: tuple[int, ...], seed: int) -> None:
    batch, history, more, ky, kx, dy, dx = sizes  # includes history 1 and kernel = image
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(batch, history + more - 1, ky + dy, kx + dx, generator=generator)
    weight = torch.randn(3, history, ky, kx, generator=generator)
    expected = by_definition(clip, weight)
    scale = weight.abs().sum(dim=(1, 2, 3)).max() * clip.abs().max()
    for backend in (direct, spectral):
        found = backend(clip, weight)
        assert found.shape == expected.shape
        assert (found.double() - expected).abs().max() < 1e-5 * scale


@pytest.mark.parametrize("backend", ["direct", "spectral"])
def test_gradients_are_those_of_finite_differences(backend: str) -> None:
    layer = SpatiotemporalConv2d(2, 3, (3, 2), backend).double()  # type: ignore[arg-type]
    clip = torch.randn(2, 6, 5, 4, dtype=torch.float64, requires_grad=True)

    def forward(clip: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (clip,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(forward, (clip, layer.weight))
