"""Every architecture of the registry: what it computes, against an independent formulation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.plain import PlainBNCNN
from retmech import registry
from retmech.errors import ConfigError
from retmech.geometry import Geometry
from retmech.models.architectures import bn_cnn, glm, ln, lnln, stacked
from retmech.models.network import Network
from retmech.models.predict import predict
from retmech.models.store import weights_to_dataset

GEOMETRY = Geometry((12, 12), 100.0, 50.0)
SMALL = {
    "bn_cnn": {"kernels": [5, 3], "channels": [3, 2]},
    "stacked": {"kernels": [5, 3, 3], "channels": [3, 2]},
    "ln": {},
    "lnln": {"kernel": 5, "subunits": 2},
    "glm": {"spike_history": 50, "simulated_trials": 3},
}


def small(kind: str, cells: int = 2, **settings: object) -> Network:
    torch.manual_seed(0)
    architecture = registry.load("architecture", kind)
    config = architecture.Config(history=100, **{**SMALL[kind], **settings})  # type: ignore[arg-type]
    network: Network = architecture.build(config, GEOMETRY, cells)
    return network


def test_every_architecture_is_tried_here() -> None:
    assert set(SMALL) == set(registry.names("architecture"))


@pytest.mark.parametrize("kind", SMALL)
def test_prediction_in_chunks_is_that_of_the_whole_movie(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small(kind).eval()
    movie = np.random.default_rng(0).normal(size=(60, 12, 12)).astype(np.float32)
    whole = predict(network, movie)
    assert whole.shape == (51, 2)
    assert (whole >= 0).all()
    monkeypatch.setattr("retmech.models.network.CHUNK", 7)
    np.testing.assert_allclose(predict(network, movie), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SMALL)
def test_all_weights_have_named_dimensions_and_cells_can_be_told_apart(kind: str) -> None:
    network = small(kind, cells=3)
    whole, some = weights_to_dataset(network), weights_to_dataset(network, slice(1, 3))
    assert set(whole.data_vars) == set(network.state_dict())
    assert some.sizes["cell"] == 2
    for name, variable in some.items():
        expected = whole[name].isel(cell=slice(1, 3)) if "cell" in variable.dims else whole[name]
        np.testing.assert_array_equal(variable, expected)


def test_bn_cnn_is_the_network_in_plain_torch() -> None:
    network = small("bn_cnn", noise=0.0)
    assert isinstance(network, bn_cnn.BNCNN)
    plain = PlainBNCNN(network, bn_cnn.Config(**SMALL["bn_cnn"], noise=0.0))  # type: ignore[arg-type]
    clip = torch.randn(2, 30, 12, 12)
    windows = clip.unfold(1, network.history, 1).permute(0, 1, 4, 2, 3).flatten(0, 1)
    for training in (True, False):
        network.train(training), plain.train(training)
        ours, theirs = network(clip).flatten(0, 1), plain(windows)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def by_links(chain: nn.Module, x: Tensor) -> Tensor:
    """The chain's convolutions one after the other."""
    for link in chain.links:  # type: ignore[union-attr]
        x = link(x)
        x = x.flatten(0, -4)
    return x


@settings(max_examples=20, deadline=None)
@given(kernels=st.tuples(*[st.sampled_from([3, 5, 7])] * 2), channels=st.integers(1, 3), seed=st.integers(0, 1000))
def test_a_chain_is_one_convolution_exactly(kernels: tuple[int, int], channels: int, seed: int) -> None:
    torch.manual_seed(seed)
    config = stacked.Config(history=50, kernels=[*kernels, 3], channels=[channels, 2])
    network = stacked.build(config, Geometry((16, 15), 100.0, 50.0), 1).double().eval()
    clip = torch.randn(2, 7, 16, 15, dtype=torch.float64)
    drive = network.first_layer(clip).flatten(0, 1)
    torch.testing.assert_close(drive, by_links(network.first_layer, clip))
    assert network.filters.shape == (channels, 5, kernels[0], kernels[0])
    torch.testing.assert_close(network.second_layer(drive), by_links(network.second_layer, drive))


def test_the_one_kernel_of_a_chain_keeps_its_precision_under_autocast() -> None:
    network = small("stacked").eval()
    with torch.autocast("cpu", torch.bfloat16):
        kernel = network.filters
    torch.testing.assert_close(kernel, network.filters, rtol=0, atol=0)


def test_dropout_between_the_links_is_for_training_only() -> None:
    network = small("stacked", dropout=0.5)
    clip = torch.randn(1, 20, 12, 12)
    assert not torch.equal(network.train().first_layer(clip), network.first_layer(clip))
    assert torch.equal(network.eval().first_layer(clip), network.first_layer(clip))


def test_each_cell_is_read_out_at_its_own_position() -> None:
    network = small("stacked", cells=4)
    assert isinstance(network, stacked.Stacked)
    network.place(torch.tensor([[0.0, 0.0], [5.0, 6.0], [6.4, 4.6], [11.0, 11.0]]))
    assert network.readout.position.tolist() == [[0, 0], [1, 2], [2, 1], [3, 3]], "centre minus 4, within the 4 x 4 map"
    maps = torch.randn(5, 2, 6, 6)
    everywhere = nn.functional.conv2d(maps, network.readout.weight)
    expected = torch.stack([everywhere[:, k, y, x] for k, (y, x) in enumerate(network.readout.position.tolist())], dim=1)
    torch.testing.assert_close(network.readout(maps), expected)


