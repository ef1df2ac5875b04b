"""Path integrals against a walk by autograd, Captum, closed forms and their own completeness."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from retmech import io, registry, schemas
from retmech.attribution import exact, measures, quadrature
from retmech.attribution.drives import Drives, Span
from retmech.attribution.integral import Integral
from retmech.attribution.path import Attributor, attributor
from retmech.attribution.pixels import Response, pixel_attribution
from retmech.errors import FileError, RetmechError
from retmech.geometry import Geometry
from retmech.io import Provenance
from retmech.models.architectures import bn_cnn, glm, ln, stacked
from retmech.models.network import Network
from retmech.models.rectifiers import Rectifiers, Second
from retmech.pieces import Pieces
from retmech.settings import AttributeSettings, PixelSettings
from retmech.stages import attribute as stage
from retmech.stages.attribute import attribute
from tests.networks import CONFIGS, GEOMETRY, drawn, model_tree, movie, probe_of, random_network

STIMULI = ("flash", "bar", "natural", "noise")
QUICK = AttributeSettings(compare=[])


def ends(network: Network, stimulus: str) -> tuple[Tensor, Tensor]:
    """The first layer's output for a movie and for grey."""
    with torch.no_grad():
        drive = network.first_layer(movie(stimulus)[None])[0]
        return drive, network.first_layer(torch.zeros(1, network.history, *GEOMETRY.shape))[0]


def rectifiers_of(network: Network, drive: Tensor) -> Rectifiers:
    rectifiers = network.rectifiers((drive.shape[2], drive.shape[3]))
    assert rectifiers is not None
    return rectifiers


def paths_of(network: Network, kind: str = "channel", **changes: Any) -> Attributor:
    given_ = {"compare": [], **changes}
    return attributor(network, CONFIGS[kind].architecture, GEOMETRY.shape, AttributeSettings(**given_)).within(1e-3)


def walk_by_autograd(
    lower: Callable[[Tensor], Tensor],
    current: Callable[[Tensor], Tensor],
    scale: Tensor,
    hidden: Sequence[Callable[[Tensor], Tensor]],
    start: Tensor,
    end: Tensor,
) -> Tensor:
    """Attributions (cell, unit...) of one path: autograd on each segment between the points where any hidden input is zero.

    ``hidden`` are the inputs of the rectifiers, each piecewise linear between the zeros of those before it.
    """
    breaks = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for inputs in hidden:
        values = torch.stack([inputs(start + a * (end - start)).flatten() for a in breaks])
        before, after = values[:-1], values[1:]
        crossing = before * after < 0
        step = breaks.diff()[:, None]
        zeros = breaks[:-1, None] + step * before / torch.where(crossing, before - after, 1.0)
        breaks = torch.cat([breaks, zeros[crossing]]).sort().values
    total = torch.zeros(())
    softplus = nn.functional.softplus
    for a, b in pairwise(breaks):
        if b - a < 1e-13:
            continue
        x = lower(start + (a + b) / 2 * (end - start)).detach().requires_grad_()
        u = current(x)
        slopes = torch.stack([torch.autograd.grad(value, x, retain_graph=True)[0] for value in u])
        change = lower(start + b * (end - start)) - lower(start + a * (end - start))
        low, high = (current(lower(start + c * (end - start))) for c in (a, b))
        mean = torch.where((high - low).abs() > 1e-6, (softplus(high) - softplus(low)) / (high - low), u.sigmoid())
        total = total + (scale * mean).detach()[:, *[None] * x.ndim] * slopes * change
    return total.detach()


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("stimulus", STIMULI)
def test_the_exact_integral_is_complete_and_equals_a_walk_by_autograd(kind: str, stimulus: str) -> None:
    network = random_network(kind)
    drive, baseline = ends(network, stimulus)
    rectifiers = rectifiers_of(network, drive)
    first, first_0 = rectifiers.first(drive.double()), rectifiers.first(baseline.double())
    found = exact.integrate_first(rectifiers, first, first_0, "rate")
    largest = found.response.max()
    assert found.error.abs().max() < 1e-12 * largest
    hidden = [lambda x: x] if rectifiers.second is None else [lambda x: x, lambda x: rectifiers.last(x[None])[0]]
    for i in (3, 9):
        expected = walk_by_autograd(
            lambda x: x,
            lambda x: rectifiers.current(rectifiers.last(x[None]).relu())[0],
            rectifiers.scale,
            hidden,
            first_0[0],
            first[i],
        )
        attribution = found.difference[i] * found.weight[i]
        assert (attribution - expected).abs().max() < 1e-10 * largest


