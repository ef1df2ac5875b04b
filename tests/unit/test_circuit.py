"""Reduced circuits: their faithfulness, their choice, fixed weights, their export, and what is said of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retmech.attribution import measures
from retmech.attribution.path import attributor
from retmech.circuit import sentences
from retmech.circuit.curves import correlation
from retmech.circuit.description import effects, peak
from retmech.circuit.discriminate import discriminate
from retmech.circuit.faithfulness import faithfulness, moments, nested, on_all_probes, score
from retmech.circuit.module import ReducedCircuit
from retmech.circuit.rerun import rerun
from retmech.circuit.search import EXHAUSTIVE, best_of_size, by_factor, greedy, rival_of, scorer, smallest
from retmech.circuit.units import describe, in_words
from retmech.errors import RetmechError
from retmech.models.predict import after_grey
from retmech.settings import AttributeSettings, ExplainSettings, ReduceSettings
from retmech.stages.explain import Inputs, explain
from retmech.stages.export import export
from retmech.stages.reduce import reduce
from tests.networks import GEOMETRY, explained, movie, random_network

SETTINGS = ExplainSettings(random_draws=20, movie=0.3, discriminating=0.2)


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return explained("channel")


@pytest.fixture(scope="module")
def circuit(inputs: Inputs) -> xr.DataTree:
    return explain(inputs, SETTINGS)


def responses(seed: int, n_channels: int, cells: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Contributions (condition, time, cell, channel), baseline and response."""
    rng = np.random.default_rng(seed)
    contribution = rng.normal(size=(3, 40, cells, n_channels)) * rng.exponential(size=n_channels)
    baseline = np.full((3, 40, cells), 1.5)
    return contribution, baseline, contribution.sum(axis=-1) + baseline


@given(st.integers(0, 1000), st.integers(1, 6))
def test_faithfulness_from_moments_is_that_of_the_responses(seed: int, n_channels: int) -> None:
    contribution, baseline, response = responses(seed, n_channels)
    chosen = np.random.default_rng(seed).uniform(size=(4, n_channels)) < 0.6
    correlation, explained = faithfulness(moments(contribution, baseline, response), chosen)
    for i, own in enumerate(chosen):
        for k in range(2):
            reduced = contribution[:, :, k, own].sum(axis=-1) + baseline[:, :, k]
            r = np.corrcoef(reduced.ravel(), response[:, :, k].ravel())[0, 1] if own.any() else 0.0
            assert correlation[i, k] == pytest.approx(r, abs=1e-9)
            error = ((reduced - response[:, :, k]) ** 2).mean() / response[:, :, k].var()
            assert explained[i, k] == pytest.approx(1 - error, abs=1e-9)


def test_all_channels_together_give_the_full_response() -> None:
    correlation, explained = faithfulness(moments(*responses(0, 5)), np.ones((1, 5), bool))
    np.testing.assert_allclose([correlation, explained], 1)


def test_a_cell_that_does_not_respond_has_no_correlation_and_does_not_count() -> None:
    contribution, baseline, response = responses(1, 3)
    contribution[:, :, 1], response[:, :, 1] = 0, baseline[:, :, 1]
    found = on_all_probes({"p": moments(contribution, baseline, response)}, np.array([[True, False, False]]))
    assert np.isnan(found[0, 0, 1])
    assert score(found)[0] == pytest.approx(found[0, 0, 0])
    assert score(np.full((1, 2, 2), np.nan))[0] == -1


@pytest.mark.parametrize("n_channels", [8, EXHAUSTIVE + 8])
def test_the_smallest_circuit_is_found(n_channels: int) -> None:
    rng = np.random.default_rng(2)
    planted = np.sort(rng.choice(n_channels, 3, replace=False))
    probes = {}
    for name in ("a", "b"):
        contribution, baseline, _ = responses(ord(name), n_channels)
        contribution *= 0.05
        contribution[..., planted] *= 40
        probes[name] = moments(contribution, baseline, contribution.sum(axis=-1) + baseline)
    scored = scorer(probes)
    found = smallest(scored, n_channels, 0.98)
    np.testing.assert_array_equal(np.flatnonzero(found), planted)
    assert scored(found[None])[0] >= 0.98
    np.testing.assert_array_equal(best_of_size(scored, n_channels, 3), found)
    assert set(greedy(scored, n_channels)[:3].tolist()) == set(planted.tolist())
    rival = rival_of(scored, found)
    assert rival is not None
    assert (rival & found).sum() == 2
    assert rival.sum() == 3


