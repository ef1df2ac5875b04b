"""Movies on another scale, receptive fields that are cut off, and recordings without a repeated movie."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from retmech import doubts
from retmech.errors import RecordingError, warnings_heard
from retmech.readers import arrays, nwb, openretina, phy, stanford
from retmech.readers._raw import Movie, RawPart, RawRecording
from retmech.receptive_field import temporal_kernels
from retmech.stages.ingest import ingest
from tests import formats
from tests.formats import RATE, Session

CUT = {"history": 200, "guard_gap": 0.2, "validation_fraction": 0.2}


@pytest.fixture(scope="module")
def session() -> Session:
    return formats.session(3000)


def raw_of(one: Session, tmp_path: Path, **settings: Any) -> RawRecording:
    return arrays.read(formats.arrays(tmp_path / "plain", one), arrays.Config(**CUT, **settings))


def ingested(raw: dict[str, RawRecording], **settings: Any) -> tuple[xr.DataTree, str]:
    with warnings_heard() as warnings:
        tree = ingest(raw, arrays.Config(**{**CUT, **settings})).gather()
    return tree, "\n".join(warnings)


# Scales


def scaled(part: RawPart, factor: float) -> RawPart:
    frames = part.stimulus.frames(0, len(part.stimulus)).astype(np.float32) * np.float32(factor)
    return replace(part, stimulus=Movie.of(frames, "here"))


def test_a_test_movie_on_another_scale_is_refused_with_the_factor_that_mends_it(session: Session, tmp_path: Path) -> None:
    raw = raw_of(session, tmp_path)
    small = {"noise": replace(raw, test=scaled(raw.test, 1 / 255))}
    with pytest.raises(RecordingError, match=r"here: expected luminance on the scale .*ingest.scale to \{noise/test: 255\}"):
        ingested(small)
    mended, said = ingested(small, scale={"noise/test": 255})
    assert said == ""
    whole, _ = ingested({"noise": raw})
    np.testing.assert_allclose(mended["noise/test/stimulus"], whole["noise/test/stimulus"], rtol=1e-6)


def test_a_class_on_another_scale_is_refused(session: Session, tmp_path: Path) -> None:
    raw = raw_of(session, tmp_path)
    both = {"naturalscene": raw, "whitenoise": replace(raw, train=scaled(raw.train, 1 / 255), test=scaled(raw.test, 1 / 255))}
    with pytest.raises(RecordingError, match=r"here: .*ingest.scale to \{whitenoise: 255\}"):
        ingested(both)
    tree, _ = ingested(both, scale={"whitenoise": 255})
    assert float(tree["stimulus_std"]) == pytest.approx(float(session.train.std()), rel=0.05)
    np.testing.assert_allclose(tree["whitenoise/test/stimulus"], session.test[:-1], rtol=1e-6)
    with pytest.raises(RecordingError, match=r"ingest\.scale: there is no white in this recording; there are naturalscene,"):
        ingested(both, scale={"white": 255})


def test_contrasts_around_zero_lack_their_mean(session: Session, tmp_path: Path) -> None:
    """No factor makes luminance of -1 to 1."""
    raw = raw_of(session, tmp_path)
    frames = raw.train.stimulus.frames(0, len(raw.train.stimulus)).astype(np.float32)
    both = {
        "naturalscene": raw,
        "whitenoise": replace(raw, train=replace(raw.train, stimulus=Movie.of(frames / 128 - 1, "here"))),
    }
    with pytest.raises(RecordingError, match="stand around another mean even so: add what is missing"):
        ingested(both)
    both["whitenoise"] = replace(raw, train=replace(raw.train, stimulus=Movie.of(frames - 128, "here")))
    _, said = ingested(both)
    assert "here: the movie has mean" in said


def test_the_factor_is_that_of_the_test_movie_alone_where_training_is_right(session: Session, tmp_path: Path) -> None:
    raw = raw_of(session, tmp_path)
    with pytest.raises(RecordingError, match=r"ingest.scale to \{whitenoise/test: 255\}"):
        ingested({"naturalscene": raw, "whitenoise": replace(raw, test=scaled(raw.test, 1 / 255))})


def test_low_contrast_is_no_other_scale(session: Session, tmp_path: Path) -> None:
    raw = raw_of(session, tmp_path)
    frames = raw.test.stimulus.frames(0, len(raw.test.stimulus)).astype(np.float32)
    low = replace(raw.test, stimulus=Movie.of(frames.mean() + 0.05 * (frames - frames.mean()), "here"))
    _, said = ingested({"noise": replace(raw, test=low)})
    assert "Is that the light that was shown?" in said


# Lags


def late(one: Session, bins: int) -> Session:
    """The same responses some bins later."""
    return replace(one, count=np.roll(one.count, bins, axis=1), trials=np.roll(one.trials, bins, axis=2))


def test_a_kernel_is_found_without_the_correlations_of_its_stimulus() -> None:
    rng = np.random.default_rng(0)
    trace = np.zeros((1, 20000))
    for t in range(1, 20000):  # an autoregressive movie
        trace[0, t] = 0.9 * trace[0, t - 1] + rng.normal()
    kernel = np.array([0.0, 1.0, 2.0, -1.0, -0.5])
    response = np.convolve(trace[0], kernel)[:20000][None]
    found = temporal_kernels(trace, response, 3, 10, ridge=1e-6)
    np.testing.assert_allclose(found[0], [0, 0, 0, *kernel, 0, 0, 0, 0, 0], atol=0.02)


@pytest.mark.parametrize(
    ("bins", "settings", "message"),
    [
        (0, {}, ""),
        # The session's cells answer 4 bins late, and rates are smooth: they rise a bin before.
        (0, {"response_lag": 6}, "cut off at lag 0 by ingest.response_lag = 6; ingest.response_lag = 3 would fit"),
        (-5, {}, "responses come before their frames: are the times right?"),
        (17, {}, "lasts longer than ingest.history = 200 ms; 220 ms would fit"),
        (17, {"history": 300}, ""),
        (40, {}, "no cell responds to its pixel within 300 ms. Do the responses belong to this movie?"),
    ],
)
def test_receptive_fields_that_are_cut_off_are_said(
    bins: int, settings: dict[str, Any], message: str, session: Session, tmp_path: Path
) -> None:
    raw = raw_of(late(session, bins), tmp_path)
    _, said = ingested({"noise": raw}, **settings)
    assert message in said
    assert bool(said) == bool(message)


def test_a_main_lobe_of_one_bin_is_missed_too(tmp_path: Path) -> None:
    """At 30 Hz a receptive field's first lobe may be one bin."""
    rng = np.random.default_rng(0)
    trace = rng.normal(size=(1, 6000))
    response = np.convolve(trace[0], [0, 1, -0.1, -0.3, -0.3])[:6000][None] + rng.normal(size=(1, 6000))
    with warnings_heard() as warnings:
        doubts.cut_off("noise", trace, np.roll(response, -3, axis=1), ["a"], 12, 3, 30.0)
    assert any("response_lag = 1 would fit" in said for said in warnings)


