"""Stimuli are what is asked, and readouts give the right answer on cells whose answer is known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from retmech import registry
from retmech.errors import RetmechError
from retmech.geometry import Geometry
from retmech.labels import geometry_of
from retmech.probes import latency, motion_anticipation, motion_reversal, omitted_flash, recorded_movie
from retmech.probes._probe import bars, slope
from retmech.stages.synthesize import takes_recording
from tests.networks import drawn

GEOMETRY = Geometry((20, 24), 100.0, 50.0)


def response(probe: xr.Dataset, rate: np.ndarray) -> xr.DataArray:
    return xr.DataArray(rate[..., None], dims=("condition", "time", "cell"), coords={"time": probe["time"]})


def bump(time: np.ndarray, at: float, height: float = 20.0) -> np.ndarray:
    return height * np.exp(-0.5 * ((time - at) / 0.02) ** 2)


@pytest.mark.parametrize("name", [name for name in registry.names("probe") if not takes_recording(name)])
def test_every_probe_has_the_symmetry_it_declares_and_starts_grey(name: str) -> None:
    probe = drawn(GEOMETRY, registry.load("probe", name).Config(), name)
    movie = probe["stimulus"]
    for axis in probe.attrs["symmetry"].split():
        assert bool((movie == movie.isel({axis: 0})).all()), "uniform to the bit"
    assert not movie.isel(time=0).values.any()
    assert movie.values.any(axis=(1, 2, 3)).all(), "every condition shows something"


@given(st.floats(-400, 400), st.floats(20, 300), st.floats(-3, 3))
def test_bars_keep_their_width_contrast_and_place_at_all_subpixel_positions(
    position: float, width: float, contrast: float
) -> None:
    line = bars(np.array([[position]]), width, contrast, GEOMETRY)[0][0, 0].astype(np.float64)
    assert line.sum() * GEOMETRY.pixel_size == pytest.approx(contrast * width, rel=1e-4, abs=1e-4)
    if abs(contrast) > 0.1:
        x = (np.arange(24) - 11.5) * GEOMETRY.pixel_size
        assert (line @ x) / line.sum() == pytest.approx(position, abs=GEOMETRY.pixel_size / 2)


def test_moving_bars_have_the_speed_asked_in_both_directions() -> None:
    probe = drawn(GEOMETRY, motion_anticipation.Config(width=150), "motion_anticipation")
    x, time = probe["x"].values, probe["time"].values
    for velocity, movie in zip(probe["velocity"].values, probe["stimulus"].values[:, :, 0], strict=True):
        mass = movie.sum(axis=1)
        inside = np.isclose(mass, mass.min(), rtol=1e-4)  # the whole bar is in the field
        if np.isfinite(velocity):
            assert np.polyfit(time[inside], (movie @ x)[inside] / mass[inside], 1)[0] == pytest.approx(velocity, rel=0.01)


@pytest.mark.parametrize(("follows", "expected"), [("expected flash", 1.0), ("last flash", 0.0)])
def test_omitted_flash_slope(follows: str, expected: float) -> None:
    probe = drawn(GEOMETRY, omitted_flash.Config(), "omitted_flash")
    time, last = probe["time"].values, float(probe["last_flash"])
    at = [last + (p if follows == "expected flash" else 0.1) + 0.12 for p in probe["period"].values]
    found = omitted_flash.readout(response(probe, np.stack([bump(time, t) for t in at])), probe)
    assert found["slope"].values[0] == pytest.approx(expected, abs=0.02)
    np.testing.assert_allclose(found["peak_time"].values[:, 0], np.array(at) - last, atol=1e-3)


def test_a_short_tail_and_periods_of_the_same_frames_are_harmless() -> None:
    probe = drawn(GEOMETRY, omitted_flash.Config(periods=[80, 82, 160], tail=10), "omitted_flash")
    np.testing.assert_allclose(probe["period"], [0.08, 0.16])
    rate = np.stack([bump(probe["time"].values, float(probe["last_flash"]) + p + 0.2) for p in probe["period"].values])
    assert omitted_flash.readout(response(probe, rate), probe)["slope"].values[0] == pytest.approx(1, abs=0.02)


def test_latency_of_a_cell_that_speeds_up_with_contrast() -> None:
    probe = drawn(GEOMETRY, latency.Config(contrasts=[0, -0.5, -1, -2]), "latency")
    time, onset = probe["time"].values, float(probe["onset"])
    delays = [0.13 - 0.05 * np.log10(abs(c)) for c in (-0.5, -1, -2)]
    rate = np.stack([0 * time, *(bump(time, onset + d) for d in delays)])
    found = latency.readout(response(probe, rate), probe)
    assert np.isnan(found["peak_latency"].values[0, 0])
    np.testing.assert_allclose(found["peak_latency"].values[1:, 0], delays, atol=1e-3)
    half = 0.02 * np.sqrt(2 * np.log(2))
    np.testing.assert_allclose(found["half_latency"].values[1:, 0], np.array(delays) - half, atol=2e-3)
    assert found["slope"].values[0] == pytest.approx(-0.05, abs=2e-3)


def test_a_burst_at_reversal_is_found_at_its_delay() -> None:
    probe = drawn(GEOMETRY, motion_reversal.Config(), "motion_reversal")
    time, at = probe["time"].values, float(probe["reversal"])
    rate = np.stack(
        [bump(time, at + 0.15, 30) if np.isfinite(p) else bump(time, at, 10) for p in probe["reversal_position"].values]
    )
    found = motion_reversal.readout(response(probe, rate), probe)
    np.testing.assert_allclose(found["peak_delay"].values[:-1, 0], 0.15, atol=0.01)
    np.testing.assert_allclose(found["ratio"].values[:-1, 0], 3, rtol=0.01)
    assert np.isnan(found["ratio"].values[-1, 0])
    assert found["delay_spread"].values[0] < 1e-6


@pytest.mark.parametrize("lead", [80.0, 0.0, -60.0])
def test_anticipation_lead_of_a_cell_at_a_known_place(lead: float) -> None:
    probe = drawn(GEOMETRY, motion_anticipation.Config(), "motion_anticipation")
    time, place = probe["time"].values, 100.0
    rate = np.zeros((probe.sizes["condition"], len(time)))
    for i, (x, v) in enumerate(zip(probe["position"].values, probe["velocity"].values, strict=True)):
        if np.isfinite(x):
            rate[i] = bump(time, float(probe["onset"]) + 0.06, 20 * np.exp(-0.5 * ((x - place) / 80) ** 2))
        else:
            rate[i] = bump(time, float(probe["crossing"]) + (place - lead * np.sign(v)) / v, 20)
    found = motion_anticipation.readout(response(probe, rate), probe)
    moving = np.isfinite(probe["velocity"].values)
    assert found["flash_centre"].values[0] == pytest.approx(place, abs=5)
    np.testing.assert_allclose(found["lead_distance"].values[moving, 0], lead, atol=10)
    assert np.isnan(found["lead_distance"].values[~moving]).all()


def test_slope_ignores_conditions_without_a_response() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    y = np.stack([2 * x + 1, np.where(x == 2, np.nan, -x), np.where(x == 1, 5.0, np.nan)], axis=1)
    np.testing.assert_allclose(slope(x, y)[:2], [2, -1])
    assert np.isnan(slope(x, y)[2])


def test_a_recorded_movie_is_the_test_movie_with_the_rates_of_that_time(recording: xr.DataTree) -> None:
    config = recorded_movie.Config(start=0.5, duration=2.0, warm_up=200)
    probe = drawn(geometry_of(recording), config, "recorded_movie", recording)
    part = recording["naturalscene/test"].to_dataset().isel(time=slice(50, 250))
    mean, std = (float(recording[f"naturalscene/stimulus_{name}"]) for name in ("mean", "std"))
    np.testing.assert_allclose(probe["stimulus"][0], (part["stimulus"] - mean) / std, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(probe["recorded_rate"], part["rate"])
    rate = xr.DataArray(
        probe["recorded_rate"].values.T[None] * 2 + 1, dims=("condition", "time", "cell"), coords={"time": probe["time"]}
    )
    rate[:, :20] = 0  # the warm-up does not count
    fires = probe["recorded_rate"].values[:, 20:].std(axis=1) > 0
    np.testing.assert_allclose(recorded_movie.readout(rate, probe)["correlation"].values, np.where(fires, 1, np.nan))


@pytest.mark.parametrize(
    ("changes", "message"), [({"stimulus": "films"}, "has only naturalscene, whitenoise"), ({"start": 2.5}, "lasts 2.99 s")]
)
def test_an_excerpt_that_is_not_there_is_refused(recording: xr.DataTree, changes: dict[str, object], message: str) -> None:
    config = recorded_movie.Config.model_validate({"duration": 1.0, **changes})
    with pytest.raises(RetmechError, match=message):
        drawn(geometry_of(recording), config, "recorded_movie", recording)
