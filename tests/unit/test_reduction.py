"""Factorization and reduced models on matrices whose answer is known."""

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import TruncatedSVD

from retmech.circuit.reduced import curve, reduced_rate
from retmech.circuit.units import describe
from retmech.errors import RetmechError
from retmech.reduction.factors import matched_cosine, nonnegative, principal, restarts, stability
from retmech.settings import ReduceSettings
from retmech.stages.reduce import reduce


def planted(rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    loading = np.zeros((rank, 16))
    for k in range(rank):
        loading[k, rng.choice(16, 4, replace=False)] = rng.uniform(0.5, 1, 4)
    activation = rng.exponential(size=(400, rank)) * (rng.uniform(size=(400, rank)) < 0.4) * (1 + np.arange(rank))
    return activation @ loading + 0.01 * rng.uniform(size=(400, 16)), loading


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_planted_factors_are_found(rank: int) -> None:
    matrix, loading = planted(rank, seed=rank)
    runs = restarts(matrix, rank, 5, seed=0)
    assert runs[0].error <= min(run.error for run in runs)
    assert matched_cosine(runs[0].loading, loading) > 0.97
    assert stability(runs) > 0.97


def test_canonical_form_does_not_depend_on_the_initialization() -> None:
    matrix, _ = planted(3, seed=1)
    first, second = nonnegative(matrix, 3, 0), nonnegative(matrix, 3, 7)
    np.testing.assert_allclose(first.loading.sum(axis=1), 1)
    np.testing.assert_allclose(first.loading, second.loading, atol=0.02)
    assert (np.diff(first.activation.sum(axis=0)) <= 0).all()
    assert first.error == pytest.approx(
        np.linalg.norm(matrix - first.activation @ first.loading) / np.linalg.norm(matrix), rel=1e-12
    )


def test_principal_axes_are_those_of_scikit_learn() -> None:
    matrix = np.random.default_rng(0).normal(size=(200, 9)) @ np.diag(np.arange(1, 10))
    axes, error = principal(matrix, 4)
    svd = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(matrix)
    assert np.abs(np.abs(axes @ svd.components_.T) - np.eye(4)).max() < 1e-6
    residual = matrix - matrix @ axes.T @ axes
    assert error[-1] == pytest.approx(np.linalg.norm(residual) / np.linalg.norm(matrix), rel=1e-9)


def attributions(values: np.ndarray) -> xr.Dataset:
    dims = ("condition", "time", "cell", "channel")
    coords = {"condition": ["a"], "time": np.arange(values.shape[1]), "cell": ["c"], "channel": ["ch1", "ch2"]}
    data = {"attribution": values, "excitation": values.clip(min=0), "suppression": values.clip(max=0)}
    return xr.Dataset({name: (dims, v) for name, v in data.items()}, coords)


def test_reduce_separates_excitation_from_suppression() -> None:
    values = np.zeros((1, 40, 1, 2))
    values[0, :20, 0, 0], values[0, 20:, 0, 1] = 2.0, -3.0
    found = reduce({"p": attributions(values)}, ReduceSettings(rank=2, max_rank=2, restarts=2))
    assert found["loading"].sel(factor="factor1", sign="suppression", channel="ch2") == pytest.approx(1, abs=1e-3)
    assert found["loading"].sel(factor="factor2", sign="excitation", channel="ch1") == pytest.approx(1, abs=1e-3)
    assert found["activation"].values[25, 0] == pytest.approx(3, rel=1e-2)
    assert found["reconstruction_error"].values[-1] < 1e-2


def test_reduce_refuses_silence_and_impossible_ranks() -> None:
    with pytest.raises(RetmechError, match="all attributions are zero"):
        reduce({"p": attributions(np.zeros((1, 5, 1, 2)))}, ReduceSettings())
    with pytest.raises(RetmechError, match="at most 4 factors"):
        reduce({"p": attributions(np.ones((1, 50, 1, 2)))}, ReduceSettings(rank=5))


def test_all_channels_together_give_the_full_response() -> None:
    rng = np.random.default_rng(0)
    attribution, baseline = rng.normal(size=(3, 20, 2, 5)), np.array([1.0, 2.0])
    rate = attribution.sum(axis=-1) + baseline
    np.testing.assert_allclose(reduced_rate(attribution, baseline, range(5)), rate)
    correlation, explained = curve(attribution, rate, baseline, [3, 1, 0, 2, 4])
    assert correlation.shape == (2, 5)
    np.testing.assert_allclose(correlation[:, -1], 1)
    np.testing.assert_allclose(explained[:, -1], 1)
    assert correlation[0, 0] == pytest.approx(np.corrcoef(attribution[..., 0, 3].ravel(), rate[..., 0].ravel())[0, 1])


@pytest.mark.parametrize("polarity", [-1, 1])
def test_description_of_a_known_filter(polarity: int) -> None:
    lag = np.arange(40)[::-1] / 100
    course = np.exp(-(((lag - 0.08) / 0.02) ** 2)) - 0.5 * np.exp(-(((lag - 0.16) / 0.03) ** 2))
    y, x = np.mgrid[-3:4, -3:4]
    space = np.exp(-(x**2 + y**2) / 4)
    unit = describe(polarity * course[:, None, None] * space, lag)
    assert unit.polarity == polarity
    assert unit.time_to_peak == pytest.approx(0.08)
    assert unit.biphasic_index == pytest.approx(0.5, abs=0.02)
    assert unit.separability == pytest.approx(1)
    np.testing.assert_allclose(unit.temporal[:, None, None] * unit.spatial, polarity * course[:, None, None] * space, atol=1e-12)