def test_images_that_stay_do_not_smear_a_receptive_field_over_lag_0() -> None:
    """Flashed images: a new one each second, a response 50 ms later."""
    rng = np.random.default_rng(0)
    trace = np.repeat(rng.normal(size=(3, 360)), 60, axis=1)
    kernel = np.array([0, 0, 0.5, 1, 0.5, -0.2, -0.6, -0.6, -0.3, -0.1])
    drive = np.array([np.convolve(own, kernel)[: len(own)] for own in trace])
    with warnings_heard() as warnings:
        doubts.cut_off("scenes", trace, drive[:, 1:], ["a", "b", "c"], 24, 1, 60.0)
    assert not warnings


# No repeated movie


@pytest.mark.parametrize("reader", ["arrays", "phy", "nwb", "stanford", "openretina"])
def test_the_last_part_of_the_training_movie_is_a_test(reader: str, session: Session, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**CUT, "test": "last", "test_fraction": 0.2}
    if reader == "arrays":
        folder = formats.arrays(tmp_path / "a", session)
        for name in ("test_movie", "test_frames"):
            (folder / f"{name}.npy").unlink()
        config: Any = arrays.Config(**settings)
        raw = arrays.read(folder, config)
    elif reader == "phy":
        config = phy.Config(**settings)
        raw = phy.read(formats.phy(tmp_path / "b", session), config)
    elif reader == "nwb":
        config = nwb.Config(**settings)
        raw = nwb.read(formats.nwb(tmp_path / "c.nwb", session), config, "noise")
    elif reader == "stanford":
        config = stanford.Config(**settings, blocks=1, skip=0)
        raw = stanford.read(formats.stanford(tmp_path / "noise.h5", session), config)
    else:
        config = openretina.Config(**settings, frame_rate=RATE, responses="count", train=["a", "b"])
        raw = openretina.read(formats.openretina(tmp_path / "d/session.h5", session), config)
    tree = ingest({"noise": raw}, config).gather()
    test, train = tree["noise/test"], tree["noise/train"]
    assert test.sizes["trial"] == 1
    assert np.isnan(test["noise_ceiling"]).all()
    n = test.sizes["time"]
    assert n == round(0.2 * 3000)
    np.testing.assert_array_equal(test["stimulus"], session.train[2999 - n : 2999])
    np.testing.assert_allclose(test["rate"], test["trial_rate"][0])
    # Nothing that is trained or validated on reaches into the test, or into its history.
    for part in (train, tree["noise/validation"]):
        assert float(part["time"].max()) <= float(test["time"].min()) - CUT["guard_gap"]


def test_a_recording_without_a_repeated_movie_says_what_to_do(session: Session, tmp_path: Path) -> None:
    folder = formats.arrays(tmp_path / "plain", session)
    (folder / "test_movie.npy").unlink()
    with pytest.raises(RecordingError, match=r"expected a test movie, found none\. .*set ingest.test to last"):
        arrays.read(folder, arrays.Config())