@pytest.mark.parametrize("stimulus", ["bar", "noise"])
def test_the_second_layer_equals_a_walk_by_autograd_on_both_paths(stimulus: str) -> None:
    network = random_network("unit")
    drive, baseline = ends(network, stimulus)
    rectifiers = rectifiers_of(network, drive)
    second = rectifiers.second
    assert second is not None
    first, first_0 = rectifiers.first(drive.double()), rectifiers.first(baseline.double())
    change = rectifiers.response(rectifiers.last(first)) - rectifiers.response(rectifiers.last(first_0))
    in_stimulus = exact.integrate_second(rectifiers, first, first_0, "rate")
    straight = paths_of(network, "unit", layer_2=True, path="layer").integrate(drive, baseline)[1]
    assert straight is not None
    for found in (in_stimulus, straight):
        assert (found.sum((2, 3, 4)) - change).abs().max() < 1e-12 * change.abs().max()
    current = lambda p: rectifiers.current(p[None].relu())[0]  # noqa: E731
    for i in (4, 9):
        bent = walk_by_autograd(
            lambda x: rectifiers.last(x[None])[0],
            current,
            rectifiers.scale,
            [lambda x: x, lambda x: rectifiers.last(x[None])[0]],
            first_0[0],
            first[i],
        )
        assert (in_stimulus[i] - bent).abs().max() < 1e-10 * change.abs().max()
        last, last_0 = rectifiers.last(first)[i], rectifiers.last(first_0)[0]
        line = walk_by_autograd(lambda x: x, current, rectifiers.scale, [lambda x: x], last_0, last)
        assert (straight[i] - line).abs().max() < 1e-10 * change.abs().max()
    assert (in_stimulus - straight).abs().max() > 1e-3 * change.abs().max()  # the paths differ