def test_what_cannot_be_reached_takes_all_channels() -> None:
    contribution, baseline, response = responses(3, 4)
    found = {"p": moments(contribution, baseline, response + 20 * np.random.default_rng(0).normal(size=response.shape))}
    assert smallest(scorer(found), 4, 0.99).all()
    assert rival_of(scorer(found), np.ones(4, bool)) is None


def test_channels_are_ordered_factor_by_factor() -> None:
    loading = np.array([[0.1, 0.7, 0.0, 0.2], [0.6, 0.0, 0.3, 0.1]])
    assert by_factor(loading, np.array([1.0, 2.0])).tolist() == [0, 2, 1, 3]
    np.testing.assert_array_equal(nested([2, 0, 1], 3), [[False, False, True], [True, False, True], [True, True, True]])


@pytest.mark.parametrize("polarity", [-1, 1])
def test_description_of_a_known_filter(polarity: int) -> None:
    lag = np.arange(40)[::-1] / 100
    course = np.exp(-(((lag - 0.08) / 0.02) ** 2)) - 0.5 * np.exp(-(((lag - 0.16) / 0.03) ** 2))
    y, x = np.mgrid[-10:11, -10:11]
    radius = x**2 + y**2
    space = np.exp(-radius / (2 * 2**2)) - 0.1 * np.exp(-radius / (2 * 4**2))
    unit = describe(polarity * course[:, None, None] * space, lag)
    assert unit.polarity == polarity
    assert unit.time_to_peak == pytest.approx(0.08)
    assert unit.biphasic_index == pytest.approx(0.5, abs=0.02)
    assert unit.separability == pytest.approx(1)
    positive = space.clip(min=0)
    assert unit.extent == pytest.approx(2 * np.sqrt(positive.sum() / space.max() / np.pi))
    assert unit.surround_ratio == pytest.approx(-space.clip(max=0).sum() / positive.sum())
    np.testing.assert_allclose(unit.temporal[:, None, None] * unit.spatial, polarity * course[:, None, None] * space, atol=1e-12)
    assert in_words(unit.polarity, unit.time_to_peak, unit.biphasic_index) == f"{'ON' if polarity > 0 else 'OFF'}, fast, biphasic"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9)])
def test_a_filter_has_an_extent_where_it_has_space(shape: tuple[int, int]) -> None:
    space = np.array([[1.0]]) if shape == (1, 1) else np.array([[0, 0, -0.5, 1, 2, 1, -0.5, 0, 0]])
    unit = describe(np.array([0.0, 0.5, 1.0])[:, None, None] * space, np.arange(3)[::-1] / 100)
    np.testing.assert_allclose([unit.extent, unit.surround_ratio], [np.nan, np.nan] if shape == (1, 1) else [2, 0.25])


def test_a_peak_is_made_of_its_channels() -> None:
    net = np.zeros((2, 50, 3))
    net[1, 20:25] = [6.0, -2.0, 0.0]
    found = peak(net, net.sum(axis=-1), 100.0)
    assert (found.condition, found.change) == (1, pytest.approx(4 * 3 / 3 if found.time > 20 else 4 * 3 / 5))
    assert 20 <= found.time < 25
    np.testing.assert_allclose(found.share, [1.5, -0.5, 0])
    falling = peak(-net, -net.sum(axis=-1), 100.0)
    assert falling.change < 0
    assert np.isnan(peak(0 * net, 0 * net.sum(axis=-1), 100.0).share).all()


def test_a_trace_of_a_rise_is_no_largest_response() -> None:
    net = np.full((1, 50, 2), -5.0)
    net[0, 10] = [1e-6, 0]
    assert peak(net, net.sum(axis=-1), 100.0).change < -1
    silent = peak(1e-9 * net, 1e-9 * net.sum(axis=-1), 100.0)
    assert np.isnan(silent.share).all()


