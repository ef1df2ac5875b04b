"""The simulated retina does what its description says, and its own attributions are right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from retmech import io, schemas
from retmech.attribution.exact import integrate_last
from retmech.errors import ConfigError
from retmech.geometry import Geometry
from retmech.insilico.description import (
    CircuitDescription,
    Depression,
    GainControl,
    GanglionCell,
    Pathway,
    Spikes,
    Surround,
    circuit_names,
    read_circuit,
)
from retmech.insilico.kernels import pooling, temporal_kernel
from retmech.insilico.retina import Retina, calibrated, contrast_of, from_dataset, shown, to_dataset
from retmech.insilico.scenes import CONTRAST, MEAN_LUMINANCE, Gaze, images, natural_movie, spectrum_exponent, white_noise_movie
from retmech.insilico.spikes import counts, spike_train
from retmech.insilico.truth import attributed
from retmech.io import Provenance
from retmech.labels import variable
from retmech.models.rectifiers import Rectifiers
from retmech.probes import latency, motion_anticipation, motion_reversal, omitted_flash
from retmech.readouts import answered
from retmech.settings import TruthSettings
from retmech.stages.simulate import CALIBRATION
from retmech.stages.truth import truth
from tests.networks import drawn

SIZE, PIXEL, RATE = 10, 50.0, 100.0


def noise(n: int, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(n, SIZE, SIZE))).astype(np.float32)


def retina(description: CircuitDescription, cells: int = 3) -> Retina:
    return calibrated(description, cells, PIXEL, RATE, noise(600), 8.0)


def with_one(**changes: Any) -> CircuitDescription:
    pathway = Pathway(polarity=-1, time_to_peak=60, width=30, **changes)
    return CircuitDescription(pathways={"a": pathway}, cells=[GanglionCell(weights={"a": 1.0})])


@given(st.floats(40, 120), st.floats(0.3, 0.8), st.floats(0, 0.8), st.sampled_from([1, -1]))
def test_kernels_have_the_peak_and_the_biphasic_index_that_are_asked(peak: float, share: float, index: float, sign: int) -> None:
    pathway = Pathway(polarity=sign, time_to_peak=peak, width=share * peak, biphasic_index=index)
    kernel = sign * temporal_kernel(pathway, 1000.0)
    assert np.abs(kernel).sum() == pytest.approx(1)
    assert 1 + kernel.argmax() == pytest.approx(peak, abs=1.5), "ms, one bin before which is the response"
    if peak * (1 + 2 * share) < 150:  # the second lobe is there as a whole
        assert -kernel.min() / kernel.max() == pytest.approx(index, abs=0.02)


def test_a_delay_shifts_the_kernel() -> None:
    plain = Pathway(polarity=1, time_to_peak=40, width=20)
    late = plain.model_copy(update={"delay": 50.0})
    np.testing.assert_allclose(temporal_kernel(late, RATE)[5:], temporal_kernel(plain, RATE)[:-5], rtol=1e-6)
    assert not temporal_kernel(late, RATE)[:5].any()


def test_drive_is_a_direct_convolution() -> None:
    made = retina(with_one(biphasic_index=0.4, surround=Surround(radius=150, strength=0.6), centre=70))
    movie = noise(80, 1).astype(np.float64)
    blurred = [gaussian_filter(movie, (0, r / PIXEL, r / PIXEL), mode="constant", truncate=8) for r in (70, 150)]
    seen = blurred[0] - 0.6 * blurred[1]
    kernel = made.kernel(0)
    expected = np.zeros_like(movie)
    for lag, k in enumerate(kernel):
        expected[lag:] += k * seen[: len(seen) - lag]
    np.testing.assert_allclose(made.drive(movie, 0), expected, atol=1e-9)


def test_ganglion_cells_add_up_rectified_pathways() -> None:
    made = retina(read_circuit("three_pathway"))
    movie = noise(50, 2).astype(np.float64)
    current = np.zeros((50, 3)) - made.offset
    for p, (_, pathway) in enumerate(made.pathways):
        pool = pooling(pathway.pooling, 3, SIZE, PIXEL)
        passed = np.maximum(made.drive(movie, p) - made.threshold[p], 0)
        for k in range(3):
            current[:, k] += made.weight[k, p] * (passed * pool[k]).sum(axis=(1, 2))
    np.testing.assert_allclose(made.rate(made.inputs(movie)), made.gain * np.log1p(np.exp(current)), rtol=1e-9)


@pytest.mark.parametrize("name", circuit_names())
def test_calibration_gives_the_mean_rate_and_the_spread_that_are_asked(name: str) -> None:
    description = read_circuit(name)
    made = retina(description, 4)
    inputs = made.inputs(noise(600))
    np.testing.assert_allclose(made.rate(inputs).mean(axis=0), 8.0, rtol=1e-5)
    steepness = [description.cells[k % len(description.cells)].steepness for k in range(4)]
    np.testing.assert_allclose(made.current(inputs).std(axis=0), steepness, rtol=1e-4)


def test_gain_control_divides_by_its_own_past() -> None:
    made = retina(with_one(gain_control=GainControl(strength=2, time_constant=200)), 1)
    step = np.zeros((400, 1, 1))
    step[100:] = made.threshold[0] + 3 * made.level[0]
    passed = made.release(step, 0)[:, 0, 0] / made.level[0]
    recent = 3 * (1 - np.exp(-(np.arange(300) + 1) / (0.2 * RATE)))
    np.testing.assert_allclose(passed[100:], 3 / (1 + 2 * recent), rtol=1e-9)
    assert passed[:100].max() == 0


def test_depression_uses_the_pool_up_to_its_steady_state() -> None:
    made = retina(with_one(depression=Depression(release=4, recovery=500)), 1)
    step = np.full((1000, 1, 1), made.threshold[0])
    step[100:] += 2 * made.level[0]
    passed = made.release(step, 0)[:, 0, 0] / made.level[0]
    assert passed[100] == pytest.approx(2), "the pool is full"
    steady = 1 / (1 + 4 * 2 * 0.5)  # R = 1 / (1 + release use recovery), in continuous time
    assert passed[-1] / 2 == pytest.approx(steady, rel=0.05)
    assert (np.diff(passed[100:]) <= 1e-12).all()


@pytest.mark.parametrize("name", circuit_names())
def test_a_movie_in_chunks_is_answered_as_a_whole(name: str) -> None:
    made = retina(read_circuit(name))
    movie = np.random.default_rng(3).integers(0, 256, (300, SIZE, SIZE)).astype(np.uint8)
    chunks = list(shown(made, (movie[i : i + 70] for i in range(0, 300, 70))))
    np.testing.assert_array_equal(np.concatenate([frames for frames, _ in chunks]), movie)
    before = np.zeros((made.lead, SIZE, SIZE), np.float32)
    whole = made.rate(made.inputs(np.concatenate([before, contrast_of(movie)])))[made.lead :]
    np.testing.assert_allclose(np.concatenate([rate for _, rate in chunks]), whole, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", circuit_names())
def test_a_retina_in_a_file_is_the_same(name: str, tmp_path: Path) -> None:
    made = retina(read_circuit(name), 2)
    io.write(to_dataset(made, ["a", "b"]), schemas.RETINA, tmp_path / "retina.nc", Provenance())
    found = from_dataset(io.read_dataset(tmp_path / "retina.nc", schemas.RETINA))
    movie = noise(60, 4)
    np.testing.assert_array_equal(found.rate(found.inputs(movie)), made.rate(made.inputs(movie)))


@pytest.mark.parametrize("name", circuit_names())
def test_true_parts_add_up_to_the_change_of_the_rate(name: str) -> None:
    made = retina(read_circuit(name))
    found = attributed(made, noise(60, 5, 1.0), -0.02, 8)
    np.testing.assert_allclose(found.attribution.sum(axis=-1), found.rate - found.baseline_rate, atol=1e-9)
    finer = attributed(made, noise(60, 5, 1.0), -0.02, 64), attributed(made, noise(60, 5, 1.0), -0.02, 128)
    size = np.abs(finer[1].attribution).max()
    assert np.abs(finer[0].attribution - finer[1].attribution).max() < 2e-3 * size


def test_true_parts_are_those_of_the_exact_path_integral() -> None:
    """Without adaptation the retina is one layer of rectifiers, whose integral has a closed form."""
    made = retina(read_circuit("three_pathway"))
    movie = noise(60, 6, 1.0).astype(np.float64)
    n = len(made.pathways)
    drive = np.stack([made.drive(movie, p) for p in range(n)], axis=1)
    readout = np.stack([made.weight[:, p, None, None] * made.pool(p) for p in range(n)], axis=1)
    plane = np.ones((1, SIZE, SIZE))
    network = Rectifiers(
        gain=torch.ones(n, SIZE, SIZE, dtype=torch.float64),
        bias=torch.from_numpy(-made.threshold[:, None, None] * plane),
        second=None,
        readout=torch.from_numpy(readout),
        offset=torch.from_numpy(-made.offset),
        scale=torch.from_numpy(made.gain),
    )
    first, grey = network.first(torch.from_numpy(drive)), network.first(torch.zeros(1, n, SIZE, SIZE, dtype=torch.float64))
    exact = integrate_last(network, first, grey, "rate")
    parts = torch.einsum("ncyx,nkcyx->nkc", exact.difference, exact.weight).numpy()
    found = attributed(made, movie, 0.0, 256)
    np.testing.assert_allclose(found.rate, exact.response.numpy(), rtol=1e-9)
    assert np.abs(found.attribution - parts).max() < 1e-3 * np.abs(parts).max()


def test_the_truth_of_a_probe_is_of_the_recorded_cells(tmp_path: Path) -> None:
    made = to_dataset(retina(read_circuit("three_pathway"), 3), ["cell01", "cell02", "cell03"])
    cells = made["cell"].variable[[2, 0]]
    root = made[["frame_rate", "pixel_size"]].drop_vars("cell", errors="ignore").assign_coords(cell=cells)
    recording = xr.DataTree(root.assign(stimulus_mean=120.0, stimulus_std=40.0))
    probe = drawn(Geometry((SIZE, SIZE), RATE, PIXEL), latency.Config(contrasts=[-1, -2]), "latency")
    found = truth(made, recording, {"dark": probe}, TruthSettings(nodes=16))
    io.write(found, schemas.TRUTH, tmp_path / "truth.nc", Provenance())
    response = io.read(tmp_path / "truth.nc", schemas.TRUTH).children["dark"].to_dataset()
    assert response["cell"].values.tolist() == ["cell03", "cell01"]
    rebuilt = from_dataset(made)
    grey = 120 / MEAN_LUMINANCE - 1
    expected = attributed(rebuilt, contrast_of(120 + 40 * probe["stimulus"].values[1]), grey, 16)
    np.testing.assert_allclose(response["rate"].values[1], expected.rate[:, [2, 0]], rtol=1e-5)
    np.testing.assert_allclose(response["attribution"].values[1], expected.attribution[:, [2, 0]], atol=1e-4)
    change = response["rate"] - response["baseline_rate"]
    np.testing.assert_allclose(response["attribution"].sum("pathway"), change, atol=1e-3)


def test_three_pathways_show_the_four_phenomena() -> None:
    """Read by the probes' own readouts, at the size of the demo and calibrated as long."""
    movie = np.concatenate(list(natural_movie(round(CALIBRATION * RATE), 24, RATE, np.random.default_rng(1), Gaze())))
    made = calibrated(read_circuit("three_pathway"), 4, PIXEL, RATE, contrast_of(movie), 6.0)
    sd, geometry = float(contrast_of(movie).std()), Geometry((24, 24), RATE, PIXEL)
    configs = {
        "omitted_flash": omitted_flash.Config(contrast=-3),
        "latency": latency.Config(contrasts=[-0.5, -1, -2, -3]),
        "motion_reversal": motion_reversal.Config(contrast=-3, width=150),
        "motion_anticipation": motion_anticipation.Config(contrast=-3, width=150, flash=100, speeds=[440, 880], positions=7),
    }
    matching, found = {}, {}
    for name, config in configs.items():
        probe = drawn(geometry, config, name)
        grey = np.zeros((made.lead, 24, 24), np.float32)
        movies = (np.concatenate([grey, np.maximum(sd * m, -1)]) for m in probe["stimulus"].values)
        rate = np.stack([made.rate(made.inputs(m))[made.lead :] for m in movies])
        found[name] = answered(probe, rate, variable("cell", list("abcd"), "1", "cell"))
        matching[name] = (found[name]["verdict"].values == "matches").sum()
    assert matching == {"omitted_flash": 4, "latency": 4, "motion_reversal": 4, "motion_anticipation": 2}
    np.testing.assert_allclose(found["omitted_flash"]["slope"], 1, atol=0.1)
    assert np.isfinite(found["omitted_flash"]["peak_time"].values[:-1]).all(), "a burst after every train"