@pytest.mark.parametrize("kind", ["unit", "lnln"])
def test_paths_straight_after_rectification_equal_a_walk_by_autograd(kind: str) -> None:
    network = random_network(kind)
    drive, baseline = ends(network, "noise")
    rectifiers = rectifiers_of(network, drive)
    found, _ = paths_of(network, kind, layer="rectified", path="layer").integrate(drive, baseline)
    assert found.error.abs().max() < 1e-12 * found.response.max()
    passed, passed_0 = (rectifiers.first(end.double()).relu() for end in (drive, baseline))
    last = rectifiers.second or (lambda h: h)
    for i in (4, 9):
        expected = walk_by_autograd(
            lambda h: h,
            lambda h: rectifiers.current(last(h[None]).relu())[0],
            rectifiers.scale,
            [lambda h: last(h[None])[0]] if rectifiers.second else [],
            passed_0[0],
            passed[i],
        )
        assert (found.difference[i] * found.weight[i] - expected).abs().max() < 1e-10 * found.response.max()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from(["rate", "input"]),
)
def test_any_rectifier_network_is_complete(
    seed: int, channels: int, channels_2: int, kernel: int, more: int, target: Any
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        values = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return torch.where(
            torch.rand(shape, generator=generator) < 0.1, 0.0, values
        )  # some weights, gains and thresholds are zero

    size = kernel + more
    second = Second(
        normal(channels_2, channels, kernel, kernel),
        normal(channels_2, more + 1, more + 1),
        normal(channels_2, more + 1, more + 1),
    )
    rectifiers = Rectifiers(
        normal(channels, size, size),
        normal(channels, size, size),
        second,
        normal(3, channels_2, more + 1, more + 1),
        normal(3),
        normal(3).abs(),
    )
    first, first_0 = (rectifiers.first(normal(n, channels, size, size)) for n in (5, 1))
    found = exact.integrate_first(rectifiers, first, first_0, target)
    scale = found.response.abs().max() + found.baseline_response.abs().max() + 1
    assert found.error.abs().max() < 1e-12 * scale
    layer_2 = exact.integrate_second(rectifiers, first, first_0, target)
    assert (layer_2.sum((2, 3, 4)) - (found.response - found.baseline_response)).abs().max() < 1e-12 * scale


@pytest.mark.parametrize("kind", ["unit", "channel"])
def test_equals_captum_at_the_same_nodes(kind: str) -> None:
    network = random_network(kind)
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
        baseline = network.first_layer(torch.zeros(1, *clips.shape[1:]))[0]
    ours, _ = paths_of(network, kind, rule="gauss_legendre", nodes=20, max_nodes=20).integrate(drive, baseline)
    captum = LayerIntegratedGradients(OneResponse(), network.first_layer)
    for cell in range(3):
        theirs = captum.attribute(clips, target=cell, n_steps=20, method="gausslegendre")[:, 0]
        attribution = ours.difference * ours.weight[:, cell]
        assert (attribution - theirs).abs().max() < 1e-5 * attribution.abs().max()


def test_the_published_rule_takes_the_right_ends_of_nine_intervals() -> None:
    network = random_network("channel")
    drive, baseline = ends(network, "noise")
    found, _ = paths_of(network, rule="right", nodes=10, max_nodes=10).integrate(drive, baseline)
    steps = torch.linspace(0, 1, 10)
    for cell in range(3):
        total = torch.zeros_like(drive)
        for i in range(1, 10):
            z = (baseline + steps[i] * (drive - baseline)).requires_grad_()
            (gradient,) = torch.autograd.grad(network.upper(z)[:, cell].sum(), z)
            total += gradient * (steps[i] - steps[i - 1]) * (drive - baseline)
        attribution = found.difference * found.weight[:, cell]
        assert (attribution - total).abs().max() < 1e-5 * total.abs().max()
    assert (found.nodes == 10).all()


@pytest.mark.parametrize("rule", ["gauss_legendre", "trapezoid", "midpoint", "left", "right"])
def test_every_rule_converges_to_the_exact_integral(rule: Any) -> None:
    network = random_network("channel").double()
    drive, baseline = (end.double() for end in ends(network.float(), "noise"))
    network.double()
    closed, _ = paths_of(network).integrate(drive, baseline)
    coarse, fine = (paths_of(network, rule=rule, nodes=n, max_nodes=n).integrate(drive, baseline)[0] for n in (64, 1024))
    errors = [(other.weight - closed.weight).abs().max() / closed.weight.abs().max() for other in (coarse, fine)]
    assert errors[1] < 4e-3
    assert errors[1] < errors[0] / 4


def test_doubling_reaches_the_tolerance_for_every_path_and_cell() -> None:
    network = random_network("channel", seed=1)
    drive, baseline = ends(network, "noise")
    tolerance = 3e-4 * float(network.upper(drive).detach().max())
    result = paths_of(network, rule="gauss_legendre", nodes=4).within(tolerance).by_drive(drive, baseline)
    residual = (result.difference[:, None] * result.weight).sum(dim=(2, 3, 4)) - (result.response - result.baseline_response)
    assert residual.abs().max() <= tolerance
    assert torch.allclose(residual, result.error)
    assert len(result.nodes.unique()) > 1  # some frames need more than others


def test_closed_form_of_a_one_layer_network() -> None:
    """For scale sum_i w_i relu(x_i) the attribution to unit i is scale w_i (relu(x_i) - relu(x0_i)), on any side of the layer."""
    network = random_network("lnln")
    drive, baseline = ends(network, "noise")
    rectifiers = rectifiers_of(network, drive)
    first, first_0 = rectifiers.first(drive.double()), rectifiers.first(baseline.double())
    expected = rectifiers.scale[:, None, None, None] * rectifiers.readout * (first.relu() - first_0.relu())[:, None]
    for layer in ("convolution", "normalized", "rectified"):
        found, _ = paths_of(network, "lnln", target="input", layer=layer).integrate(drive, baseline)
        assert (found.difference[:, None] * found.weight - expected).abs().max() < 1e-6 * expected.abs().max()


def test_the_sides_of_the_layer_have_one_attribution_but_their_own_weights() -> None:
    network = random_network("unit")
    drive, baseline = ends(network, "natural")
    found = {
        layer: paths_of(network, "unit", layer=layer).integrate(drive, baseline)[0]
        for layer in ("convolution", "normalized", "rectified")
    }
    attributions = {layer: f.difference[:, None] * f.weight for layer, f in found.items()}
    for other in ("normalized", "rectified"):
        assert torch.allclose(attributions[other], attributions["convolution"], atol=1e-12)
        assert not torch.allclose(found[other].weight, found["convolution"].weight)


def test_float32_and_float64_agree() -> None:
    network = random_network("channel")
    drive, baseline = ends(network, "natural")
    single, _ = paths_of(network).integrate(drive, baseline)
    network.double()
    with torch.no_grad():
        exact_drive = network.first_layer(movie("natural").double()[None])[0]
    double, _ = paths_of(network).integrate(exact_drive, baseline.double())
    attributions = [f.difference[:, None] * f.weight for f in (single, double)]
    assert (attributions[0] - attributions[1]).abs().max() < 1e-5 * attributions[1].abs().max()


def test_a_chain_and_the_kernel_that_it_amounts_to_have_equal_attributions() -> None:
    """Implementation invariance: the links of `stacked`, one after the other, against the collapsed network."""
    network = random_network("stacked").double()
    assert isinstance(network, stacked.Stacked)
    drive, baseline = ends(network.float(), "noise")
    network.double()
    drive, baseline = drive.double(), baseline.double()

    def chained(z: Tensor) -> Tensor:
        h = network.norm_1(z).relu()
        for link in network.second_layer.links:
            h = nn.functional.conv2d(h, link.weight)
        return network.rate_scale * nn.functional.softplus(network.norm_3(network.readout(network.norm_2(h).relu())))

    ours, _ = paths_of(network, "stacked", rule="gauss_legendre", nodes=64, max_nodes=64).integrate(drive, baseline)
    theirs = quadrature.integrate(chained, drive, baseline, "gauss_legendre", 64, 64, 0.0)
    assert (ours.weight - theirs.weight).abs().max() < 1e-9 * ours.weight.abs().max()


def test_a_dead_unit_has_no_attribution_and_equal_units_have_equal_ones() -> None:
    network = random_network("channel")
    assert isinstance(network, bn_cnn.BNCNN)
    with torch.no_grad():
        for tensor in (network.first_layer.weight, network.norm_1.weight, network.norm_1.bias, network.norm_1.running_mean):
            tensor[1] = tensor[0]
        network.norm_1.running_var[1] = network.norm_1.running_var[0]
        network.second_layer.weight[:, 1] = network.second_layer.weight[:, 0]
        network.second_layer.weight[:, 2] = 0
    drive, baseline = ends(network, "noise")
    found, _ = paths_of(network).integrate(drive, baseline)
    attribution = found.difference[:, None] * found.weight
    assert (attribution[:, :, 2] == 0).all()
    assert torch.allclose(attribution[:, :, 0], attribution[:, :, 1], rtol=0, atol=1e-12)
    assert attribution[:, :, 0].abs().max() > 0


def test_threads_change_nothing() -> None:
    network = random_network("unit")
    drive, baseline = ends(network, "noise")
    results = [attributor(network, "bn_cnn", GEOMETRY.shape, QUICK, threads).by_drive(drive, baseline) for threads in (1, 3)]
    assert torch.equal(results[0].weight, results[1].weight)


def test_rescale_is_complete_and_all_measures_agree_where_nothing_bends() -> None:
    network = random_network("channel")
    drive, baseline = ends(network, "noise")
    paths = paths_of(network)
    change = (network.upper(drive) - network.upper(baseline)).detach().double()
    assert (measures.rescale(paths, drive, baseline).sum(2) - change).abs().max() < 1e-5 * change.abs().max()
    lost = measures.ablation(paths, drive, baseline)
    without = drive.clone()
    without[:, 2] = baseline[:, 2]
    assert torch.allclose(lost[:, :, 2].float(), (network.upper(drive) - network.upper(without)).detach(), atol=1e-5)
    # With all rectifiers open and the softplus's input as target, the network is linear: all say the same.
    with torch.no_grad():
        network.norm_1.bias.fill_(100.0)  # type: ignore[operator,union-attr]
        network.norm_1.weight.fill_(0.1)  # type: ignore[operator,union-attr]
        network.norm_2.bias.fill_(1e4)  # type: ignore[operator,union-attr]
        network.norm_2.weight.fill_(0.1)  # type: ignore[operator,union-attr]
    linear = paths_of(network, target="input")
    integral, _ = linear.integrate(drive, baseline)
    channels = torch.einsum("ncyx,nkcyx->nkc", integral.difference, integral.weight)
    for measure in (measures.gradient, measures.ablation, measures.rescale):
        assert torch.allclose(measure(linear, drive, baseline).double(), channels, atol=1e-3 * float(channels.abs().max()))


@pytest.mark.parametrize("probe", ["omitted_flash", "latency", "motion_reversal", "motion_anticipation"])
def test_every_probe_is_complete_and_sums_as_its_symmetry_says(probe: str) -> None:
    network, config = random_network("channel", seed=2), CONFIGS["channel"]
    movies = drawn(GEOMETRY, registry.load("probe", probe).Config(), probe).isel(condition=slice(0, 3), time=slice(0, 60))
    found = attribute(model_tree(network, config), movies, QUICK).gather().to_dataset()
    largest = float(found["response"].max())
    assert float(abs(found["completeness_error"]).max()) < 1e-12 * largest
    space = [d for d in ("y", "x") if d in found["attribution"].dims]
    change = (found["response"] - found["baseline_response"]).transpose("condition", "time", "cell")
    assert float(abs(found["attribution"].sum(["channel", *space]) - change).max()) < 1e-5 * largest
    assert float(abs((found["excitation"] + found["suppression"]).sum("channel") - change).max()) < 1e-5 * largest
    product = (found["drive"] * found["effective_weight"]).transpose(*found["attribution"].dims)
    np.testing.assert_allclose(product, found["attribution"], atol=1e-4 * float(abs(found["attribution"]).max()))
    full = attribute(model_tree(network, config), movies.assign_attrs(symmetry=""), QUICK).gather().to_dataset()
    reduced = full["attribution"].sum([d for d in ("y", "x") if d not in space])
    np.testing.assert_allclose(found["attribution"], reduced, atol=1e-5 * float(abs(reduced).max()))


def test_a_symmetry_that_is_not_there_is_refused_with_its_violation() -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    with pytest.raises(RetmechError, match=r"uniform along y and x.*varies by \d"):
        attribute(tree, probe_of(movie("bar"), "y x"), QUICK)
    attribute(tree, probe_of(movie("bar"), "y"), QUICK)


def test_pieces_of_any_size_give_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    probe = probe_of(torch.stack([movie("noise"), movie("bar")]))
    asked = AttributeSettings(layer_2=True, pixels={"mine": PixelSettings(cells=["b"], times=[0.15, 0.19])})
    whole = attribute(tree, probe, asked, "mine").gather()
    monkeypatch.setattr(stage, "PIECE_BYTES", 7 * 8 * 3 * 4 * 64)
    pieces = attribute(tree, probe, asked, "mine")
    assert len(list(attribute(tree, probe, asked, "mine").parts)) == 6 + 2
    path = tmp_path / "attributions.nc"
    io.write_pieces(pieces, schemas.ATTRIBUTIONS, path, Provenance())
    stored = io.read(path, schemas.ATTRIBUTIONS)
    for node in whole.subtree:
        for name, values in node.data_vars.items():
            if name == "nodes":  # where switches coincide, rounding decides how many segments there are
                continue
            size = float(abs(values).max())
            np.testing.assert_allclose(
                stored[node.path][name], values, rtol=0, atol=1e-5 * size + 1e-12, err_msg=f"{node.path} {name}"
            )
    lazy = io.read(path, schemas.ATTRIBUTIONS, lazy=True)
    np.testing.assert_array_equal(lazy["response"], stored["response"])


def test_a_part_that_is_not_valid_leaves_no_file(tmp_path: Path) -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    pieces = attribute(tree, probe_of(movie("flash"), "y x"), QUICK)
    broken = (part.map_over_datasets(lambda data: -data if "excitation" in data else data) for part in pieces.parts)
    with pytest.raises(FileError, match="excitation"):
        io.write_pieces(Pieces(pieces.header, broken), schemas.ATTRIBUTIONS, tmp_path / "a.nc", Provenance())
    assert list(tmp_path.iterdir()) == []


def test_baselines_begin_where_they_say() -> None:
    network = random_network("channel")
    tree, probe = model_tree(network, CONFIGS["channel"]), probe_of(torch.stack([movie("bar"), movie("flash")]), "y")
    found = {
        kind: attribute(tree, probe, AttributeSettings(compare=[], baseline=kind, frames={"latency": "onset"})).gather()
        for kind in ("grey", "mean", "blurred", "frame")
    }
    for result in found.values():
        assert float(abs(result["completeness_error"]).max()) < 1e-12 * float(result["response"].max())
    grey = float(network(torch.zeros(1, 10, 12, 12)).detach()[0, 0, 1])
    np.testing.assert_allclose(found["grey"]["baseline_response"].sel(cell="b"), grey, rtol=1e-5)
    assert found["mean"].attrs["symmetry"] == ""  # a mean frame is uniform nowhere
    mean = torch.from_numpy(tree["mean_frame"].values).expand(1, 10, -1, -1)
    np.testing.assert_allclose(found["mean"]["baseline_response"][0, 3], network(mean)[0, 0].detach(), rtol=1e-5)
    at = found["frame"]["attribution"].isel(time=12)
    assert float(abs(at).max()) < 1e-6 * float(abs(found["frame"]["attribution"]).max())
    assert float(abs(found["frame"]["baseline_response"] - found["grey"]["response"].isel(time=12)).max()) < 1e-5
    blurred = found["blurred"]
    assert float(blurred["response"].std()) > float(blurred["baseline_response"].std()) > 0


def test_a_blurred_baseline_does_not_depend_on_the_pieces() -> None:
    network = random_network("channel")
    drives = Drives(network, probe_of(movie("noise")), "mine", np.zeros((12, 12), np.float32), AttributeSettings(blur_time=40))
    whole = drives.baseline_clip(Span(0, 0, 20), "blurred")
    part = drives.baseline_clip(Span(0, 7, 13), "blurred")
    np.testing.assert_allclose(part, whole[7 : 7 + len(part)], atol=1e-6)


@pytest.mark.parametrize("rule", ["exact", "gauss_legendre"])
def test_pixels_share_out_what_the_units_have(rule: Any) -> None:
    """Against integrated gradients on the pixels themselves, at the same nodes; the exact ones against many nodes."""
    network = random_network("channel")
    asked = AttributeSettings(compare=[], rule=rule, nodes=200, max_nodes=200)
    drives = Drives(network, probe_of(movie("noise")), "mine", np.zeros((12, 12), np.float32), asked)
    paths = attributor(network, "bn_cnn", GEOMETRY.shape, asked)
    found, change = pixel_attribution(drives, paths, Response(1, 0, 15))
    clip = torch.from_numpy(drives.clip(Span(0, 15, 16)))
    positions, weights = quadrature.rule_nodes("gauss_legendre", 200)
    clips = torch.stack([a * clip for a in torch.from_numpy(positions).float()]).requires_grad_()
    (gradients,) = torch.autograd.grad(network(clips)[:, 0, 1].sum(), clips)
    expected = (clip * torch.einsum("n,ntyx->tyx", torch.from_numpy(weights).float(), gradients)).flip(0)
    assert np.abs(found - expected.numpy()).max() < (1e-5 if rule == "gauss_legendre" else 0.03) * np.abs(found).max()
    if rule == "exact":
        assert found.sum() == pytest.approx(change, rel=1e-5)


def test_pixels_are_of_the_responses_that_are_asked_for() -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    probe = probe_of(torch.stack([movie("flash"), movie("noise")]))
    found = attribute(tree, probe, AttributeSettings(compare=[], pixels={"latency": PixelSettings()})).gather()
    response, pixels = found["response"], found["pixels"]
    for i, cell in enumerate("abc"):
        at = response.sel(cell=cell).where(response.sel(cell=cell) == response.sel(cell=cell).max(), drop=True)
        assert pixels["response_cell"].values[i] == cell
        assert pixels["response_time"].values[i] == at["time"].values[0]
        assert pixels["response_condition"].values[i] == at["condition"].values[0]
    for wrong, message in ((PixelSettings(cells=["d"]), "only a, b, c"), (PixelSettings(times=[9.0]), "only 20 frames")):
        with pytest.raises(RetmechError, match=message):
            attribute(tree, probe, AttributeSettings(pixels={"latency": wrong}))


def test_agreement_says_how_other_measures_compare() -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    found = attribute(tree, probe_of(movie("noise")), AttributeSettings()).gather()
    names = ["baseline mean", "baseline blurred", "gradient x activation", "ablation", "DeepLIFT rescale"]
    assert list(found["agreement"]["measure"].values) == names
    main = (found["excitation"] + found["suppression"]).sel(cell="b").values.ravel()
    for i in range(len(names)):
        other = found["alternatives/attribution"].isel(measure=i).sel(cell="b").values.ravel()
        assert float(found["agreement/correlation"][i, 1]) == pytest.approx(np.corrcoef(main, other)[0, 1], abs=1e-5)
    missing = found["agreement/incompleteness"].sel(cell="b").values
    assert (missing[[0, 1, 4]] < 1e-5).all()
    assert (missing[[2, 3]] > 1e-2).all()


class Smooth(ln.LN):
    """A network whose hidden layer is no rectifier: there is no closed form."""

    def upper(self, drive: Tensor) -> Tensor:
        return nn.functional.softplus(drive.tanh().flatten(1)[:, :3])


def test_a_network_of_other_nonlinearities_is_integrated_numerically() -> None:
    network = Smooth(ln.Config(history=100), GEOMETRY, 3).eval()
    with torch.no_grad():
        network.first_layer.weight.normal_()  # type: ignore[operator,union-attr]
        network.first_layer.weight.mul_(0.1)  # type: ignore[operator,union-attr]
        drive = network.first_layer(movie("noise")[None])[0]
    paths = attributor(network, "smooth", GEOMETRY.shape, QUICK).within(1e-4)
    found, _ = paths.integrate(drive, torch.zeros_like(drive[:1]))
    assert not paths.is_exact
    assert "Gauss-Legendre" in paths.rule
    assert found.error.abs().max() < 1e-4
    for key, value in (("layer", "rectified"), ("target", "input"), ("layer_2", True)):
        with pytest.raises(RetmechError, match=rf"attribute\.{key}.*rectifiers"):
            attributor(network, "smooth", GEOMETRY.shape, AttributeSettings.model_validate({key: value}))


class Mixing(Smooth):
    """Its upper layers look at the responses before."""

    def upper(self, drive: Tensor) -> Tensor:
        return super().upper(drive).cumsum(dim=0)


class Bent(Smooth):
    """Its first layer is not linear."""

    def __init__(self, config: ln.Config, geometry: Geometry, cells: int) -> None:
        super().__init__(config, geometry, cells)
        first = self.first_layer
        nn.init.normal_(first.weight)
        first.register_forward_hook(lambda module, inputs, output: output.square())


class Elsewhere(Smooth):
    """Its response is not that of its upper layers."""

    def forward(self, clip: Tensor, spikes: Tensor | None = None) -> Tensor:
        return super().forward(clip) + 1


@pytest.mark.parametrize(
    ("wrong", "why"), [(Mixing, "several times"), (Bent, "not affine"), (Elsewhere, "not what `upper` makes")]
)
def test_networks_that_are_not_spatial_above_their_first_layer_are_refused(wrong: type[Smooth], why: str) -> None:
    network = wrong(ln.Config(history=100), GEOMETRY, 3).eval()
    nn.init.normal_(network.first_layer.weight)
    with pytest.raises(RetmechError, match=why):
        attributor(network, "wrong", GEOMETRY.shape, QUICK)


def test_models_without_interneurons_or_with_memory_are_refused() -> None:
    for module in (ln, glm):
        config = module.Config(history=100, **({"spike_history": 50} if module is glm else {}))
        network = module.build(config, GEOMETRY, 3)
        with pytest.raises(RetmechError, match="has no interneurons"):
            attribute(model_tree(network, config), probe_of(movie("flash")), QUICK)
    with pytest.raises(RetmechError, match="own past spikes"):
        attributor(network, "glm", GEOMETRY.shape, QUICK)
    with pytest.raises(RetmechError, match="no second layer"):
        paths_of(random_network("lnln"), "lnln", layer_2=True)


def test_a_baseline_frame_must_be_in_the_probe() -> None:
    tree = model_tree(random_network("channel"), CONFIGS["channel"])
    for frame, message in (("offset", "no such event, only onset"), (3.0, "lasts 0.2 s")):
        asked = AttributeSettings(baseline="frame", frames={"latency": frame})
        with pytest.raises(RetmechError, match=message):
            attribute(tree, probe_of(movie("flash")), asked)


def test_an_integral_knows_its_error() -> None:
    weight = torch.ones(2, 1, 1, 1, 1, dtype=torch.float64)
    difference = torch.tensor([1.0, 3.0], dtype=torch.float64).view(2, 1, 1, 1)
    response = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    found = Integral.of(difference, weight, response, torch.zeros(1, 1, dtype=torch.float64), torch.ones(2, dtype=torch.int64))
    assert found.error.flatten().tolist() == [-1.0, 0.0]
