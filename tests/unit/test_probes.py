"""Stimuli are what is asked, and readouts give the right answer on cells whose answer is known."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from retmech import io, registry, schemas
from retmech.errors import RetmechError
from retmech.geometry import Geometry
from retmech.io import Provenance
from retmech.labels import geometry_of
from retmech.models.architectures import ln
from retmech.models.network import Network
from retmech.probes import (
    contrast_adaptation,
    latency,
    most_exciting,
    motion_anticipation,
    motion_reversal,
    natural_scene,
    object_motion,
    omitted_flash,
    paired_flash,
    polarity_reversal,
    recorded_movie,
    reversing_grating,
    step,
    white_noise,
)
from retmech.probes import movie as movie_probe
from retmech.probes._probe import bars, disc, sine_wave, slope, slope_error, square_wave
from retmech.settings import AttributeSettings
from retmech.stages.attribute import attribute
from retmech.stages.respond import respond
from retmech.stages.summarize import summarize
from retmech.stages.synthesize import drawn_from_defaults, synthesize
from tests.networks import CONFIGS, drawn, model_tree, random_network
from tests.networks import GEOMETRY as SMALL

GEOMETRY = Geometry((20, 24), 100.0, 50.0)


def response(probe: xr.Dataset, rate: np.ndarray) -> xr.DataArray:
    return xr.DataArray(rate[..., None], dims=("condition", "time", "cell"), coords={"time": probe["time"]})


def bump(time: np.ndarray, at: float, height: float = 20.0) -> np.ndarray:
    return height * np.exp(-0.5 * ((time - at) / 0.02) ** 2)


@pytest.mark.parametrize("name", [name for name in registry.names("probe") if drawn_from_defaults(name)])
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


@pytest.mark.parametrize(
    ("follows", "late", "expected", "verdict"),
    [("expected flash", 0, 1.0, "matches"), ("last flash", 0, 0.0, "differs"), ("expected flash", 35, 1.0, "matches")],
)
def test_omitted_flash_slope(follows: str, late: float, expected: float, verdict: str) -> None:
    """A burst is timed to what it follows, whether or not a larger late response to the last flash lies in the same window."""
    probe = drawn(GEOMETRY, omitted_flash.Config(), "omitted_flash")
    time, last = probe["time"].values, float(probe["last_flash"])
    after_flash = bump(time, last + 0.22, 20 if follows == "last flash" else late)
    own = [bump(time, last + p + 0.12) * (follows == "expected flash") for p in probe["period"].values[:-1]]
    rate = np.stack([*(burst + after_flash for burst in own), after_flash])
    found = omitted_flash.readout(response(probe, rate), probe)
    assert found["slope"].values[0] == pytest.approx(expected, abs=0.02)
    delay = probe["period"].values[:-1] * (follows == "expected flash") + (0.12 if follows == "expected flash" else 0.22)
    np.testing.assert_allclose(found["peak_time"].values[:-1, 0], delay, atol=1e-3)
    assert omitted_flash.verdict(probe.drop_vars(["stimulus", "x", "y"]).assign(found)).tolist() == [verdict]


def test_a_response_that_only_fades_after_the_last_flash_is_no_burst() -> None:
    probe = drawn(GEOMETRY, omitted_flash.Config(), "omitted_flash")
    time, last = probe["time"].values, float(probe["last_flash"])
    fading = 20 * np.exp(-np.clip(time - last, 0, None) / 0.1) * (time >= last)
    found = omitted_flash.readout(response(probe, np.tile(fading, (6, 1))), probe)
    assert np.isnan(found["slope"].values[0])
    assert omitted_flash.verdict(probe.drop_vars(["stimulus", "x", "y"]).assign(found)).tolist() == ["differs"]


def test_a_short_tail_and_periods_of_the_same_frames_are_harmless() -> None:
    probe = drawn(GEOMETRY, omitted_flash.Config(periods=[80, 82, 160], tail=10), "omitted_flash")
    np.testing.assert_allclose(probe["period"], [0.08, 0.16, np.nan])
    time, last = probe["time"].values, float(probe["last_flash"])
    rate = np.stack([*(bump(time, last + p + 0.2) for p in (0.08, 0.16)), 0 * time])
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


@pytest.mark.parametrize("burst", [30.0, 0.0])
def test_a_burst_at_reversal_is_told_from_the_second_pass(burst: float) -> None:
    """The bar goes twice over the cell; only a burst is at a fixed delay after the reversal."""
    probe = drawn(GEOMETRY, motion_reversal.Config(), "motion_reversal")
    time, at, speed = probe["time"].values, float(probe["reversal"]), float(probe["speed"])
    cell, latency_ = -80.0, 0.06

    def passes(position: np.ndarray) -> np.ndarray:
        """The response to the bar's place some time ago."""
        return 25 * np.exp(-0.5 * ((np.interp(time - latency_, time, position) - cell) / 60) ** 2)

    reversals = probe["reversal_position"].values[:-2]
    turned = [passes(p - speed * np.abs(time - at)) + bump(time, at + 0.15, burst) for p in reversals]
    rate = np.stack([*turned, passes(speed * (time - at)), passes(-speed * (time - at))])
    found = motion_reversal.readout(response(probe, rate), probe)
    verdict = motion_reversal.verdict(probe.drop_vars(["stimulus", "x", "y"]).assign(found)).tolist()
    if not burst:
        assert found["bursts"].values[0] == 0
        assert verdict == ["differs"]
        return
    np.testing.assert_allclose(found["burst_delay"].values[:-2, 0], 0.15, atol=0.01)
    assert np.isnan(found["ratio"].values[-2:, 0]).all()
    assert found["delay_spread"].values[0] < 0.01
    assert verdict == ["matches"]


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