def test_rounding_is_not_correlated() -> None:
    rng = np.random.default_rng(0)
    response, noise = rng.normal(size=(2, 50, 2)), 7 + 1e-9 * rng.normal(size=(2, 50, 2))
    assert correlation(response, response) == pytest.approx(1)
    assert (correlation(noise, response) == 0).all()
    assert np.isnan(correlation(response, noise)).all()


@pytest.mark.parametrize("layer", ["first convolution, before batch norm", "first layer, after rectification"])
def test_a_channel_that_is_held_down_is_still_excitatory(layer: str) -> None:
    weight, drive = np.ones((1, 20, 1, 2)) * [3.0, -2.0], np.full((1, 20, 1, 2), -1.0)
    found = xr.Dataset({"effective_weight": (("condition", "time", "cell", "channel"), weight)}, attrs={"layer": layer})
    effect = effects({"p": found}, np.array([1.0, -1.0]))["effect"].values[0, 0]
    np.testing.assert_allclose(effect, [3, 2] if layer.startswith("first convolution") else [3, -2])
    assert (weight * drive).mean(axis=(0, 1))[0, 0] < 0  # what it does is inhibition, what it is not


def test_a_circuit_of_another_target_is_held_against_it() -> None:
    inputs = explained("channel", target="input")
    found = explain(inputs, SETTINGS)
    rate = inputs.attributions["bar"]["response"]
    own = found["circuit_correlation"].sel(probe="bar")
    reduced = found["probes/bar"]["reduced_rate"]
    np.testing.assert_allclose(
        own.sel(candidate="circuit"), correlation(reduced.sel(candidate="circuit").values, rate.values), rtol=1e-4
    )
    scale = random_network("channel").rate_scale.numpy()
    rates = scale * np.logaddexp(0, rate.values / scale)
    np.testing.assert_allclose(
        own.sel(candidate="circuit_fixed"), correlation(reduced.sel(candidate="circuit_fixed").values, rates), rtol=1e-3
    )


def test_quadrature_on_movies_stops_at_its_tolerance(inputs: Inputs) -> None:
    settings = AttributeSettings(rule="gauss_legendre", tolerance=0.05, compare=[])
    for attributions in inputs.attributions.values():
        attributions.attrs["settings"] = settings.model_dump_json()
    found = rerun(inputs.model, inputs.probes, inputs.attributions, np.ones((1, 4), bool), 1)
    for attributions in inputs.attributions.values():
        attributions.attrs["settings"] = AttributeSettings(compare=[]).model_dump_json()
    largest = max(float(abs(a["response"]).max()) for a in inputs.attributions.values())
    assert found.paths.tolerance == pytest.approx(0.05 * largest)


def test_fixed_weights_are_exact_where_the_network_is_such_a_circuit() -> None:
    """With one layer of rectifiers weights do not depend on the stimulus, so the circuit of all channels is the network."""
    inputs = explained("lnln")
    everything = np.ones(inputs.attributions["flash"].sizes["channel"], bool)
    found = rerun(inputs.model, inputs.probes, inputs.attributions, everything[None], 1)
    module = found.circuit(inputs.model, everything)
    for name, probe in inputs.probes.items():
        run = found.probes[name]
        np.testing.assert_allclose(found.fixed_rate(run, found.output(everything), everything), run.rate, rtol=1e-4, atol=1e-5)
        clip = torch.from_numpy(after_grey(probe["stimulus"].values[0], 10))
        torch.testing.assert_close(module(clip[None])[0].detach(), torch.from_numpy(run.rate[0]), rtol=1e-3, atol=1e-4)


