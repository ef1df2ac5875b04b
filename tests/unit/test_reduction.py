"""Factorization on matrices whose factors are known, and on attributions that are degenerate."""

from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import NMF, TruncatedSVD

from benchmarks.planted import planted
from retmech.errors import RetmechError
from retmech.labels import cell_coordinate, variable
from retmech.reduction.alternatives import principal, time_errors
from retmech.reduction.factors import activations, matched_cosine, nonnegative, restarts, stability
from retmech.reduction.matrix import FLOOR, block_weights, signed_matrix, time_chunks
from retmech.reduction.prediction import LEAST, doubt
from retmech.reduction.rank import choose, judge, split_stability
from retmech.reduction.units import large_factors, unit_matrix
from retmech.settings import ReduceSettings
from retmech.stages.reduce import reduce

QUICK = {"restarts": 2, "max_rank": 3}


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_planted_factors_are_found(rank: int) -> None:
    matrix, loading = planted(rank, seed=rank)
    runs = restarts(matrix, rank, 5, np.random.default_rng(0))
    assert runs[0].error <= min(run.error for run in runs)
    assert matched_cosine(runs[0].loading, loading) > 0.97
    assert stability(runs) > 0.97
    assert split_stability(matrix, time_chunks(len(matrix)), rank, 2, seed=0) > 0.95


@pytest.mark.parametrize("rank", [2, 4, 6])
def test_their_number_is_found(rank: int) -> None:
    matrix, _ = planted(rank, seed=7)
    found = judge(matrix, time_chunks(len(matrix)), range(rank - 1, rank + 2), 5, seed=0).choose(0.9)
    assert found.rank == rank
    assert f"{rank} of {rank - 1} to {rank + 1}: lowest error on held-out entries" in found.reason


def test_a_rank_whose_factors_do_not_come_back_is_not_taken() -> None:
    errors = np.array([[0.9, 0.9], [0.5, 0.5], [0.1, 0.1]])
    found = choose([1, 2, 3], errors, np.array([1.0, 0.95, 0.5]), threshold=0.9)
    assert found.rank == 2
    assert found.reason.endswith("not stable: 3")


def test_where_no_factor_comes_back_there_is_one() -> None:
    found = choose([1, 2], np.array([[0.9, 0.9], [0.5, 0.5]]), np.array([0.4, 0.3]), threshold=0.9)
    assert found.rank == 1
    assert found.reason == "1: no number of factors comes back (agreement 0.40 at most)"


def test_canonical_form_does_not_depend_on_the_initialization() -> None:
    matrix, _ = planted(3, seed=1)
    first, second = (nonnegative(matrix, 3, np.random.default_rng(seed)) for seed in (0, 7))
    np.testing.assert_allclose(first.loading.sum(axis=1), 1)
    np.testing.assert_allclose(first.loading, second.loading, atol=0.02)
    assert (np.diff(first.activation.sum(axis=0)) <= 0).all()
    assert first.error == pytest.approx(
        np.linalg.norm(matrix - first.activation @ first.loading) / np.linalg.norm(matrix), rel=1e-12
    )
    np.testing.assert_allclose(activations(matrix, first.loading), first.activation, atol=0.05)


def test_principal_axes_are_those_of_scikit_learn() -> None:
    matrix = np.random.default_rng(0).normal(size=(200, 9)) @ np.diag(np.arange(1, 10))
    axes = principal(matrix, 4)
    svd = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(matrix)
    assert np.abs(np.abs(axes @ svd.components_.T) - np.eye(4)).max() < 1e-6
    assert (axes[np.arange(4), np.abs(axes).argmax(axis=1)] > 0).all()


def test_methods_are_scored_on_times_that_they_have_not_seen() -> None:
    matrix, _ = planted(3, seed=2)
    errors = {name: float(e.mean()) for name, e in time_errors(matrix, time_chunks(len(matrix)), 3, seed=0).items()}
    assert errors["pca"] == pytest.approx(errors["nmf"], abs=0.02)  # the factors span the same space
    assert errors["nmf"] < errors["dictionary"] < errors["kmeans"] < 1


@given(st.lists(st.just(0.0) | st.floats(1e-12, 1e3), min_size=1, max_size=8), st.integers(1, 50))
def test_blocks_have_the_same_sum_of_squares_unless_they_are_far_weaker(power: list[float], size: int) -> None:
    rows = np.arange(1, len(power) + 1) * size
    weights = block_weights(np.array(power), rows)
    assert (weights > 0).all()
    total = weights**2 * rows * np.array(power)
    strong = np.array(power) >= FLOOR**2 * max(power)
    if max(power) > 0:
        np.testing.assert_allclose(total[strong], rows.sum() / len(power))
        assert (total[~strong] <= rows.sum() / len(power)).all()


