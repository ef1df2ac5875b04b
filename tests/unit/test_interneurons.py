"""Channels are found in the interneurons that they were planted in, at their place, and not in noise."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from retmech import io, schemas
from retmech.circuit.units import channel_filters
from retmech.errors import RecordingError
from retmech.interneurons import fitted
from retmech.io import Provenance
from retmech.models.store import load_network
from retmech.readers._interneurons import Interneurons, read_interneurons
from retmech.report import interneurons as on_the_page
from retmech.settings import CompareSettings
from retmech.stages.compare import compare
from tests.networks import CONFIGS, model_tree, random_network

PLACES = [(0, 3, 4), (2, 6, 2), (1, 0, 9)]  # channel, y, x


@pytest.fixture(scope="module")
def model() -> xr.DataTree:
    return model_tree(random_network("channel"), CONFIGS["channel"])


def reduction(model: xr.DataTree) -> xr.Dataset:
    """Two factors: one of channels 0 and 2, one of the others."""
    n = load_network(model).filters.shape[0]
    loading = np.zeros((2, 2, n), np.float32)
    loading[0, 0, [0, 2]] = 1, 2
    loading[1, 1, [c for c in range(n) if c not in (0, 2)]] = 1
    names = [f"ch{c + 1}" for c in range(n)]
    about = {"units": "1", "long_name": "name"}
    coords = {"channel": ("channel", names, about), "factor": ("factor", ["factor1", "factor2"], about)}
    return xr.Dataset({"loading": (("factor", "sign", "channel"), loading)}, coords=coords)


def planted(model: xr.DataTree, noise: float, lag: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A stimulus of noise, and potentials that are channels at some places (by a direct sum over the filter) and noise."""
    rng = np.random.default_rng(0)
    filters = channel_filters(load_network(model)).astype(float)
    _, history, high, wide = filters.shape
    movie = np.repeat(np.repeat(rng.integers(0, 2, (600, 6, 7)), 2, axis=1), 2, axis=2).astype(np.float32)
    centred = np.pad(movie - movie.mean(), ((0, 0), ((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2)))
    potentials = []
    for channel, y, x in PLACES:
        seen = centred[:, y : y + high, x : x + wide]
        drive = np.array([(filters[channel] * seen[t - history + 1 : t + 1]).sum() for t in range(history - 1, 600)])
        late = np.concatenate([np.zeros(history - 1 + lag), drive])[:600]
        potentials.append(late / drive.std() + noise * rng.normal(size=600))
    return movie, np.array(potentials)


def write(path: Path, stimuli: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    with h5py.File(path, "w") as file:
        for name, (movie, potential) in stimuli.items():
            file[f"{name}/stimuli"] = movie
            file[f"{name}/detrended_membrane_potential"] = potential
    return path


def settings(**paths: Path) -> CompareSettings:
    return CompareSettings(interneurons={name: {"path": str(path), "kind": name} for name, path in paths.items()}, draws=200)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_planted_channels_are_found_at_their_places(noise: float, model: xr.DataTree, tmp_path: Path) -> None:
    movie, potential = planted(model, noise)
    path = write(tmp_path / "bipolars.h5", {"boxes": (movie, potential)})
    other = write(tmp_path / "noise.h5", {"boxes": (movie, np.random.default_rng(1).normal(size=(4, 600)))})
    found = compare(model, reduction(model), settings(bipolar=path, noise=other))
    io.write(found, schemas.INTERNEURONS, tmp_path / "interneurons.nc", Provenance())
    expected = 1 / np.sqrt(1 + noise**2)
    for i, (channel, y, x) in enumerate(PLACES):
        assert str(found["best_channel"][i].item()) == f"ch{channel + 1}"
        np.testing.assert_allclose([found["position_y"][i], found["position_x"][i]], (np.array([y - 5.5, x - 6.5])) * 50)
        assert float(found["channel_correlation"][i, channel]) == pytest.approx(expected, abs=1e-4 if noise == 0 else 0.06)
    # Four channels have 24 orders, one of which is the right one.
    assert float(found["p_value"].sel(level="channel", set="bipolar")) < 0.1
    assert float(found["p_value"].sel(level="channel", set="noise")) > 0.1
    assert abs(float(found["correlation"].sel(level="channel", set="noise"))) < 0.12
    said = on_the_page.sentences(found)
    assert said[0].startswith("Correlation with the 3 bipolar cells of bipolar, mean of the best: channels")
    block = on_the_page.block(found)
    assert np.shape(block["correlation"]) == (len(block["neurons"]), len(block["columns"]))
    assert block["mean"][0][block["sets"].index("noise")] == pytest.approx(
        float(found["correlation"].sel(level=block["levels"][0], set="noise")), rel=1e-4
    )


def test_factors_are_sums_of_channels_of_unit_variance(model: xr.DataTree, tmp_path: Path) -> None:
    """The cell is twice channel 3 and once channel 1 at one place: the first factor is that, held out too."""
    filters = channel_filters(load_network(model)).astype(float)
    _, history, high, wide = filters.shape
    movie, _ = planted(model, 0)
    centred = np.pad(movie - movie.mean(), ((0, 0), ((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2)))
    seen = centred[:, 4 : 4 + high, 5 : 5 + wide]
    drives = np.array([[(f * seen[t - history + 1 : t + 1]).sum() for t in range(history - 1, 600)] for f in filters[[0, 2]]])
    drives /= drives.std(axis=1, keepdims=True)
    potential = np.concatenate([np.zeros(history), drives[0] + 2 * drives[1]])[:600]
    path = write(tmp_path / "cell.h5", {"boxes": (movie, potential[None])})
    found = compare(model, reduction(model), settings(bipolar=path))
    assert float(found["factor_correlation"][0, 0]) == pytest.approx(1, abs=2e-3)
    assert float(found["factor_correlation"][0, 1]) < 0.9


def test_stimuli_of_other_rates_sizes_and_layouts_are_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    movie, potential = rng.random((50, 4, 4)).astype(np.float32), rng.normal(size=(2, 50))
    slow = fitted(Interneurons("x", movie, potential), 2.0, 1.0)
    np.testing.assert_array_equal(slow.movie, np.repeat(movie, 2, axis=0))
    np.testing.assert_allclose(slow.potential, np.repeat(potential, 2, axis=1))
    fast = fitted(Interneurons("x", movie, potential), 0.5, 1.0)
    np.testing.assert_allclose(fast.potential, potential.reshape(2, 25, 2).mean(axis=2))
    assert fitted(Interneurons("x", movie, potential), 1.0, 2.0).movie.shape == (50, 8, 8)
    path = write(
        tmp_path / "a.h5",
        {"flash": (rng.random(90), rng.normal(size=(1, 90))), "lines": (rng.random((90, 20)), rng.normal(size=(1, 89)))},
    )
    flash, lines = read_interneurons(path)
    assert (flash.movie.shape, lines.movie.shape) == ((90, 38, 38), (89, 38, 20))
    xr.Dataset(
        {"stimulus": (("time", "y", "x"), movie), "membrane_potential": (("cell", "time"), potential)},
    ).to_netcdf(tmp_path / "own.nc")
    (own,) = read_interneurons(tmp_path / "own.nc")
    np.testing.assert_allclose(own.movie, movie - movie.mean(), atol=1e-6)
    assert [n.stimulus for n in read_interneurons(path, ["lines"])] == ["lines"]


def test_files_that_cannot_be_used_are_said(model: xr.DataTree, tmp_path: Path) -> None:
    movie, potential = planted(model, 1)
    path = write(tmp_path / "a.h5", {"boxes": (movie, potential)})
    with pytest.raises(RecordingError, match=r"a\.h5: /: expected stimuli bars, found boxes"):
        read_interneurons(path, ["bars"])
    for content, says in (
        ((np.ones((600, 4, 4)), potential), "expected a stimulus, found one that never changes"),
        ((movie, potential[0]), "expected 2 dimensions"),
        ((movie, potential[:, :100]), r"expected \(cell, 600\), a value for each frame"),
        ((movie, np.full((1, 600), np.nan)), "expected finite values"),
    ):
        with pytest.raises(RecordingError, match=says):
            read_interneurons(write(tmp_path / "b.h5", {"boxes": content}))
    short = write(tmp_path / "c.h5", {"boxes": (movie[:30], potential[:, :30])})
    with pytest.raises(RecordingError, match=r"four times the model's history, found 0\.3 s"):
        compare(model, reduction(model), settings(bipolar=short))