def test_subunits_only_drive() -> None:
    network = small("lnln").eval()
    nn.init.normal_(network.get_parameter("weight"))
    drive = torch.randn(20, 2, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.upper(drive).sum(), drive)
    assert (gradient >= 0).all()
    assert gradient.max() > 0


def test_the_glm_adds_its_own_past_spikes() -> None:
    network = small("glm")
    assert isinstance(network, glm.GLM)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    clip, spikes = torch.randn(2, 14, 12, 12), torch.randint(0, 3, (2, 14, 2))
    rate = network(clip, spikes)
    assert rate.shape == (2, 5, 2)
    drive = ln.LN.forward(network, clip)  # the same without spikes
    u = torch.expm1(drive).log()  # inverse of the softplus
    for t in range(5):
        past = sum(network.spike_filter[:, j] * spikes[:, 9 + t - 1 - j] for j in range(5))
        torch.testing.assert_close(nn.functional.softplus(u[:, t] + past), rate[:, t], rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="predict"):
        network(clip)


def test_the_glm_predicts_the_mean_of_spike_trains_with_refractoriness() -> None:
    network = small("glm", simulated_trials=4000).eval()
    assert isinstance(network, glm.GLM)
    network.rate_scale.fill_(20.0)
    nn.init.zeros_(network.spike_filter)
    movie = torch.zeros(40, 12, 12)
    free = network.predict(movie)
    torch.testing.assert_close(free, torch.full((31, 2), 20 * np.log(2)).float())
    network.spike_filter.data[:, 0].fill_(-50.0)
    refractory = network.predict(movie)
    p = 20 * np.log(2) / 100  # expected spikes per bin after a silent one
    assert float(refractory[-10:].mean().detach()) == pytest.approx(20 * np.log(2) * _stationary(p), rel=0.03)
    torch.testing.assert_close(network.predict(movie), refractory, rtol=0, atol=0)


def _stationary(p: float) -> float:
    """Share of bins that do not follow a spike, for a chain that spikes with 1 - exp(-p) unless it just did."""
    spiking = 1 - np.exp(-p)
    return float(1 / (1 + spiking))


def test_settings_that_do_not_fit_are_refused() -> None:
    for architecture, message in (
        (bn_cnn, r"kernels of 15 x 15, 11 x 11 pixels do not fit into frames of 24 x 24 .* cover 25 x 25"),
        (stacked, r"kernels of 15 x 15, 11 x 11, 11 x 11 pixels do not fit into frames of 24 x 24"),
    ):
        with pytest.raises(ConfigError, match=message):
            architecture.build(architecture.Config(), Geometry((24, 24), 100.0, 50.0), 2)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="kernels of 30 x 30 pixels do not fit"):
        lnln.build(lnln.Config(kernel=30), Geometry((24, 24), 100.0, 50.0), 2)
    with pytest.raises(ValueError, match="spike_history must be shorter"):
        glm.Config(history=100, spike_history=100)
    with pytest.raises(ValueError, match="odd"):
        stacked.Config(kernels=[14, 11, 11])


FLAT = {
    "bn_cnn": ({"kernels": [1, 1]}, {"kernels": [[1, 7], [1, 5]]}),
    "stacked": ({"kernels": [1, 1, 1]}, {"kernels": [[1, 7], [1, 5], [1, 3]]}),
    "ln": ({}, {}),
    "lnln": ({"kernel": 1}, {"kernel": [1, 5]}),
    "glm": ({}, {}),
}


@pytest.mark.parametrize("shape", [(1, 1), (1, 16)])
@pytest.mark.parametrize("kind", FLAT)
def test_frames_of_one_pixel_and_of_one_row_are_frames(kind: str, shape: tuple[int, int]) -> None:
    """Full-field flicker and random bars."""
    architecture = registry.load("architecture", kind)
    config = architecture.Config(history=100, **{**SMALL[kind], **FLAT[kind][shape[1] > 1]})
    network: Network = architecture.build(config, Geometry(shape, 100.0, 50.0), 2).eval()
    network.place(torch.tensor([[0.0, 0.0], [0.0, shape[1] - 1.0]]))
    movie = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    drive = network.first_layer(movie[None])[0]
    expected = nn.functional.conv3d(movie[None, None], network.filters.detach()[:, None])[0].transpose(0, 1)
    torch.testing.assert_close(drive, expected, rtol=1e-4, atol=1e-5)
    assert predict(network, movie.numpy()).shape == (31, 2)


@pytest.mark.parametrize("kind", ["bn_cnn", "stacked", "lnln"])
def test_a_kernel_with_equal_sides_is_a_square_one(kind: str) -> None:
    name = "kernel" if kind == "lnln" else "kernels"
    sides = SMALL[kind][name]
    pairs = [sides, sides] if kind == "lnln" else [[side, side] for side in sides]  # type: ignore[union-attr]
    one, other = small(kind), small(kind, **{name: pairs})
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)


def test_a_chain_that_is_wide_is_one_kernel() -> None:
    network = small("stacked", kernels=[[3, 9], [1, 3], 1])
    chain = network.first_layer
    assert isinstance(chain, nn.Module)
    assert tuple(chain.weight.shape[2:]) == (3, 9)  # type: ignore[union-attr]
    clip = torch.randn(2, 20, 12, 12)
    network.eval()
    torch.testing.assert_close(chain(clip).flatten(0, 1), by_links(chain, clip), rtol=1e-4, atol=1e-5)
