"""Probes are found in recorded movies, and read with the uncertainty that trials really have."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech import io, schemas
from retmech.geometry import Geometry
from retmech.io import Provenance
from retmech.labels import cell_coordinate, geometry_variables, variable
from retmech.presentations import presentations
from retmech.probes import latency, most_exciting, omitted_flash
from retmech.probes._probe import Movies
from retmech.readouts import answered, answered_in_trials
from retmech.settings import ObserveSettings
from retmech.stages.observe import observe
from retmech.stages.summarize import summarize
from tests.networks import drawn

GEOMETRY = Geometry((6, 8), 100.0, 50.0)
MEAN, STD = 120.0, 40.0
CELL = cell_coordinate(["a", "b"])


def latency_probe() -> xr.Dataset:
    return drawn(GEOMETRY, latency.Config(contrasts=[-0.5, -1, -2]), "latency")


def bumps(probe: xr.Dataset, delays: np.ndarray) -> np.ndarray:
    """Rates (condition, time, cell) that peak at a delay after the onset; the second cell does nothing."""
    time = probe["time"].values - float(probe["onset"])
    first = 2 + 30 * np.exp(-0.5 * ((time - delays[:, None]) / 0.02) ** 2)
    return np.stack([first, np.full_like(first, 2.0)], axis=-1)


def recorded(shown: list[np.ndarray], rates: list[np.ndarray], n_trials: int, rng: np.random.Generator) -> xr.DataTree:
    """A recording whose test movie shows some movies (time, y, x) between noise, on a display of 256 intensities."""
    movie, rate = [], []
    for contrast, r in zip(shown, rates, strict=True):
        movie += [rng.normal(size=(37, *GEOMETRY.shape)), contrast]
        rate += [np.full((37, 2), 2.0), r]
    intensity = np.rint(np.clip(MEAN + STD * np.concatenate(movie), 0, 255)).astype(np.uint8)
    expected = np.concatenate(rate).T
    trials = rng.poisson(np.broadcast_to(expected, (n_trials, *expected.shape)) / 10) * 10.0
    test = xr.Dataset(
        {
            "stimulus": (("time", "y", "x"), intensity),
            "trial_rate": (("trial", "cell", "time"), trials.astype(np.float32)),
        }
    )
    root = xr.Dataset(geometry_variables(GEOMETRY) | {"stimulus_mean": MEAN, "stimulus_std": STD}, coords={"cell": CELL})
    noise = xr.Dataset(
        {"stimulus": test["stimulus"][:30], "trial_rate": test["trial_rate"][:, :, :30]},
    )
    return xr.DataTree.from_dict({"/": root, "/naturalscene/test": noise, "/probes/test": test})


def test_a_recorded_probe_is_found_and_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probe = latency_probe()
    delays = np.array([0.13, 0.11, 0.09])
    rates = bumps(probe, delays)
    order = [2, 0, 1, 2, 0, 1]
    movies = [probe["stimulus"].values[i] for i in order]
    recording = recorded(movies, [rates[i] for i in order], 20, rng)
    other = drawn(GEOMETRY, omitted_flash.Config(), "omitted_flash")
    found = observe(recording, {"dark": probe, "osr": other}, ObserveSettings())
    io.write(found, schemas.OBSERVED, tmp_path / "observed.nc", Provenance())
    assert list(found.children) == ["dark"]
    response = io.read(tmp_path / "observed.nc", schemas.OBSERVED).children["dark"].to_dataset()
    assert response["trials"].values.tolist() == [40, 40, 40]
    assert response.attrs["stimulus_class"] == "probes"
    np.testing.assert_allclose(response["rate"].values[..., 0], rates[..., 0], atol=6 * np.sqrt(32 * 10 / 40))
    error = response["peak_latency_error"].values[:, 0]
    assert ((error > 0) & (error < 0.02)).all()
    assert (np.abs(response["peak_latency"].values[:, 0] - delays) < 4 * error + 0.005).all()
    table = summarize({("recorded retina", "", "dark"): response}).to_dataframe()
    own = table[(table.cell == "a") & (table.readout == "slope")]
    assert own["value"].item() == pytest.approx(-0.04 / np.log10(4), abs=4 * own["error"].item())


def test_the_bootstrap_error_is_that_of_repeated_experiments() -> None:
    """The spread over many recordings of the same cell is what one of them says of itself."""
    rng = np.random.default_rng(1)
    probe = latency_probe()
    rates = bumps(probe, np.array([0.13, 0.11, 0.09]))

    def experiment() -> list[np.ndarray]:
        return [rng.poisson(np.broadcast_to(r, (25, *r.shape)) / 5) * 5.0 for r in rates]

    repeated = [answered(probe, np.stack([t.mean(axis=0) for t in experiment()]), CELL)["peak_rate"].values for _ in range(200)]
    true = np.std(repeated, axis=0)[:, 0]
    said = np.mean([answered_in_trials(probe, experiment(), CELL, 100, rng)["peak_rate_error"].values for _ in range(8)], axis=0)
    np.testing.assert_allclose(said[:, 0], true, rtol=0.35)


def test_a_probe_of_which_a_part_was_shown_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    probe = latency_probe()
    rates = bumps(probe, np.array([0.13, 0.11, 0.09]))
    recording = recorded([probe["stimulus"].values[0]], [rates[0]], 3, np.random.default_rng(0))
    assert not observe(recording, {"dark": probe}, ObserveSettings()).children
    assert "dark: 1 of its 3 movies are in probes" in capsys.readouterr().err


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(0, 2**31 - 1), st.booleans())
def test_every_presentation_is_found_once(order: list[int], seed: int, rounded: bool) -> None:
    """Whatever lies between them, also where movies differ in nothing but their contrast."""
    rng = np.random.default_rng(seed)
    template = rng.normal(size=(12, 4, 5)).astype(np.float32)
    shown = np.stack([template, 0.7 * template, rng.normal(size=template.shape)]).astype(np.float32)
    frames, onsets = [], []
    for condition in order:
        gap = int(rng.integers(0, 20))
        frames += [rng.normal(size=(gap, 4, 5)), shown[condition]]
        onsets.append(sum(map(len, frames)) - 12)
    movie = np.concatenate(frames)
    step = 1 / STD if rounded else 0.0
    movie = np.rint(movie / step) * step if rounded else movie
    found = presentations(movie.astype(np.float32), Movies(shown.shape, lambda i: shown[i]), 0.02, step)
    for condition in range(3):
        assert found[condition] == [o for o, c in zip(onsets, order, strict=True) if c == condition]


def test_the_difference_is_that_of_a_direct_sum() -> None:
    """A movie is found up to the tolerance and not beyond."""
    rng = np.random.default_rng(2)
    shown = rng.normal(size=(1, 10, 3, 3)).astype(np.float32)
    noise = rng.normal(size=(10, 3, 3))
    noise *= np.sqrt(0.05 * (shown**2).sum() / (noise**2).sum())
    movie = np.concatenate([rng.normal(size=(8, 3, 3)), shown[0] + noise, rng.normal(size=(8, 3, 3))]).astype(np.float32)
    movies = Movies(shown.shape, lambda i: shown[i])
    assert presentations(movie, movies, 0.051, 0.0) == [[8]]
    assert presentations(movie, movies, 0.049, 0.0) == [[]]
    assert presentations(movie[:9], movies, 0.5, 0.0) == [[]], "a movie that is too short shows none of it"


def test_preference_names_the_cells_own_movie() -> None:
    time = variable("time", np.arange(50) / 100, "s", "time")
    probe = xr.Dataset(
        {"window": variable((), 0.05, "s", "w"), "onset": variable((), 0.2, "s", "o")} | geometry_variables(GEOMETRY),
        coords={"condition": variable("condition", ["a", "b", "noise"], "1", "c"), "time": time},
        attrs={"probe": "most_exciting", "found": "", "source": ""},
    )
    rate = np.ones((3, 50, 2))
    rate[0, -5:, 0], rate[1, -5:, 0], rate[0, -5:, 1], rate[1, -5:, 1] = 20, 5, 9, 6
    found = answered(probe, rate, CELL)
    np.testing.assert_allclose(found["preference"], [4, 6 / 9])
    assert found["verdict"].values.tolist() == ["matches", "differs"]
    assert most_exciting.NOISE in probe["condition"].values