def test_a_large_matrix_is_factorized_as_well_as_a_small_one() -> None:
    matrix, loading = planted(4, seed=3, rows=2500, columns=60)
    found = large_factors(matrix.astype(np.float32), 4, np.random.default_rng(0))
    reference = NMF(4, init="random", solver="cd", max_iter=1000, random_state=0).fit(matrix)
    assert found.error <= 1.02 * reference.reconstruction_err_ / np.linalg.norm(matrix)
    assert found.error == pytest.approx(
        np.linalg.norm(matrix - found.activation @ found.loading) / np.linalg.norm(matrix), rel=1e-2
    )
    assert matched_cosine(found.loading, loading) > 0.97


@pytest.mark.parametrize("seed", range(5))
def test_no_factor_of_a_large_matrix_dies_among_silent_rows(seed: int) -> None:
    matrix, _ = planted(4, seed=3, rows=2000, noise=0.0)
    rng = np.random.default_rng(seed)
    matrix[rng.uniform(size=2000) < 0.85] = 0
    assert min(large_factors(matrix.astype(np.float32), 4, rng).error for _ in range(2)) < 0.05
    assert large_factors(np.zeros((30, 5), np.float32), 2, rng).error == 0


def attributions(values: NDArray[np.floating], channels: int = 2) -> xr.Dataset:
    """Attributions (condition, time, cell, channel, ...) as the stage before leaves them."""
    space = [str(d) for d in ("y", "x")[: values.ndim - 4]]
    dims = ("condition", "time", "cell", "channel")
    coords = {
        "condition": variable("condition", [f"c{i}" for i in range(values.shape[0])], "1", "condition"),
        "time": variable("time", np.arange(values.shape[1]) / 100, "s", "time"),
        "cell": cell_coordinate([f"cell{i + 1}" for i in range(values.shape[2])]),
        "channel": variable("channel", [f"ch{i + 1}" for i in range(channels)], "1", "channel"),
        **{axis: variable(axis, np.arange(n, dtype=float), "um", axis) for axis, n in zip(space, values.shape[4:], strict=True)},
    }
    over = tuple(range(4, values.ndim))
    data = {
        "attribution": ((*dims, *space), values.astype(np.float32)),
        "excitation": (dims, values.clip(min=0).sum(axis=over)),
        "suppression": (dims, values.clip(max=0).sum(axis=over)),
    }
    return xr.Dataset(data, coords)


def two_channels() -> NDArray[np.float64]:
    values = np.zeros((1, 40, 1, 2))
    values[0, ::2, 0, 0], values[0, 1::2, 0, 1] = 2.0, -3.0
    return values


def test_reduce_separates_excitation_from_suppression() -> None:
    found = reduce({"p": attributions(two_channels())}, ReduceSettings(rank=2, max_rank=2, restarts=2))
    assert found["loading"].sel(factor="factor1", sign="suppression", channel="ch2") == pytest.approx(1, abs=1e-3)
    assert found["loading"].sel(factor="factor2", sign="excitation", channel="ch1") == pytest.approx(1, abs=1e-3)
    assert found["activation"].values[25, 0] == pytest.approx(3, rel=1e-2)
    assert found["reconstruction_error"].values[-1] < 1e-2


def test_no_probe_drowns_another() -> None:
    weak, strong = np.zeros((1, 40, 1, 2)), np.zeros((2, 90, 1, 2))
    weak[..., 0], strong[..., 1] = 1.0, 8.0
    probes = {"weak": attributions(weak), "strong": attributions(strong)}
    equal = reduce(probes, ReduceSettings(rank=2, **QUICK))
    shares = (equal["weight"] ** 2 * (equal["activation"] ** 2).sum("factor")).groupby(equal["probe"]).sum()
    assert float(shares.sel(probe="weak")) == pytest.approx(float(shares.sel(probe="strong")), rel=1e-3)
    unweighted = reduce(probes, ReduceSettings(rank=1, weighting="none", **QUICK))
    assert unweighted["loading"].sum("sign").values[0, 1] > 0.95
    assert (unweighted["weight"] == 1).all()


