"""The path integral against Captum, closed forms and its own completeness."""

import numpy as np
import pytest
import torch
import xarray as xr
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from retmech import registry
from retmech.attribution.path import integrate
from retmech.attribution.symmetry import check, violation
from retmech.errors import RetmechError
from retmech.geometry import Geometry
from retmech.labels import cell_coordinate, geometry_variables, pixel_coordinates
from retmech.models.architectures import bn_cnn, ln
from retmech.models.network import Network
from retmech.models.store import weights_to_dataset
from retmech.provenance import canonical_json
from retmech.settings import AttributeSettings
from retmech.stages.attribute import attribute
from retmech.stages.synthesize import synthesize

GEOMETRY = Geometry((12, 12), 100.0, 50.0)


def random_network(batch_norm: str, seed: int = 0) -> Network:
    """A BN-CNN whose batch norms have seen data, so that no statistic is trivial."""
    torch.manual_seed(seed)
    config = bn_cnn.Config(history=100, kernels=[5, 3], channels=[4, 3], batch_norm=batch_norm, batch_norm_momentum=0.5)
    network = bn_cnn.build(config, GEOMETRY, 3)
    network.rate_scale.fill_(7.0)
    for _ in range(5):
        network(torch.randn(4, 40, 12, 12) + 0.3)
    return network.eval()


def model_tree(network: Network, config: bn_cnn.Config | ln.Config) -> xr.DataTree:
    root = xr.Dataset(
        geometry_variables(GEOMETRY),
        coords={"cell": cell_coordinate(["a", "b", "c"]), **pixel_coordinates(GEOMETRY.shape, 50.0)},
    )
    tree = xr.DataTree.from_dict({"/": root, "/weights": weights_to_dataset(network)})
    tree.attrs = {"architecture": config.architecture, "architecture_settings": canonical_json(config.model_dump(mode="json"))}
    return tree


@pytest.mark.parametrize("batch_norm", ["unit", "channel"])
def test_equals_captum_at_the_same_nodes(batch_norm: str) -> None:
    network = random_network(batch_norm)
    clips = torch.randn(6, network.history, 12, 12)

    class OneResponse(nn.Module):
        """The network with one output row per clip, as Captum expects."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, clip: Tensor) -> Tensor:
            rate: Tensor = self.network(clip)[:, 0]
            return rate

    with torch.no_grad():
        drive = network.first_layer(clips)[:, 0]
        baseline = network.first_layer(torch.zeros(1, *clips.shape[1:]))[0, 0]
    ours = integrate(network.upper, drive, baseline, tolerance=1e9, nodes=20, max_nodes=20)
    captum = LayerIntegratedGradients(OneResponse(), network.first_layer)
    for cell in range(3):
        theirs = captum.attribute(clips, target=cell, n_steps=20, method="gausslegendre")[:, 0]
        attribution = (drive - baseline) * ours.weight[:, cell]
        assert (attribution - theirs).abs().max() < 1e-5 * attribution.abs().max()


def test_doubling_reaches_the_tolerance_for_every_point_and_cell() -> None:
    network = random_network("channel", seed=1)
    drive = network.first_layer(torch.randn(2, 40, 12, 12)).flatten(0, 1).detach()
    baseline = torch.zeros_like(drive[0])
    tolerance = 3e-4 * float(network.upper(drive).detach().max())
    result = integrate(network.upper, drive, baseline, tolerance, nodes=4, max_nodes=4096)
    residual = ((drive - baseline)[:, None] * result.weight).sum(dim=(2, 3, 4)) - (result.rate - result.baseline_rate)
    assert residual.abs().max() <= tolerance
    assert torch.allclose(residual, result.error)
    assert len(result.nodes.unique()) > 1  # some frames need more than others


def test_closed_form_of_a_one_layer_network() -> None:
    """For sum_i w_i relu(z_i) from z0 = 0 the attribution to unit i is w_i relu(z_i)."""
    z = torch.randn(50, 3, 2, 2)
    weight = torch.randn(2, 12)
    result = integrate(lambda drive: drive.relu().flatten(1) @ weight.T, z, torch.zeros(3, 2, 2), 1e-6, 8, 8)
    expected = z.relu()[:, None] * weight.view(2, 3, 2, 2)
    assert ((z[:, None] * result.weight) - expected).abs().max() < 1e-6


def test_a_dead_unit_has_no_attribution_and_equal_units_have_equal_ones() -> None:
    z = torch.randn(20, 3, 1, 1)
    z[:, 1] = z[:, 0]
    upper = lambda drive: torch.nn.functional.softplus(drive[:, :2].relu().sum(dim=(1, 2, 3)))[:, None]  # noqa: E731
    result = integrate(upper, z, torch.zeros(3, 1, 1), 1e-6, 16, 1024)
    attribution = (z[:, None] * result.weight)[:, 0, :, 0, 0]
    assert (attribution[:, 2] == 0).all()
    assert torch.allclose(attribution[:, 0], attribution[:, 1])


@pytest.mark.parametrize("probe", ["omitted_flash", "latency", "motion_reversal", "motion_anticipation"])
def test_every_probe_is_complete_and_sums_as_its_symmetry_says(probe: str) -> None:
    config = bn_cnn.Config(history=100, kernels=[5, 3], channels=[4, 3], batch_norm="channel")
    network = random_network("channel", seed=2)
    movies = synthesize(GEOMETRY, registry.load("probe", probe).Config(), probe).isel(condition=slice(0, 3))
    found = attribute(model_tree(network, config), movies, AttributeSettings())
    largest = float(found["rate"].max())
    assert float(abs(found["completeness_error"]).max()) < 1e-3 * largest
    space = [d for d in ("y", "x") if d in found["attribution"].dims]
    change = (found["rate"] - found["baseline_rate"]).transpose("condition", "time", "cell")
    assert float(abs(found["attribution"].sum(["channel", *space]) - change).max()) < 1e-3 * largest
    assert float(abs((found["excitation"] + found["suppression"]).sum("channel") - change).max()) < 1e-3 * largest
    product = (found["drive"] * found["effective_weight"]).transpose(*found["attribution"].dims)
    np.testing.assert_allclose(product, found["attribution"], atol=1e-4 * float(abs(found["attribution"]).max()))
    full = attribute(model_tree(network, config), movies.assign_attrs(symmetry=""), AttributeSettings())
    reduced = full["attribution"].sum([d for d in ("y", "x") if d not in space])
    np.testing.assert_allclose(found["attribution"], reduced, atol=1e-4 * float(abs(reduced).max()))


def test_a_symmetry_that_is_not_there_is_refused_with_its_violation() -> None:
    difference = torch.ones(2, 3, 4, 4)
    difference[1, 1, 2, 3] = 1.5
    assert violation(difference, ("y", "x")) == pytest.approx(0.5 / 1.5)
    assert violation(difference[..., :3], ("y", "x")) == 0
    with pytest.raises(RetmechError, match=r"bars.*along y.*0\.33"):
        check("bars", ("y",), violation(difference, ("y",)), 1e-3)


def test_a_model_without_interneurons_is_refused() -> None:
    config = ln.Config(history=100)
    movies = synthesize(GEOMETRY, registry.load("probe", "latency").Config(), "latency")
    with pytest.raises(RetmechError, match="ln has no interneurons"):
        attribute(model_tree(ln.build(config, GEOMETRY, 3), config), movies, AttributeSettings())
