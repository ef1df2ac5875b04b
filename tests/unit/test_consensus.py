"""Matching and grouping of channels whose partners and types are known."""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from retmech.errors import RetmechError
from retmech.reduction.consensus import Profiles, match, pooled, products, profiles
from retmech.reduction.matrix import channel_attribution
from retmech.reduction.types import group
from retmech.settings import ConsensusSettings
from retmech.stages.consensus import Finding, consensus
from retmech.stages.explain import Inputs
from tests.networks import explained

CHANNELS, LAGS = 6, 20


def run_of(rng: np.random.Generator, sources: NDArray[np.float64], filters: NDArray[np.float64], noise: float = 0.3) -> Profiles:
    """Channels (channel, block, time) with filters (channel, lag), each with noise of its own."""
    courses = sources + noise * rng.normal(size=sources.shape)
    return Profiles(tuple(courses.swapaxes(0, 1)), filters + noise * rng.normal(size=filters.shape))


def known(rng: np.random.Generator, count: int = CHANNELS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return rng.normal(size=(count, 5, 100)), rng.normal(size=(count, LAGS))


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_names_are_found_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sources, filters = known(rng)
    order = rng.permutation(CHANNELS)
    found = match(run_of(rng, sources, filters), run_of(rng, sources[order], filters[order]), 200, rng)
    np.testing.assert_array_equal(order[found.partner], np.arange(CHANNELS))
    assert found.mean > 0.85
    assert found.null.max() < found.mean - 0.15
    assert found.p_value == pytest.approx(1 / 201)


def test_models_that_have_nothing_in_common_match_as_shuffled_ones_do() -> None:
    rng = np.random.default_rng(0)
    p = [match(run_of(rng, *known(rng)), run_of(rng, *known(rng)), 99, rng).p_value for _ in range(20)]
    assert 0.2 < np.mean(p) < 0.8
    assert np.mean(np.array(p) <= 0.05) < 0.25


def test_the_similarity_is_the_mean_of_two_cosines() -> None:
    rng = np.random.default_rng(1)
    a, b = run_of(rng, *known(rng)), run_of(rng, *known(rng))
    found = products(a, b).similarity()
    x, y = np.concatenate([block[2] for block in a.courses]), np.concatenate([block[4] for block in b.courses])
    course = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    filter_ = a.filters[2] @ b.filters[4] / np.linalg.norm(a.filters[2]) / np.linalg.norm(b.filters[4])
    assert found[2, 4] == pytest.approx((course + filter_) / 2)


def test_a_channel_that_does_nothing_has_no_partner_and_no_type() -> None:
    rng = np.random.default_rng(2)
    sources, filters = known(rng)
    sources[3] = 0
    silent = Profiles(tuple(sources.swapaxes(0, 1)), filters)
    found = match(silent, run_of(rng, sources, filters), 50, rng)
    assert found.partner[3] == -1
    assert np.isnan(found.similarity[3])
    assert (np.delete(found.partner, 3) == np.delete(np.arange(CHANNELS), 3)).all()
    assert group(silent, 5, 0).label[3] == 0


def test_types_are_found_and_their_number_is_certain() -> None:
    rng = np.random.default_rng(3)
    sources, filters = known(rng, 3)
    kinds = np.array([0, 0, 0, 1, 1, 2])
    runs = [run_of(rng, sources[kinds], filters[kinds], noise=0.5) for _ in range(2)]
    found = group(pooled(runs), 8, 0)
    assert found.counts[found.silhouette.argmax()] == 3
    assert found.probability[found.counts == 3] > 0.9
    np.testing.assert_array_equal(found.label, np.tile([1, 1, 1, 2, 2, 3], 2))


def test_the_number_of_types_of_noise_is_not_certain() -> None:
    rng = np.random.default_rng(4)
    found = group(run_of(rng, *known(rng, 12)), 8, 0)
    assert found.probability.max() < 0.9


@pytest.mark.parametrize("over_cells", [False, True])
def test_profiles_weigh_blocks_alike(over_cells: bool) -> None:
    rng = np.random.default_rng(5)
    dims = ("condition", "time", "cell", "channel")
    weak, strong = (xr.DataArray(size * rng.normal(size=(2, 50, 3, 4)), dims=dims) for size in (1.0, 9.0))
    found = profiles({"weak": weak, "strong": strong}, rng.normal(size=(4, LAGS)), over_cells)
    assert len(found.courses) == (2 if over_cells else 6)
    power = [float((block**2).sum()) for block in found.courses]
    np.testing.assert_allclose(power, power[0])
    assert found.courses[0].shape == (4, 100)


SETTINGS = ConsensusSettings(draws=100)


def finding(seed: int = 0) -> Finding:
    inputs = cached(seed)
    return Finding(inputs.model, dict(inputs.attributions), inputs.reduction)


@cache
def cached(seed: int) -> Inputs:
    return explained("channel", seed)


def type_shares(found: Finding, label: np.ndarray) -> np.ndarray:
    """What each type's channels do together, over all rows at once."""
    net = np.concatenate([channel_attribution(a).values.reshape(-1, len(label)) for a in found.probes.values()])
    size = np.array([np.abs(net[:, label == t].astype(float).sum(axis=1)).sum() for t in range(1, label.max() + 1)])
    return size / size.sum()


def test_a_model_agrees_with_itself() -> None:
    found = consensus({"seed1": finding(), "seed2": finding()}, SETTINGS)
    for item in ("channel", "factor"):
        np.testing.assert_allclose(found[f"{item}_similarity"].sel(run="seed1", other="seed2"), 1)
        np.testing.assert_array_equal(found[f"{item}_partner"].sel(run="seed1", other="seed2"), found[item])
    np.testing.assert_allclose(found["factor_reproduction"], 1)
    np.testing.assert_array_equal(found["cell_type"][0], found["cell_type"][1])
    np.testing.assert_allclose(found["type_share"].sum("type"), 1)
    np.testing.assert_allclose(found["type_share"][0], type_shares(finding(), found["cell_type"].values[0]), rtol=1e-5)
    np.testing.assert_array_equal(found["type_counts"], found["type_share"].mean("run") >= 0.1)
    assert found.attrs["compared"] == "cell by cell"


def test_a_factor_that_a_run_does_not_have_is_not_judged() -> None:
    fewer = finding()
    fewer = Finding(fewer.model, fewer.probes, fewer.reduction.isel(factor=[0]))
    found = consensus({"seed1": finding(), "seed2": fewer}, SETTINGS)["factor_reproduction"]
    assert found.sel(run="seed2").isnull().values[1:].all()
    assert found.sel(run="seed1").values.min() == 0
    assert float(found.sel(run="seed2", factor="factor1")) > 0.95


def test_other_weights_agree_less() -> None:
    found = consensus({"seed1": finding(), "seed2": finding(), "seed3": finding(1)}, SETTINGS)
    similarity = found["channel_similarity"].mean("channel")
    assert similarity.sel(run="seed1", other="seed3") < similarity.sel(run="seed1", other="seed2") - 0.2
    there = found["channel_partner"].sel(run="seed1", other="seed3").to_series()
    back = found["channel_partner"].sel(run="seed3", other="seed1").to_series()
    pairs = {(channel, partner) for channel, partner in there.items() if partner}
    assert len(pairs) >= 3
    assert pairs == {(partner, channel) for channel, partner in back.items() if partner}


def test_recordings_are_compared_by_what_their_cells_have_in_common() -> None:
    first, second = finding(), finding()
    fewer = {name: a.isel(cell=[2, 0]).assign_coords(cell=["x", "y"]) for name, a in second.probes.items()}
    repeats = [a.sizes["condition"] * a.sizes["time"] for a in second.probes.values()]
    rows = np.tile(np.arange(3), sum(repeats))  # cells, which change fastest
    activation = second.reduction["activation"].values[rows != 1]
    reduction = second.reduction.drop_dims("row").assign(activation=(("row", "factor"), activation))
    found = consensus({"one/seed1": first, "two/seed1": Finding(second.model, fewer, reduction)}, SETTINGS)
    assert found.attrs["compared"] == "mean over the cells of each recording"
    np.testing.assert_array_equal(found["channel_partner"][0, 1], found["channel"])


def test_one_run_has_types_and_nothing_to_compare() -> None:
    found = consensus({"seed1": finding()}, SETTINGS)
    assert found["channel_similarity"].isnull().all()
    assert found["factor_reproduction"].isnull().all()
    assert (found["channel_partner"] == "").all()
    assert (found["cell_type"] > 0).all()


def test_runs_must_have_seen_the_same_probes() -> None:
    other = finding()
    del other.probes["flash"]
    with pytest.raises(RetmechError, match="seed2 was shown bar, natural; the first run flash, bar, natural"):
        consensus({"seed1": finding(), "seed2": other}, SETTINGS)
    longer = finding()
    longer.probes["flash"] = longer.probes["flash"].isel(time=slice(0, 20))
    with pytest.raises(RetmechError, match=r"flash of seed2 has .*20.* Compare equal probes"):
        consensus({"seed1": finding(), "seed2": longer}, SETTINGS)