def test_the_network_without_any_channel_answers_as_to_the_baseline() -> None:
    network = random_network("unit")
    paths = attributor(network, "bn_cnn", GEOMETRY.shape, AttributeSettings())
    with torch.no_grad():
        drive = network.first_layer(movie("natural")[None])[0]
        grey = network.first_layer(torch.zeros(1, network.history, *GEOMETRY.shape))[0]
        none, one = torch.zeros(2, 4, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
        torch.testing.assert_close(measures.without(paths, drive, grey, none)[:, 1], network.upper(drive))
        torch.testing.assert_close(measures.without(paths, drive, grey, one)[:, 0], network.upper(grey).expand(len(drive), -1))


def test_the_circuit_says_what_its_responses_say(inputs: Inputs, circuit: xr.DataTree) -> None:
    root = circuit.to_dataset()
    chosen = root["in_circuit"].values.astype(bool)
    for name, attributions in inputs.attributions.items():
        response = attributions["response"].values
        reduced = circuit[f"probes/{name}"]["reduced_rate"].sel(candidate="circuit").values
        net = (attributions["excitation"] + attributions["suppression"]).values[..., chosen].sum(axis=-1)
        np.testing.assert_allclose(reduced, net + attributions["baseline_response"].values, atol=1e-4)
        for k, cell in enumerate(root["cell"].values):
            r = np.corrcoef(reduced[..., k].ravel(), response[..., k].ravel())[0, 1]
            own = float(root["circuit_correlation"].sel(candidate="circuit", probe=name, cell=cell))
            assert own == pytest.approx(r, abs=1e-5)
    np.testing.assert_allclose(root["correlation"].values[..., -1], 1)
    np.testing.assert_allclose(root["peak_share"].sum("channel"), 1, atol=1e-5)
    network = random_network("channel")
    removed = torch.from_numpy(chosen[None])
    paths = attributor(network, "bn_cnn", GEOMETRY.shape, AttributeSettings())
    with torch.no_grad():
        drive = network.first_layer(torch.from_numpy(after_grey(inputs.probes["bar"]["stimulus"].values[0], 10))[None])[0]
        grey = network.first_layer(torch.zeros(1, 10, *GEOMETRY.shape))[0]
    without = measures.without(paths, drive, grey, removed)[:, 0].numpy()
    expected = correlation(without, inputs.attributions["bar"]["response"].values[0])
    np.testing.assert_allclose(root["circuit_ablation_correlation"].sel(probe="bar"), expected, atol=1e-4)
    if root["faithful"]:
        assert root["circuit_correlation"].sel(candidate="circuit").mean("cell").min() >= 0.9


def test_sentences_say_the_numbers_of_the_file(circuit: xr.DataTree) -> None:
    root = circuit.to_dataset()
    for sentence, cell in zip(sentences.of_probe(root, "flash"), root["cell"].values, strict=True):
        own = root.sel(probe="flash", cell=cell)
        said = {channel: int(share) for channel, share in re.findall(r"(ch\d+) \([^)]*?(-?\d+) %\)", sentence)}
        assert said
        for channel, share in said.items():
            assert share == round(100 * float(own["peak_share"].sel(channel=channel)))
        assert f"{float(own['peak_change']):+.1f} Hz around {float(own['peak_time']):.2f} s" in sentence
    assert f"has {int(root['in_circuit'].sum())} of 4 channels" in sentences.of_circuit(root)[0]
    assert len(list(sentences.of_factors(root))) == root.sizes["factor"]


def test_more_channels_than_there_are_are_refused(inputs: Inputs) -> None:
    with pytest.raises(RetmechError, match=r"explain\.channels = 9: the model has only 4 channels"):
        explain(inputs, ExplainSettings(channels=9))


@pytest.mark.parametrize("selection", ["smallest", "attribution", "factor", "greedy"])
def test_a_circuit_of_a_given_size(inputs: Inputs, selection: str) -> None:
    found = explain(inputs, SETTINGS.model_copy(update={"channels": 2, "selection": selection})).to_dataset()
    assert int(found["in_circuit"].sum()) == 2
    if selection != "smallest":
        order = found["order"].sel(selection=selection).values[:2]
        assert set(found["channel"].values[found["in_circuit"].values > 0]) == set(order)


def test_a_silent_model_has_a_defined_circuit(inputs: Inputs) -> None:
    silent = {
        name: a.map(lambda v: v * 0 if v.dtype.kind == "f" else v, keep_attrs=True) for name, a in inputs.attributions.items()
    }
    for name, attributions in silent.items():
        attributions.attrs = inputs.attributions[name].attrs
    reduction = reduce(silent, ReduceSettings(restarts=2, max_rank=2)).to_dataset()
    found = explain(Inputs(inputs.model, inputs.probes, silent, reduction, inputs.recording), SETTINGS).to_dataset()
    assert not found["faithful"]
    assert found["in_circuit"].values.all()
    assert np.isnan(found["circuit_correlation"].sel(candidate="circuit")).all()
    assert sentences.of_probe(found, "flash") == [f"In flash, {cell} does not respond." for cell in found["cell"].values]


def test_a_discriminating_movie_discriminates(circuit: xr.DataTree) -> None:
    found = circuit["discriminating"].to_dataset()
    assert (found["disagreement"] > found["noise_disagreement"]).all()
    assert found["intensity"].dtype == np.uint8
    assert found.sizes["time"] == 20 + 9
    assert found.sizes["response_time"] == 20


def test_its_contrast_is_what_is_asked() -> None:
    rng = torch.Generator().manual_seed(0)
    shapes = {"filters": (2, 5, 3, 3), "gain": (2, 6, 6), "bias": (2, 6, 6), "weight": (1, 2, 6, 6), "offset": (1,)}
    tensors = {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    tensors |= {"scale": torch.ones(1), "stimulus_mean": torch.tensor(128.0), "stimulus_std": torch.tensor(30.0)}
    other = tensors | {"weight": torch.randn(1, 2, 6, 6, generator=rng)}
    found = discriminate((ReducedCircuit(tensors), ReducedCircuit(other)), 20, (8, 8), 1.0, 0)
    assert float(found.movie.square().mean().sqrt()) == pytest.approx(1.0, rel=0.02)
    assert float(found.movie.abs().max()) <= 128 / 30 + 1e-5
    assert float(found.disagreement) > 2 * float(found.reference)


def test_the_exported_circuit_needs_no_retmech(circuit: xr.DataTree, tmp_path: Path) -> None:
    for name, content in export(circuit).items():
        (tmp_path / name).write_bytes(content)
    assert export(circuit) == export(circuit)
    found = circuit["discriminating"].to_dataset()
    program = (
        "import sys, numpy, torch\n"
        "from circuit import load\n"
        "circuit = load()\n"
        "movie = torch.from_numpy(numpy.load('discriminating.npy')).float()\n"
        "numpy.save('rate.npy', circuit(circuit.contrast(movie)[None])[0].numpy())\n"
        "assert not any(name.startswith('retmech') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    rate = np.load(tmp_path / "rate.npy")
    np.testing.assert_allclose(rate, found["rate"].sel(predictor="circuit"), rtol=0.05, atol=0.05 * rate.max())  # 8-bit movie
    about = json.loads((tmp_path / "circuit.json").read_text())
    assert about["cells"] == circuit["cell"].values.tolist()
    assert about["channels"] == circuit["channel"].values[circuit["in_circuit"].values > 0].tolist()
    own = circuit["circuit_correlation"].sel(candidate="circuit_fixed", probe="bar").values
    np.testing.assert_allclose(list(about["correlation with the network"]["bar"].values()), own, atol=1e-4)
    lines = (tmp_path / "channels.csv").read_text().splitlines()
    assert len(lines) == 1 + circuit.sizes["channel"]
    assert "time_to_peak (s)" in lines[0]
    assert len((tmp_path / "actions.csv").read_text().splitlines()) == 1 + 3 * 3 * 4


def test_held_out_movies_are_predicted_from_the_first_full_history_on(inputs: Inputs, circuit: xr.DataTree) -> None:
    found = circuit["movies/noise"].to_dataset()
    assert found.sizes["time"] == 30 - 9
    recorded = inputs.recording["noise/test"]["rate"].values[:, 9:30]
    np.testing.assert_allclose(found["recorded_rate"].values.T, recorded)
    r = np.corrcoef(found["rate"].values[1, :, 0], found["rate"].values[0, :, 0])[0, 1]
    assert float(found["model_correlation"].sel(predictor="circuit")[0]) == pytest.approx(r, abs=1e-5)