def test_scenes_have_natural_spectra_mean_and_contrast() -> None:
    for image in images():
        assert image.mean() == pytest.approx(MEAN_LUMINANCE, rel=0.02)
        assert image.std() / MEAN_LUMINANCE == pytest.approx(CONTRAST, rel=0.05)
    for size in (24, 50):
        frames = np.concatenate(list(natural_movie(20000, size, RATE, np.random.default_rng(1), Gaze())))[::20]
        assert spectrum_exponent(frames) == pytest.approx(-2, abs=0.2)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 2500), st.sampled_from(["natural", "noise"]))
def test_movies_have_the_length_asked_and_are_the_same_however_they_are_read(n: int, kind: str) -> None:
    def make() -> list[np.ndarray]:
        rng = np.random.default_rng(7)
        return list(natural_movie(n, 12, RATE, rng, Gaze()) if kind == "natural" else white_noise_movie(n, 12, rng))

    first, again = np.concatenate(make()), np.concatenate(make())
    assert first.shape == (n, 12, 12)
    np.testing.assert_array_equal(first, again)


def test_the_eye_drifts_and_jumps() -> None:
    movie = np.concatenate(list(natural_movie(2000, 30, RATE, np.random.default_rng(1), Gaze(fixation=1, drift=4)))).astype(float)
    change = np.abs(np.diff(movie, axis=0)).mean(axis=(1, 2))
    jumps = (change > 5 * np.median(change)).sum()
    assert 10 <= jumps <= 35, "about one a second"


