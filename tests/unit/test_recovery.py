"""Planted pathways are found again, what is found is scored as a direct computation does, and chance is low."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech import io, schemas
from retmech.insilico.description import read_circuit
from retmech.insilico.retina import calibrated, to_dataset
from retmech.io import Provenance
from retmech.probes import latency, motion_reversal, step
from retmech.recovery import NONE, chance, grouped, moments, one_to_one, shares, similarity, weighted_mean
from retmech.report.recovery import sentences
from retmech.settings import AttributeSettings, ExplainSettings, RecoverSettings, ReduceSettings, TruthSettings
from retmech.stages import explain as explain_stage
from retmech.stages.attribute import attribute
from retmech.stages.explain import explain
from retmech.stages.recover import LEVELS, Inputs, recover
from retmech.stages.reduce import reduce
from retmech.stages.truth import truth
from tests.networks import CONFIGS, GEOMETRY, drawn, model_tree, random_network


def planted(n_channels: int, noise: float, seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Three probes of three pathways in four cells, each split among channels, and to which each channel belongs."""
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(3), rng.integers(3, size=n_channels - 3)])
    weights = rng.uniform(0.3, 1, n_channels)
    weights /= np.array([weights[groups == p].sum() for p in range(3)])[groups]
    probes = []
    for _ in range(3):
        true = np.maximum(rng.normal(size=(200, 4, 3)), 0) * rng.uniform(0.5, 2, (4, 3)) * np.array([1, -1, 1])
        found = true[:, :, groups] * weights + noise * rng.normal(size=(200, 4, n_channels))
        probes.append((found, true))
    return probes, groups


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(NONE, 2), min_size=6, max_size=6), st.integers(0, 1000))
def test_grouped_correlations_are_those_of_the_sums(groups: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, true = rng.normal(size=(50, 2, 6)), rng.normal(size=(50, 2, 3))
    r = moments(found, true).correlation(groups)
    for k in range(2):
        for p in range(3):
            member = np.array(groups) == p
            expected = np.corrcoef(found[:, k, member].sum(axis=1), true[:, k, p])[0, 1] if member.any() else 0.0
            assert r[k, p] == pytest.approx(expected, abs=1e-9)
            ratio = found[:, k, member].sum(axis=1).std() / true[:, k, p].std()
            assert moments(found, true).amplitude(groups)[k, p] == pytest.approx(ratio, abs=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_split_pathways_are_put_together_again(noise: float) -> None:
    probes, groups = planted(8, noise, 1)
    measured = [moments(found, true) for found, true in probes]
    assert grouped(measured, similarity(measured)).tolist() == groups.tolist()
    share = [shares(true) for _, true in probes]
    recovery = np.mean([weighted_mean(m.correlation(groups), s) for m, s in zip(measured, share, strict=True)])
    assert recovery > (0.999 if noise == 0 else 0.9)
    random = chance(list(zip(measured, share, strict=True)), 8, 300, 0)
    assert np.median(random) < 0.6 * recovery


def test_channels_that_do_something_else_stand_for_nothing() -> None:
    probes, groups = planted(6, 0.02, 2)
    rng = np.random.default_rng(0)
    other = [(np.concatenate([f, 3 * rng.normal(size=(200, 4, 2))], axis=-1), t) for f, t in probes]
    measured = [moments(found, true) for found, true in other]
    assert grouped(measured, similarity(measured)).tolist() == [*groups.tolist(), NONE, NONE]


def test_single_channels_are_matched_one_to_one() -> None:
    probes, _ = planted(3, 0.05, 3)
    swapped = [moments(found[:, :, [2, 0, 1]], true) for found, true in probes]
    assert one_to_one(similarity(swapped)).tolist() == [2, 0, 1]
    more = np.array([[0.1, 0.9], [0.8, 0.3], [0.2, 0.2]])
    assert one_to_one(more).tolist() == [1, 0, NONE]


def test_a_pathway_that_does_nothing_does_not_count() -> None:
    rng = np.random.default_rng(0)
    true = np.stack([rng.normal(size=(80, 2)), np.zeros((80, 2))], axis=-1)
    m = moments(true[..., :1] + 0.0, true)
    r = m.correlation([0])
    np.testing.assert_allclose(r[:, 0], 1)
    assert np.isnan(r[:, 1]).all()
    np.testing.assert_allclose(weighted_mean(r, shares(true)), 1)
    assert np.isnan(weighted_mean(np.full((1, 2), np.nan), np.ones((1, 2)))).all()


def test_recovery_of_a_network_is_typed_and_consistent(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = calibrated(read_circuit("three_pathway"), 3, 50.0, 100.0, 0.3 * rng.normal(size=(500, 12, 12)).astype(np.float32), 5.0)
    retina = to_dataset(made, ["a", "b", "c"])
    model = model_tree(random_network("channel"), CONFIGS["channel"])
    configs = {"latency": latency.Config(contrasts=[-1, -3]), "step": step.Config(), "motion_reversal": motion_reversal.Config()}
    probes = {name: drawn(GEOMETRY, config, name) for name, config in configs.items()}
    root = model.to_dataset()[["frame_rate", "pixel_size", "cell"]]
    recording = xr.DataTree(root.assign(stimulus_mean=127.5, stimulus_std=40.0))
    used = AttributeSettings(compare=[])
    attributions = {name: attribute(model, probe, used).gather().to_dataset() for name, probe in probes.items()}
    for a in attributions.values():
        a.attrs["settings"] = used.model_dump_json()
    reduction = reduce(attributions, ReduceSettings(rank=3, restarts=2, max_rank=3)).to_dataset()
    test = xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), rng.integers(0, 256, (60, 12, 12)).astype(np.uint8)),
            "rate": (("cell", "time"), rng.exponential(size=(3, 60)).astype(np.float32)),
        },
        coords={"time": np.arange(60) / 100},
    )
    shown = xr.DataTree.from_dict({"/": model.to_dataset()[["frame_rate", "pixel_size"]], "/noise/test": test})
    circuit = explain(explain_stage.Inputs(model, probes, attributions, reduction, shown), ExplainSettings(random_draws=10))
    found_truth = truth(retina, recording, probes, TruthSettings(nodes=16))
    found = recover(
        Inputs(model, retina, found_truth, probes, attributions, reduction, circuit.to_dataset()), RecoverSettings(draws=100)
    )
    io.write(found, schemas.RECOVERY, tmp_path / "recovery.nc", Provenance())
    np.testing.assert_allclose(found["share"].sum("pathway"), 1, rtol=1e-9)
    name, cell = "step", 1
    group = found["pathway_of_channel"].sel(probe=name).values
    net = (attributions[name]["excitation"] + attributions[name]["suppression"]).values[:, :, cell]
    for p, pathway in enumerate(retina["pathway"].values):
        own = net[:, :, group == pathway].sum(axis=-1).ravel().astype(np.float64)
        true = found_truth.children[name]["attribution"].values[:, :, cell, p].ravel().astype(np.float64)
        expected = np.corrcoef(own, true)[0, 1] if own.any() else 0.0
        assert float(found["correlation"].sel(level="group", probe=name)[cell, p]) == pytest.approx(expected, abs=1e-6)
    rate = found_truth.children[name]["rate"].values[:, :, cell].ravel()
    response = attributions[name]["response"].values[:, :, cell].ravel()
    assert float(found["response_correlation"].sel(probe=name)[cell]) == pytest.approx(
        np.corrcoef(rate, response)[0, 1], abs=1e-6
    )