def test_factors_of_units_keep_their_places() -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((2, 2, 3, 3))  # (factor, channel, y, x): one excites by the first channel, one suppresses by the second
    maps[0, 0], maps[1, 1] = rng.uniform(0.5, 1, size=(3, 3)), -rng.uniform(0.5, 1, size=(3, 3))
    course = rng.exponential(size=(1, 60, 2, 2)) * (rng.uniform(size=(1, 60, 2, 2)) < 0.5)
    values = np.einsum("ctkf,fhyx->ctkhyx", course, maps)
    probes = {"p": attributions(values)}
    weight = rng.uniform(0.5, 2, 120)
    matrix = unit_matrix(probes, weight)
    split = np.concatenate([values.clip(min=0), -values.clip(max=0)], axis=3).reshape(120, -1)
    np.testing.assert_allclose(matrix, weight[:, None] * split, rtol=1e-5)
    found = reduce(probes, ReduceSettings(rank=2, units=["p"], **QUICK)).children["units"].to_dataset()
    assert found["loading"].dims == ("unit_factor", "sign", "channel", "y", "x")
    flat = np.concatenate([maps.clip(min=0).reshape(2, -1), -maps.clip(max=0).reshape(2, -1)], axis=1)
    assert matched_cosine(found["loading"].values.reshape(2, -1).astype(float), flat) > 0.999
    assert float(found["reconstruction_error"]) < 0.01


def test_units_must_have_the_same_axes() -> None:
    probes = {"flash": attributions(two_channels()), "movie": attributions(np.ones((1, 40, 1, 2, 2, 2)))}
    with pytest.raises(RetmechError, match="they kept flash: none, movie: y x"):
        reduce(probes, ReduceSettings(units=["flash", "movie"]))
    with pytest.raises(RetmechError, match="no such probe: bar; there are flash, movie"):
        reduce(probes, ReduceSettings(units=["bar"]))


@pytest.mark.parametrize("case", ["silence", "silent cell", "one response", "rank above the data's"])
def test_degenerate_attributions_have_defined_results(case: str) -> None:
    values = np.zeros((1, 30, 2, 2))
    settings: Mapping[str, object] = QUICK
    if case == "silent cell":
        values[:, :, 0] = two_channels()[:, :30, 0]
    elif case == "one response":
        values = np.ones((1, 1, 1, 2))
    elif case == "rank above the data's":
        values[..., 0] = np.arange(30)[None, :, None]
        settings = {**QUICK, "rank": 3}
    found = reduce({"p": attributions(values)}, ReduceSettings(**settings))
    for name, values_ in found.data_vars.items():
        assert name == "time_error" or np.isfinite(values_.values).all()
    np.testing.assert_allclose(found["loading"].sum(["sign", "channel"]).values[0], 0 if case == "silence" else 1)
    if case == "silence":
        assert found.sizes["factor"] == 1
        assert "all attributions are zero" in found.attrs["rank_choice"]
        assert doubt(found.dataset) == "all attributions are zero"
    elif case == "silent cell":
        assert (found["activation"].values[1::2] == 0).all()
        assert found.sizes["factor"] == 2
    elif case == "rank above the data's":
        assert found["reconstruction_error"].values.max() < 1e-3  # one factor is enough, and more do no harm


def test_factors_that_predict_nothing_hidden_are_no_result() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, 200, 2, 6))  # channels that have nothing to do with each other
    together = noise[..., :1] * rng.normal(size=6)
    settings = ReduceSettings(**QUICK)
    found, known = (reduce({"p": attributions(v, 6)}, settings).to_dataset() for v in (noise, together))
    assert float(found["predicted_share"]) < LEAST < 0.9 < float(known["predicted_share"])
    assert doubt(known) == ""
    error, null = float(found["held_out_error"].sel(rank=found.sizes["factor"]).mean()), float(found["null_error"].mean())
    assert doubt(found) == f"error {error:.2f}, of each channel's mean {null:.2f}; 1: nothing is predicted"
    assert float(found["predicted_share"]) == pytest.approx(1 - (error / null) ** 2)
    columns = np.concatenate([noise.clip(min=0), -noise.clip(max=0)], axis=-1).reshape(-1, 12)
    assert null == pytest.approx(np.sqrt(columns.var(axis=0).mean() / (columns**2).mean()), abs=0.02)


def test_reduce_refuses_impossible_ranks() -> None:
    with pytest.raises(RetmechError, match="at most 4 factors"):
        reduce({"p": attributions(np.ones((1, 50, 1, 2)))}, ReduceSettings(rank=5))


def test_the_signed_matrix_has_its_rows_in_the_order_of_their_coordinates() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 5, 3, 2))
    matrix = signed_matrix({"p": attributions(values)}, "channel", "none").values
    np.testing.assert_allclose(matrix[:, :2] - matrix[:, 2:], values.reshape(30, 2))
