"""What is said of cells is what a direct computation says, and what is not good enough is left out of training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from retmech import io, schemas
from retmech.errors import RecordingError
from retmech.io import Provenance
from retmech.quality import rate_drift, refractory_violations, signal_to_noise
from retmech.readers import stanford
from retmech.receptive_field import ReverseCorrelation, field_place, field_quality, spike_triggered_average
from retmech.recording import well_recorded
from retmech.report.tables import recording_tables
from retmech.settings import QualitySettings, TrainSettings
from retmech.stages.evaluate import evaluate
from retmech.stages.ingest import ingest
from retmech.stages.train import train
from tests import formats
from tests.conftest import INGEST


def direct(stimulus: np.ndarray, rate: np.ndarray, segment: np.ndarray, history: int) -> np.ndarray:
    """Sum over responses, one by one, of the frames before each."""
    total, weight = np.zeros((len(rate), history, *stimulus.shape[1:])), np.zeros(len(rate))
    for t in range(history - 1, len(stimulus)):
        if segment[t] == segment[t - history + 1]:
            window = stimulus[t - history + 1 : t + 1][::-1].astype(float)
            total += rate[:, t, None, None, None] * window
            weight += rate[:, t]
    average = total / np.maximum(weight, 1e-300)[:, None, None, None]
    return np.where(weight[:, None, None, None] > 0, average - stimulus.mean(dtype=float), 0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
    st.sampled_from([1, 5, 40]),
    st.integers(1, 300),
    st.sampled_from([np.uint8, np.float32]),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 2**31 - 1),
)
def test_reverse_correlation_is_that_of_windows(
    runs: list[int], history: int, piece: int, dtype: type[np.generic], bands: int, seed: int
) -> None:
    """Whatever the lengths of the runs, and of the pieces in which they come."""
    rng = np.random.default_rng(seed)
    n = sum(runs)
    stimulus = (100 + 50 * rng.normal(size=(n, 3, 2))).clip(0, 255).astype(dtype)
    rate = rng.exponential(size=(2, n)).astype(np.float32) * np.array([[1], [0]], np.float32)
    segment = np.repeat(np.arange(len(runs)), runs)
    found = ReverseCorrelation(history, (3, 2), 2, bands)
    start = 0
    for length in runs:
        for first in range(start, start + length, piece):
            stop = min(first + piece, start + length)
            found.add(stimulus[first:stop], rate[:, first:stop], first == start)
        start += length
    expected = direct(stimulus, rate, segment, history)
    np.testing.assert_allclose(found.average(), expected, atol=2e-4 * 50)
    np.testing.assert_allclose(spike_triggered_average(stimulus, rate, segment, history), expected, atol=2e-4 * 50)
    assert found.moments.mean == pytest.approx(stimulus.mean(dtype=np.float64), rel=1e-6)
    assert found.moments.std == pytest.approx(stimulus.std(dtype=np.float64), rel=1e-5, abs=1e-5)


def test_a_receptive_field_is_told_from_noise() -> None:
    """Of 200 cells that see nothing hardly any has one; a cell that sees has one of the size that it was given."""
    rng = np.random.default_rng(0)
    null, noise = rng.normal(size=(2, 200, 5, 24, 24))
    assert (field_quality(noise, null).p_value < 0.05).mean() < 0.08
    y, x = np.mgrid[:24, :24]
    gaussian = np.exp(-((y - 10) ** 2 + (x - 14) ** 2) / (2 * 3.0**2))
    field = noise[:1] + 0
    field[0, 2] += -40 * gaussian
    quality = field_quality(field, null[:1])
    assert quality.p_value[0] < 1e-12
    assert quality.strength[0] == pytest.approx(40, abs=4)
    assert quality.diameter[0] == pytest.approx(2 * 3 * np.sqrt(2 * np.log(2)), rel=0.1)
    nothing = field_quality(np.zeros((1, 5, 24, 24)), np.zeros((1, 5, 24, 24)))
    assert nothing.p_value[0] == 1
    assert np.isnan(nothing.diameter[0])


def test_signal_to_noise_is_the_ratio_of_variances() -> None:
    rng = np.random.default_rng(0)
    signal = 2 * rng.normal(size=(1, 3, 40000))
    trials = signal * np.array([1, 0.5, 0])[:, None] + rng.normal(size=(8, 3, 40000))
    np.testing.assert_allclose(signal_to_noise(trials), [4, 1, 0], atol=0.05)
    assert np.isnan(signal_to_noise(trials[:1])).all()


def test_refractory_violations_are_the_share_of_short_intervals() -> None:
    found = refractory_violations([np.array([0, 0.001, 0.5, 0.5005, 1.0]), np.array([1.0]), np.arange(9.0)], 1.5e-3)
    np.testing.assert_allclose(found, [0.5, np.nan, 0])


def test_drift_is_the_change_over_the_session() -> None:
    rate = np.stack([np.linspace(1, 3, 5000), np.linspace(2, 1, 5000), np.full(5000, 4.0), np.zeros(5000)])
    np.testing.assert_allclose(rate_drift(rate), [1, -2 / 3, 0, np.nan], atol=0.06)


def test_what_is_not_good_enough_is_kept_and_left_out_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = formats.session(3000, 400)
    count = session.count.copy()
    count[1, 1500:] = 0  # lost halfway
    path = formats.stanford(tmp_path / "noise.h5", replace(session, count=count))
    with_limits = INGEST.model_copy(
        update={"blocks": 1, "check_lag": False, "quality": QualitySettings(max_rate_drift=1.0, max_refractory_violations=0.5)}
    )
    recording = ingest({"noise": stanford.read(path, with_limits)}, with_limits)
    io.write_pieces(recording, schemas.RECORDING, tmp_path / "recording.nc", Provenance())
    found = io.read(tmp_path / "recording.nc", schemas.RECORDING)
    assert found["included"].values.tolist() == [1, 0, 1]
    assert found["exclusion"].values[1].startswith("drift of the rate -2.")
    assert "cell02 is left out of training: drift of the rate" in capsys.readouterr().err
    assert (found["field_p_value"].values < 1e-6).all()
    np.testing.assert_allclose(found["field_y"], (np.array([2, 4, 5]) - 3.5) * 50)
    np.testing.assert_allclose(found["field_x"], (np.array([2, 3, 1]) - 2.5) * 50)
    lazy = well_recorded(io.read(tmp_path / "recording.nc", schemas.RECORDING, lazy=True))
    assert lazy["noise/train"]["cell"].values.tolist() == ["cell01", "cell03"]
    used = well_recorded(found)
    model = train({"one": used}, TrainSettings(stimulus=["noise"], epochs=1, history=100), "ln", 1, tmp_path)["one"]
    assert model["cell"].values.tolist() == ["cell01", "cell03"]
    assert evaluate(used, {"ln": model})["noise/pearson_r"].sizes["cell"] == 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (8, 1)])
def test_space_is_unknown_along_an_axis_of_one_pixel(tmp_path: Path, height: int, width: int) -> None:
    """Full field, random bars: the first cell sees row 2, column 2."""
    session = formats.session(3000, 400)
    cut = (slice(None), slice(0, height) if height > 1 else slice(2, 3), slice(0, width) if width > 1 else slice(2, 3))
    path = formats.stanford(tmp_path / "noise.h5", replace(session, train=session.train[cut], test=session.test[cut]))
    settings = INGEST.model_copy(update={"blocks": 1, "check_lag": False})
    recording = ingest({"noise": stanford.read(path, settings)}, settings)
    io.write_pieces(recording, schemas.RECORDING, tmp_path / "recording.nc", Provenance())
    found = io.read(tmp_path / "recording.nc", schemas.RECORDING).to_dataset().isel(cell=0)
    assert found["field_p_value"] < 1e-6
    np.testing.assert_equal(float(found["field_y"]), (2 - 3.5) * 50 if height > 1 else np.nan)
    np.testing.assert_equal(float(found["field_x"]), (2 - 2.5) * 50 if width > 1 else np.nan)
    np.testing.assert_equal(float(found["field_diameter"]), 50.0 if height * width > 1 else np.nan)  # a single bar, all of it
    quality = recording_tables(io.read(tmp_path / "recording.nc", schemas.RECORDING))[-1]["rows"][0]
    assert "nan" not in " ".join(quality)


def test_a_cell_without_a_field_has_no_place() -> None:
    field = np.zeros((2, 5, 7, 9))
    field[0, 2, 1, 3] = 1.0
    np.testing.assert_equal(field_place(field), [[-2.0, -1.0], [np.nan, np.nan]])


def test_a_recording_without_a_good_cell_says_why() -> None:
    recording = xr.DataTree(
        xr.Dataset(
            {
                "included": ("cell", [0, 0]),
                "exclusion": ("cell", ["mean rate 0 Hz, below 0.05", "drift of the rate +2, above 1"]),
            },
            coords={"cell": ["a", "b"]},
        )
    )
    with pytest.raises(RecordingError, match=r"no cell was recorded well enough: a: mean rate 0 Hz, below 0.05, b: drift"):
        well_recorded(recording)