@given(st.floats(2, 120), st.floats(1, 6), st.floats(0, 4))
@settings(deadline=None, max_examples=15)
def test_spikes_have_the_rate_and_the_dead_time_that_are_asked(rate: float, order: float, dead: float) -> None:
    times = spike_train(np.full(20000, rate), RATE, Spikes(order=order, refractory=dead), np.random.default_rng(0))
    expected = rate * 200
    assert len(times) == pytest.approx(expected, abs=5 * np.sqrt(expected) + 2)
    assert (np.diff(times) >= 1e-3 * dead - 1e-9).all()
    assert counts(times, 20000, RATE).sum() == len(times)


def test_order_one_without_dead_time_is_poisson_and_more_is_more_regular() -> None:
    rng = np.random.default_rng(1)
    rate = np.full(100000, 20.0)
    poisson = spike_train(rate, RATE, Spikes(order=1, refractory=0), rng)
    assert kstest(np.diff(poisson), "expon", args=(0, 1 / 20)).pvalue > 1e-3
    fano = [
        counts(spike_train(rate, RATE, Spikes(order=order, refractory=0), rng), 100000, RATE).reshape(-1, 100).sum(axis=1)
        for order in (1, 4)
    ]
    assert fano[0].var() / fano[0].mean() == pytest.approx(1, abs=0.15)
    assert fano[1].var() / fano[1].mean() == pytest.approx(1 / 4, abs=0.08)