def test_what_cannot_be_shown_is_refused_or_said(capsys: pytest.CaptureFixture[str]) -> None:
    probe = drawn(GEOMETRY, omitted_flash.Config(periods=[83, 120]), "omitted_flash")
    np.testing.assert_allclose(probe["period"], [0.08, 0.12, np.nan])
    assert capsys.readouterr().err == (
        "warning: omitted_flash.periods = 83 ms: the nearest that can be shown is 80 ms, which is used.\n"
    )
    probe = drawn(GEOMETRY, reversing_grating.Config(bars=[50, 100]), "reversing_grating")
    assert set(probe["bar"].values) == {100.0}
    assert "reversing_grating.bars = 50 um: the nearest that can be shown is 100 um" in capsys.readouterr().err
    for name, config in (
        ("motion_reversal", motion_reversal.Config(speed=1e5)),
        ("motion_anticipation", motion_anticipation.Config(speeds=[1e4, 1e5])),
    ):
        drawn(GEOMETRY, config, name)  # less than the field in a frame
        with pytest.raises(
            RetmechError, match=rf"{name}\.speeds? = 100000 um/s: crosses the field, 600 um, within a frame of 10 ms"
        ):
            drawn(Geometry((20, 24), 100.0, 25.0), config, name)
    with pytest.raises(RetmechError, match=r"reversing_grating\.bars = 2000 um: the field is only 1200 um wide"):
        drawn(GEOMETRY, reversing_grating.Config(bars=[2000]), "reversing_grating")