def said(responses: dict[str, float], pathways: Sequence[str], memory: str = "") -> str:
    """What the report says of a recovery of 0.9 with given correlations of responses."""
    probes = list(responses)
    by_level = xr.DataArray(np.full((3, len(probes), 2), 0.9), dims=("level", "probe", "cell"))
    recovery = xr.Dataset(
        {
            "recovery": by_level,
            "shuffled_recovery": ("quantile", [0.05, 0.2, 0.4]),
            "shuffled_mean": 0.23,
            "untrained_recovery": ("probe", [0.1] * len(probes)),
            "response_correlation": (("probe", "cell"), [[r - 0.02, r + 0.02] for r in responses.values()]),
        },
        coords={"level": list(LEVELS), "probe": probes, "pathway": list(pathways)},
        attrs={"memory": memory},
    )
    return " ".join(sentences(recovery))


def test_the_report_names_the_probes_on_which_a_model_does_not_capture_the_retina() -> None:
    text = said(
        {"latency": 0.9, "motion_reversal": 0.61, "omitted_flash": 0.69}, ["a", "b"], "gain control in a; depression in b"
    )
    assert "does not capture the retina (r below 0.8) on motion_reversal (0.61), omitted_flash (0.69)." in text
    assert "latency (" not in text
    assert (
        "Outside the reach of a model whose first layer alone sees time: the retina's gain control in a; depression in b." in text
    )


def test_the_report_of_a_captured_retina_has_no_reservation() -> None:
    text = said({"latency": 0.95, "step": 0.97}, ["a", "b"])
    assert "correlate with the retina's own by 0.96 on average, at least 0.95 on every probe." in text
    assert "given to pathways at random 0.23, 0.05 to 0.40" in text
    assert "capture" not in text
    assert "reach" not in text


def test_one_pathway_cannot_be_mistaken_for_another() -> None:
    assert "random" not in said({"latency": 0.95}, ["only"])


def test_what_lies_outside_a_models_reach_is_known_from_the_circuit() -> None:
    assert read_circuit("ln").memory == read_circuit("three_pathway").memory == ""
    assert "depression" in read_circuit("adaptive").memory
    assert "gain control" in read_circuit("adaptive").memory