def test_spikes_follow_a_rate_that_changes() -> None:
    rng = np.random.default_rng(2)
    rate = 30 + 28 * np.sin(2 * np.pi * np.arange(200) / 100)
    trials = np.array([counts(spike_train(rate, RATE, Spikes(), rng), 200, RATE) for _ in range(600)])
    np.testing.assert_allclose(
        trials.mean(axis=0).reshape(20, 10).sum(axis=1), rate.reshape(20, 10).sum(axis=1) / RATE, rtol=0.2, atol=0.06
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("pathways: [1", "cannot be read as YAML"),
        ("pathways: {a: {polarity: 2, time_to_peak: 50, width: 20}}\ncells: [{weights: {a: 1}}]", "pathways.a.polarity"),
        (
            "pathways: {a: {polarity: 1, time_to_peak: 50, width: 60}}\ncells: [{weights: {a: 1}}]",
            "width must be at most time_to_peak",
        ),
        ("pathways: {a: {polarity: 1, time_to_peak: 50, width: 20}}\ncells: [{weights: {b: 1}}]", "there is no pathway b"),
        ("pathways: {a: {polarity: 1, time_to_peak: 50, width: 20}}\ncells: [{weights: {a: 0}}]", "the cell would never fire"),
        (
            "pathways: {a: {polarity: 1, time_to_peak: 50, width: 20, threshold: null, depression: {release: 1, recovery: 9}}}\n"
            "cells: [{weights: {a: 1}}]",
            "need a rectifier",
        ),
    ],
)
def test_a_wrong_circuit_is_refused_by_name(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        read_circuit(str(path))
    assert says in str(error.value)
    assert str(path) in str(error.value)
    with pytest.raises(ConfigError, match="expected the path of a YAML file or one of adaptive, ln, three_pathway"):
        read_circuit("unknown")