def filtered(movie: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What a linear cell makes of a time course (time,): lag 0 first."""
    return np.convolve(movie, kernel)[: len(movie)]


KERNEL = np.exp(-0.5 * ((np.arange(30) - 8) / 2.5) ** 2)


def test_an_ln_cell_has_the_latency_of_its_filter() -> None:
    probe = drawn(GEOMETRY, latency.Config(flash=10), "latency")
    rate = np.stack([5 * filtered(-movie, KERNEL).clip(min=0) for movie in probe["stimulus"].values[:, :, 0, 0].astype(float)])
    found = latency.readout(response(probe, rate), probe)
    seen = np.isfinite(found["peak_latency"].values[:, 0])
    assert seen.sum() >= 6
    np.testing.assert_allclose(found["peak_latency"].values[seen, 0], 0.08, atol=1e-3)
    assert found["slope"].values[0] == pytest.approx(0, abs=1e-3)
    assert latency.verdict(probe.drop_vars(["stimulus", "x", "y"]).assign(found)).tolist() == ["differs"]


def test_gain_control_anticipates_and_a_linear_cell_does_not() -> None:
    """Gain control after Berry et al. (1999): the response falls behind its own recent past."""
    probe = drawn(GEOMETRY, motion_anticipation.Config(speeds=[440, 880]), "motion_anticipation")
    x, velocity = probe["x"].values, probe["velocity"].values
    receptive_field = np.exp(-0.5 * ((x - 50) / 150) ** 2)
    kernel = KERNEL / KERNEL.sum()
    linear = np.stack([filtered(-line @ receptive_field, kernel) for line in probe["stimulus"].values[:, :, 0].astype(float)])
    recent = np.stack([filtered(r, np.exp(-np.arange(100) / 15) / 15) for r in linear])
    delay = float(np.arange(30) @ kernel) / 100
    leads = {}
    for name, rate in (("linear", 40 * linear), ("controlled", 40 * linear / (1 + 2 * recent) ** 2)):
        found = motion_anticipation.readout(response(probe, rate), probe)
        leads[name] = found["lead_time"].values[np.isfinite(velocity), 0]
    np.testing.assert_allclose(leads["linear"], -delay, atol=0.012)  # behind by its filter's delay
    assert (leads["controlled"] > leads["linear"] + 0.03).all()


@pytest.mark.parametrize("polarity", [1, -1])
def test_a_step_tells_polarity_and_transience(polarity: int) -> None:
    probe = drawn(GEOMETRY, step.Config(), "step")
    time, onset = probe["time"].values, float(probe["onset"])
    drive = polarity * probe["stimulus"].values[:, :, 0, 0]
    decay = np.exp(-(time - onset) / 0.2) * (time >= onset)
    found = step.readout(response(probe, 5 + 20 * drive.clip(min=0) * decay), probe)
    assert found["polarity"].values[0] == polarity
    own = 0 if polarity > 0 else 1
    assert found["transience"].values[own, 0] == pytest.approx(1, abs=0.01)
    sustained = step.readout(response(probe, 5 + 20 * drive.clip(min=0)), probe)
    assert sustained["transience"].values[own, 0] == pytest.approx(0, abs=0.01)
    both = step.readout(response(probe, 5 + 20 * np.abs(drive) * decay), probe)
    assert both["polarity"].values[0] == pytest.approx(0)


@pytest.mark.parametrize(("depression", "expected"), [(0.0, 1.0), (0.6, 0.4)])
def test_a_second_flash_is_as_strong_as_the_cell_makes_it(depression: float, expected: float) -> None:
    probe = drawn(GEOMETRY, paired_flash.Config(), "paired_flash")
    rate = []
    for interval, movie in zip(probe["interval"].values, probe["stimulus"].values[:, :, 0, 0], strict=True):
        flashes = np.flatnonzero(movie)
        drive = np.zeros(len(movie))
        drive[flashes] = 10.0
        if np.isfinite(interval):
            drive[flashes[-1]] *= 1 - depression * (interval < 0.1)
        rate.append(2 + filtered(drive, KERNEL))
    found = paired_flash.readout(response(probe, np.stack(rate)), probe)
    ratio, interval = found["ratio"].values[1:, 0], probe["interval"].values[1:]
    np.testing.assert_allclose(ratio[interval < 0.09], expected, atol=0.01)
    np.testing.assert_allclose(ratio[interval > 0.1], 1, atol=0.01)
    assert (found["recovery"].values[0] < -0.5) == (depression > 0)


def test_gratings_keep_their_period_contrast_and_shift() -> None:
    geometry = Geometry((8, 96), 100.0, 10.0)
    for wave in (square_wave, sine_wave):
        still, half = wave(np.array([0.0, 0.5]), 80.0, geometry)
        np.testing.assert_allclose(still, -half, atol=1e-12)
        np.testing.assert_allclose(still[:80], still[16:], atol=1e-12)  # the period
        quarter = wave(np.array(0.25), 80.0, geometry)
        np.testing.assert_allclose(quarter[4:], still[:-4], atol=1e-12)  # to the right
    assert set(np.round(square_wave(np.array(0.0), 80.0, geometry), 9)) == {-1.0, 1.0}
    assert np.abs(square_wave(np.array(0.013), 80.0, geometry)).max() <= 1 + 1e-12
    assert sine_wave(np.array(0.0), 80.0, geometry).max() == pytest.approx(np.sinc(10 / 160) * np.cos(np.pi / 16), rel=1e-9)
    area = disc(200.0, Geometry((50, 60), 100.0, 10.0)).sum() * 100
    assert area == pytest.approx(np.pi * 200**2, rel=2e-3)


@pytest.mark.parametrize("kind", ["X", "Y"])
def test_gratings_tell_x_from_y_cells(kind: str) -> None:
    geometry = Geometry((6, 64), 100.0, 25.0)
    probe = drawn(geometry, reversing_grating.Config(bars=[100, 200], phases=4), "reversing_grating")
    line = probe["stimulus"].values[:, :, 0]
    x = probe["x"].values
    if kind == "X":
        rate = 50 + 20 * (line @ np.exp(-0.5 * ((x - 30) / 60) ** 2))
    else:  # rectified subunits much smaller than a bar
        change = np.diff(line, axis=1, prepend=0)
        rate = 5 + 20 * np.stack([np.stack([filtered(c, KERNEL) for c in m.T]).clip(min=0).sum(axis=0) for m in change])
    found = reversing_grating.readout(response(probe, rate), probe)
    index = found["nonlinearity"].values[0]
    assert index < 0.1 if kind == "X" else index > 1
    if kind == "X":
        f1 = found["f1"].values[:, 0]
        later = rate[:, -150:]
        spectrum = np.abs(np.fft.rfft(later, axis=1))[:, 3] * 2 / 150
        np.testing.assert_allclose(f1, spectrum, atol=1e-9)


@pytest.mark.parametrize(("gain_at_low", "expected"), [(1.0, 1.0), (3.0, 3.0)])
def test_gain_control_is_found_in_the_filters(gain_at_low: float, expected: float) -> None:
    probe = drawn(GEOMETRY, contrast_adaptation.Config(draws=8), "contrast_adaptation")
    onset, period = (round(100 * float(probe[key])) for key in ("onset", "period"))
    rate = []
    for course in probe["contrast"].values.astype(float):
        gain = np.ones(len(course))
        gain[onset + period : onset + 2 * period] = gain_at_low
        rate.append(50 + 10 * gain * filtered(course, KERNEL))
    found = contrast_adaptation.readout(response(probe, np.stack(rate)), probe)
    assert found["gain_ratio"].values[0] == pytest.approx(expected, rel=0.1)
    assert abs(found["gain_ratio"].values[0] - expected) < 4 * found["gain_ratio_error"].values[0] + 0.05
    assert abs(found["speed_up"].values[0]) <= 0.021
    peak_lag = found["lag"].values[np.abs(found["filter"].values[1, :, 0]).argmax()]
    assert peak_lag == pytest.approx(0.08, abs=0.021)  # noise is held for three frames
    for i, contrast in enumerate((0.35, 0.05, 0.35)):
        part = probe["stimulus"].values[:, onset + i * period : onset + (i + 1) * period, 0, 0]
        np.testing.assert_allclose(part.std(axis=1), contrast, rtol=1e-5)
        np.testing.assert_allclose(part.mean(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize(("kind", "expected"), [("differential", 1.0), ("plain", 0.0)])
def test_object_motion_index(kind: str, expected: float) -> None:
    probe = drawn(GEOMETRY, object_motion.Config(draws=6), "object_motion")
    movie = probe["stimulus"].values.astype(float)
    middle = GEOMETRY.shape[0] // 2
    centre, edge = (np.abs(np.diff(movie[:, :, row], axis=1, prepend=0)).mean(axis=2) for row in (middle, 0))
    moved = probe["time"].values > float(probe["onset"]) - 0.005
    follows = np.abs(np.diff(movie[:, :, middle, 12], axis=1, prepend=0))
    rate = 2 + 0 * centre
    if kind == "plain":
        rate += 10 * follows * moved
    else:  # fires where centre and surround do not change together
        apart = probe["apart"].values[:, None] > 0
        rate += 10 * (apart & moved & (np.abs(centre - edge) > 1e-6))
    found = object_motion.readout(response(probe, rate), probe)
    assert found["index"].values[0] == pytest.approx(expected, abs=0.02)
    assert found["index_error"].values[0] < 0.05
    same = probe["stimulus"].values[:6][:, :, middle, 12], probe["stimulus"].values[6:][:, :, middle, 12]
    np.testing.assert_array_equal(*same)  # the centre's trajectories are the same in both


@pytest.mark.parametrize("sign", [1, -1])
def test_polarity_reversal_is_seen_in_the_filters(sign: int) -> None:
    config = polarity_reversal.Config(draws=10, shifts=8)
    probe = drawn(GEOMETRY, config, "polarity_reversal")
    time, onset, interval, window = probe["time"].values, *(float(probe[k]) for k in ("onset", "interval", "window"))
    after = (time >= onset - 1e-9) & ((time - onset) % interval < window)
    rate = np.stack([20 + 5 * filtered(c, KERNEL) for c in probe["centre"].values.astype(float)])
    shifted = probe["shift"].values > 0
    rate[shifted] += after * (40 + (sign - 1) * (rate[shifted] - 20))
    found = polarity_reversal.readout(response(probe, rate), probe)
    assert found["similarity"].values[0] * sign > 0.8
    movie = probe["stimulus"].values
    assert not np.array_equal(movie[10, -1, 0], movie[10, -1 - 90, 0])  # the periphery moves by a bar
    np.testing.assert_array_equal(movie[0, 1:, 0], np.broadcast_to(movie[0, 1, 0], movie[0, 1:, 0].shape))


def test_white_noise_finds_the_receptive_field_of_a_linear_cell() -> None:
    probe = drawn(GEOMETRY, white_noise.Config(check=50, duration=30), "white_noise")
    movie = probe["stimulus"].values[0].astype(float)
    rate = 20 - 6 * filtered(movie[:, 12, 5], KERNEL)
    found = white_noise.readout(response(probe, rate[None].clip(min=0)), probe)
    assert found["centre_x"].values[0] == pytest.approx(probe["x"].values[5])
    assert found["centre_y"].values[0] == pytest.approx(probe["y"].values[12])
    assert found["time_to_peak"].values[0] == pytest.approx(0.08, abs=0.011)
    assert found["polarity"].values[0] == -1
    with pytest.raises(RetmechError, match=r"white_noise\.check = 5000 um"):
        drawn(GEOMETRY, white_noise.Config(check=5000), "white_noise")


def test_sparseness_of_a_single_moment_and_of_a_steady_rate() -> None:
    probe = drawn(GEOMETRY, natural_scene.Config(duration=1), "natural_scene")
    movie = probe["stimulus"].values[0, 20:]
    assert movie.std() == pytest.approx(1, rel=1e-3)
    rate = np.zeros((1, probe.sizes["time"]))
    rate[0, 60] = 30
    assert natural_scene.readout(response(probe, rate), probe)["sparseness"].values[0] == pytest.approx(1)
    assert natural_scene.readout(response(probe, rate * 0 + 7), probe)["sparseness"].values[0] == pytest.approx(0)


@pytest.mark.parametrize("name", [name for name in registry.names("probe") if drawn_from_defaults(name)])
def test_a_cell_that_does_nothing_has_no_verdict(name: str) -> None:
    module = registry.load("probe", name)
    probe = drawn(GEOMETRY, module.Config(), name)
    rate = response(probe, np.full((probe.sizes["condition"], probe.sizes["time"]), 3.0))
    found = probe.drop_vars(["stimulus", "x", "y"]).assign(module.readout(rate, probe))
    if name == "natural_scene":  # a steady rate is a response, and not a sparse one
        assert module.verdict(found).tolist() == ["differs"]
    else:
        assert module.verdict(found).tolist() == ["no response"]
    assert module.CRITERION


def test_the_probe_in_the_guide_works_as_it_stands() -> None:
    guide = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    code = re.search(r"as `retmech/probes/flicker.py`:\n\n```python\n(.*?)```", guide, re.DOTALL)
    assert code
    module: dict[str, Any] = {"__name__": "flicker"}
    exec(code[1], module)
    made = module["stimulus"](module["Config"](), GEOMETRY)
    probe = xr.Dataset({"read": made.sweeps["read"]}, coords={"frequency": made.sweeps["frequency"]})
    time = np.arange(made.movies.shape[1]) / 100
    slow = np.stack([10 + 8 / (1 + f / 4) * made.movies[i][:, 0, 0] for i, f in enumerate(probe["frequency"].values)])
    rate = xr.DataArray(slow[..., None], dims=("condition", "time", "cell"), coords={"time": time})
    found = probe.assign(module["readout"](rate, probe))
    np.testing.assert_allclose(found["amplitude"].values[:, 0], 8 / (1 + probe["frequency"].values / 4), rtol=1e-6)
    assert module["verdict"](found).tolist() == ["matches"]


@pytest.mark.parametrize("name", [name for name in registry.names("probe") if drawn_from_defaults(name)])
def test_every_probe_is_answered_attributed_and_written(name: str, tmp_path: Path) -> None:
    model = model_tree(random_network("channel"), CONFIGS["channel"])
    path = tmp_path / f"{name}.nc"
    io.write_pieces(synthesize(SMALL, registry.load("probe", name).Config(), name), schemas.PROBE, path, Provenance())
    probe = io.read_dataset(path, schemas.PROBE, lazy=True)
    found = respond(model, probe)
    io.write(found, schemas.RESPONSE, tmp_path / "response.nc", Provenance())
    assert set(found["verdict"].values) <= {"matches", "differs", "no response"}
    part = probe.isel(condition=[-1], time=slice(0, 80))
    attributions = attribute(model, part, AttributeSettings(compare=[]), name).gather().to_dataset()
    np.testing.assert_allclose(attributions["response"], found["rate"].values[-1:, :80], rtol=1e-4, atol=1e-4)
    assert float(abs(attributions["completeness_error"]).max()) < 1e-10 * float(found["rate"].max())


def test_readouts_of_all_runs_are_one_table(tmp_path: Path) -> None:
    model = model_tree(random_network("channel"), CONFIGS["channel"])
    probe = drawn(SMALL, omitted_flash.Config(), "omitted_flash")
    found = respond(model, probe)
    found["slope"].values[:] = [0.9, np.nan, 1.1]
    table = summarize({("bn_cnn", "3", "omitted_flash"): found, ("ln", "1", "other"): found})
    io.write(table, schemas.READOUTS, tmp_path / "readouts.nc", Provenance())
    frame = table.to_dataframe()
    assert len(frame) == 6
    own = frame[(frame.model == "bn_cnn") & (frame.readout == "slope")].set_index("cell")
    assert own.loc["c", "value"] == pytest.approx(1.1)
    assert np.isnan(own.loc["b", "value"])
    assert set(own.seed) == {"3"}
    assert set(own.expected) == {1.0}
    assert own.loc["a", "verdict"] == found["verdict"].values[0]


def write_movie(path: Path, frames: np.ndarray) -> None:
    """A movie (time, y, x), uint8, in the format that the name says."""
    if path.suffix == ".npy":
        np.save(path, frames)
    elif path.suffix == ".nc":
        xr.Dataset({"frames": (("t", "row", "column"), frames)}).to_netcdf(path)
    else:
        codec = {".mp4": ("mpeg4", "yuv420p"), ".gif": ("gif", "rgb8")}[path.suffix]
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec[0], rate=50)
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], codec[1]
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, -1), format="rgb24")))
            container.mux(stream.encode())


@pytest.mark.parametrize("suffix", [".npy", ".nc", ".mp4", ".gif"])
def test_a_movie_of_ones_own_is_shown_as_it_is(suffix: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:20, :24]
    frames = np.stack([127 + 100 * np.sin((x + 2 * t) / 4) * np.cos(y / 5) for t in range(30)]).astype(np.uint8)
    path = tmp_path / f"wave{suffix}"
    write_movie(path, frames)
    probe = drawn(GEOMETRY, movie_probe.Config(path=str(path), contrast=2.0), "movie")
    shown = probe["stimulus"].values[0, 20:]
    assert shown.std() == pytest.approx(2, rel=1e-4)
    if suffix in {".mp4", ".gif"}:  # 50 frames a second, each shown twice
        assert len(shown) == 60
        shown = shown[::2]
    assert np.corrcoef(shown.ravel(), frames.ravel())[0, 1] > (0.9999 if suffix in {".npy", ".nc"} else 0.97)
    small = Geometry((10, 12), 100.0, 50.0)
    with pytest.raises(RetmechError, match=r"frames of 20 x 24 pixels; the recording has 10 x 12\. Set `resize: true`"):
        drawn(small, movie_probe.Config(path=str(path)), "movie")
    assert drawn(small, movie_probe.Config(path=str(path), resize=True), "movie")["stimulus"].shape[2:] == (10, 12)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.npy", None, "does not exist"),
        ("broken.mp4", b"no video", "cannot be read as a movie"),
        ("broken.npy", b"no numbers", "cannot be read as a movie"),
        ("broken.nc", b"no data", "cannot be read as a movie"),
        ("flat.npy", np.zeros((4, 4)), r"expected numbers \(time, y, x\); found float64 \(4, 4\)"),
        ("objects.npy", np.array([{"a": 1}], dtype=object), "cannot be read as a movie"),
        ("nan.npy", np.full((3, 20, 24), np.nan), "not finite"),
        ("grey.npy", np.full((3, 20, 24), 7.0), "all pixels are 7"),
    ],
)
def test_a_movie_that_is_none_is_refused(name: str, content: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    with pytest.raises(RetmechError, match=says) as error:
        drawn(GEOMETRY, movie_probe.Config(path=str(path)), "movie")
    assert str(path) in str(error.value)


def test_slope_ignores_conditions_without_a_response() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    y = np.stack([2 * x + 1, np.where(x == 2, np.nan, -x), np.where(x == 1, 5.0, np.nan)], axis=1)
    np.testing.assert_allclose(slope(x, y)[:2], [2, -1])
    assert np.isnan(slope(x, y)[2])
    rng = np.random.default_rng(0)
    noisy = 3 * x[:, None] + 0.1 * rng.normal(size=(4, 500))
    assert slope(x, noisy).std() == pytest.approx(np.sqrt((slope_error(x, noisy) ** 2).mean()), rel=0.1)


def test_a_recorded_movie_is_the_test_movie_with_the_rates_of_that_time(recording: xr.DataTree) -> None:
    config = recorded_movie.Config(start=0.5, duration=2.0, warm_up=200)
    probe = drawn(geometry_of(recording), config, "recorded_movie", recording)
    part = recording["naturalscene/test"].to_dataset().isel(time=slice(50, 250))
    mean, std = (float(recording[f"stimulus_{name}"]) for name in ("mean", "std"))
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


def climbed(network: Network, architecture: str, **settings: Any) -> xr.Dataset:
    config = most_exciting.Config(model="m", **settings)
    kind = CONFIGS["channel"] if architecture == "bn_cnn" else ln.Config(history=100)
    return drawn(SMALL, config, "most_exciting", model_tree(network, kind))


def test_the_most_exciting_movie_of_a_linear_cell_and_of_a_channel_is_the_filter() -> None:
    """The largest product with a filter, among movies of one norm, is that of the filter itself."""
    torch.manual_seed(1)
    cells = ln.build(ln.Config(history=100), SMALL, 3)
    torch.nn.init.normal_(cells.filters, std=0.01)
    network = random_network("channel")
    gain = network.channel_gain().sign()
    for found, filters in (
        (climbed(cells.eval(), "ln", low=-20, high=20), cells.filters.detach()),
        (
            climbed(network, "bn_cnn", low=-20, high=20, cells=[], channels=["ch1", "ch3"]),
            (network.filters * gain[:, None, None, None])[[0, 2]],
        ),
    ):
        movies = torch.from_numpy(found["stimulus"].values[:-1, -10:])
        size, kernel = movies.shape[-1], filters.shape[-1]
        start = (size - kernel + 1) // 2 if kernel < size else 0
        placed = torch.zeros_like(movies)
        placed[..., start : start + kernel, start : start + kernel] = filters.detach()
        cosine = torch.nn.functional.cosine_similarity(movies.flatten(1), placed.flatten(1))
        assert float(cosine.min()) > 0.999


@pytest.mark.parametrize("limits", [{}, {"low": -0.6, "high": 0.9, "contrast": 0.5}, {"contrast": 0.2, "window": 50}])
def test_most_exciting_movies_keep_norm_and_range_and_excite_more_than_noise(limits: dict[str, float]) -> None:
    network = random_network("channel")
    found = climbed(network, "bn_cnn", channels=["ch2"], **limits)
    assert found["condition"].values.tolist() == ["a", "b", "c", "ch2", "noise"]
    shown = found["stimulus"].values[:, round(float(found["onset"]) * 100) :].astype(np.float64)
    low, high = limits.get("low", -2.0), limits.get("high", 3.1)  # intensities 0 and 255 of a movie of 100 +- 50
    np.testing.assert_allclose(np.sqrt((shown**2).mean(axis=(1, 2, 3))), limits.get("contrast", 1.0), rtol=1e-3)
    assert shown.min() >= low - 1e-6
    assert shown.max() <= high + 1e-6
    response_ = respond(model_tree(network, CONFIGS["channel"]), found)
    own = np.diagonal(response_["window_rate"].values[:3])
    assert (own > 1.2 * response_["window_rate"].values[-1]).all()
    assert response_["noise_ratio"].values[-1] == pytest.approx(1)
    assert (response_["preference"].values > 1).all()
    assert response_["verdict"].values.tolist() == ["matches"] * 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cells": ["a", "z"]}, "most_exciting.cells = ['z']: the model has a, b, c"),
        ({"channels": ["ch9"]}, "most_exciting.channels = ['ch9']: the model has ch1, ch2, ch3, ch4"),
        ({"cells": []}, "neither cells nor channels"),
        ({"contrast": 5}, "the display's range, -2 to 3.1 sd, has no room for it"),
    ],
)
def test_what_cannot_be_climbed_is_said(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(RetmechError, match=re.escape(says)):
        climbed(random_network("channel"), "bn_cnn", **settings)
