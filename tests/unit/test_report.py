"""The data of the page: that it is what stands in the files, and the few lines that sum it up."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from retmech import cli
from retmech.commands.pages import read_study
from retmech.figures.consensus import cell_types
from retmech.figures.factors import factors
from retmech.labels import RECORDED, TRUTH
from retmech.report.blocks import LEVELS, blocks_of, decode, encode, numbers, packed
from retmech.report.page import render, render_index
from retmech.report.payload import payload, shown_conditions
from retmech.report.summary import headline, strongest, summary
from retmech.settings import ReportSettings
from retmech.study import Study

RUNS = ("bn_cnn/seed1", "bn_cnn/seed2", "glm/seed1", "ln/seed1", "lnln/seed1")
EXPLAINED = RUNS[:2]
PROBES = ("latency", "motion_anticipation", "motion_reversal", "omitted_flash", "recorded_movie", "most_exciting")


def arguments(finished: Path, *left_out: str) -> list[str]:
    """What `retmech report` is told of a finished run, some kinds of files left out."""
    folder = finished / "results/tiny"
    of_runs = {kind: [f"{run}/{kind}.nc" for run in RUNS] for kind in ("model", "performance")}
    of_circuits = {kind: [f"{run}/{kind}.nc" for run in EXPLAINED] for kind in ("reduction", "circuit", "recovery")}
    of_probes = {"responses": RUNS, "attributions": EXPLAINED}
    named = {kind: [f"{Path(path).parent}={folder / path}" for path in paths] for kind, paths in (of_runs | of_circuits).items()}
    named |= {kind: [f"{r}/{p}={folder}/{r}/{kind}/{p}.nc" for r in runs for p in PROBES] for kind, runs in of_probes.items()}
    named["probe"] = [f"{probe}={folder}/probes/{probe}.nc" for probe in PROBES]
    named["retinas"] = [f"recorded={folder}/observed.nc", f"simulated={folder}/truth.nc"]
    named["consensus"] = [f"bn_cnn={folder}/bn_cnn/consensus.nc"]
    named |= {"name": ["tiny"], "recording": [f"{folder}/recording.nc"], "output": ["report.html"]}
    named["retina"] = [f"{finished}/results/raw/insilico/small/retina.nc"]
    return ["report", *(word for kind, words in named.items() if kind not in left_out for word in (f"--{kind}", *words))]


@pytest.fixture(scope="module")
def study(finished: Path) -> Study:
    return read_study(cli.parser().parse_args(arguments(finished)))


@pytest.fixture(scope="module")
def blocks(study: Study) -> dict[str, dict]:
    return {name: json.loads(json.dumps(block)) for name, block in payload(study, ReportSettings())}


def unpacked(block: dict) -> np.ndarray:
    return block["step"] * np.cumsum(np.reshape(block["differences"], block["shape"]), axis=-1)


@given(arrays(np.float64, array_shapes(min_dims=1, max_dims=4, max_side=5), elements=st.floats(-1e6, 1e6)))
def test_packed_arrays_are_right_to_half_a_step(values: np.ndarray) -> None:
    block = json.loads(json.dumps(packed(values)))
    largest = float(np.abs(values).max(initial=0.0))
    assert block["step"] == (largest / LEVELS or 1.0)
    np.testing.assert_allclose(unpacked(block), values, rtol=0, atol=0.5001 * block["step"])


def test_what_is_missing_is_null_and_digits_are_few() -> None:
    assert numbers(np.array([[1 / 3, np.nan], [np.inf, 2.0]])) == [[0.33333, None], [None, 2.0]]
    assert numbers(np.array([1, 2], np.int8)) == [1, 2]
    assert numbers([np.float32(0.5), 2]) == [0.5, 2]


def test_blocks_come_back_from_a_page_and_equal_ones_are_equal_text(blocks: dict[str, dict]) -> None:
    texts = {name: encode(block) for name, block in blocks.items()}
    page = render(texts)
    assert page == render({name: encode(block) for name, block in blocks.items()})
    assert blocks_of(page, "page") == texts
    assert all(decode(text) == blocks[name] for name, text in texts.items())


def test_a_page_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.html"
    for content, said in ((b"<html>", "found no data in it"), (b"\x89HDF", "expected a page that `retmech report` has made")):
        other.write_bytes(content)
        assert cli.main(["gather", "--pages", f"a={other}", "--output", str(tmp_path / "all.html")]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "all.html").exists()


def test_time_courses_of_a_mechanism_are_those_of_the_files(study: Study, blocks: dict[str, dict]) -> None:
    block = blocks["tiny/run/bn_cnn/seed1/omitted_flash"]
    file = study.runs["bn_cnn/seed1"].attributions["omitted_flash"]
    net = unpacked(block["net"]).sum(axis=2)
    response, baseline = unpacked(block["response"]), unpacked(block["baseline"])
    step = block["net"]["shape"][2] * block["net"]["step"] + 2 * block["response"]["step"]
    np.testing.assert_allclose(net, response - baseline, atol=0.6 * step)
    np.testing.assert_allclose(response, file["response"].transpose("condition", "cell", "time"), atol=block["response"]["step"])


def test_factors_add_up_to_what_the_reduction_says(study: Study, blocks: dict[str, dict]) -> None:
    reduction = study.runs["bn_cnn/seed1"].reduction.dataset  # type: ignore[union-attr]
    block = blocks["tiny/run/bn_cnn/seed1/latency"]
    rows = (reduction["probe"] == "latency") & (reduction["cell"] == "cell02") & (reduction["condition"] == "contrast -4 sd")
    own = reduction["activation"].values[rows.values]
    np.testing.assert_allclose(unpacked(block["activation"])[1, 1].T, own, atol=block["activation"]["step"])


def test_few_conditions_are_chosen_evenly_and_with_the_largest(study: Study) -> None:
    response = study.runs["bn_cnn/seed1"].responses["latency"]
    many = xr.concat([response[["rate"]]] * 10, "condition")
    rate = many["rate"].values.copy()
    rate[7] += 1000
    many["rate"] = (many["rate"].dims, rate)
    assert shown_conditions(response, 16) == [0, 1]
    assert shown_conditions(many, 4) == [0, 6, 7, 12, 19]


def test_the_truth_on_the_page_is_the_simulated_retinas(study: Study, blocks: dict[str, dict]) -> None:
    true = study.retinas[TRUTH]["motion_reversal"]
    block = blocks["tiny/probe/motion_reversal"]["truth"]
    parts = unpacked(block["parts"]).sum(axis=2)
    rate = true["rate"].transpose("condition", "cell", "time").values
    baseline = np.array(block["baseline"])[:, None]
    np.testing.assert_allclose(parts + baseline, rate, atol=0.01 * rate.max())
    excites = np.sign(study.retina["weight"].values)  # type: ignore[index]
    strong = np.array(block["strength"]) > 0.1 * np.max(block["strength"])
    assert (np.sign(block["effect"])[strong] == excites[strong]).all()


def test_the_summary_has_a_line_for_everything_and_no_more(study: Study) -> None:
    said = summary(study)
    starts = [line.split(":")[0].split(" of ")[0] for line in said.found]
    assert starts[:3] == ["Prediction", "Physiology", "Circuit"]
    assert starts[-2:] == ["Reduction", "Truth"]
    assert len(said.found) == 6
    r = [float(study.runs[f"bn_cnn/seed{i}"].performance["whitenoise/pearson_r"].sel(model="bn_cnn").mean()) for i in (1, 2)]
    assert f"whitenoise, which it was not trained on, with r = {min(r):.2f} to {max(r):.2f}" in said.found[0]
    assert len(said.found) + len(said.failed) + len(said.doubt) <= 16


def test_failures_are_named(study: Study) -> None:
    """A run in which everything goes wrong says so."""
    run = study.runs["bn_cnn/seed1"]
    assert run.circuit is not None
    circuit = run.circuit.copy(deep=True)
    circuit["faithful"] = circuit["faithful"] * 0
    circuit["circuit_correlation"] = circuit["circuit_correlation"] * 0
    attributions = {name: tree.copy(deep=True) for name, tree in run.attributions.items()}
    attributions["latency"]["completeness_error"] = attributions["latency"]["completeness_error"] + 5
    recording = study.recording.copy(deep=True)
    recording["included"] = recording["included"] * [0, 1]
    runs = study.runs | {"bn_cnn/seed1": dataclasses.replace(run, circuit=circuit, attributions=attributions)}
    failed = summary(dataclasses.replace(study, runs=runs, recording=recording)).failed
    text = " ".join(failed)
    assert "1 of 2 cells are left out" in text
    assert "the circuit of seed1" in text
    assert "with fixed weights (what is exported) the circuit does not follow the model: r = latency 0.00 (seed1)" in text
    assert "attributions miss up to 5 of" in text


def test_what_is_not_known_is_said_to_be_unknown_and_no_failure(study: Study) -> None:
    """With a single trial there is no ceiling; where a pathway does nothing its part has no size."""
    run = study.runs["bn_cnn/seed1"]
    performance = run.performance.copy(deep=True)
    performance["whitenoise/noise_ceiling"] = performance["whitenoise/noise_ceiling"] * np.nan
    recovery = run.recovery.copy(deep=True)  # type: ignore[union-attr]
    recovery["amplitude"] = recovery["amplitude"] * np.nan
    runs = {"bn_cnn/seed1": dataclasses.replace(run, performance=performance, recovery=recovery)}
    said = summary(dataclasses.replace(study, runs=runs))
    assert "ceiling unknown" in said.found[0]
    assert not any("whitenoise" in line for line in said.failed)
    assert not any("sizes of the parts" in line for line in said.doubt)
    assert any("trained from one seed" in line for line in said.doubt)


def test_a_cell_whose_response_does_not_repeat_is_no_measure_of_a_model(study: Study) -> None:
    run = study.runs["bn_cnn/seed1"]
    performance = run.performance.copy(deep=True)
    for node, ceiling in zip(performance.children.values(), ([0.5, 0.0], [0.0, 0.0]), strict=True):
        node["noise_ceiling"].values[:] = ceiling
        node["pearson_r"].values[:] = [0.4, 0.1]
    runs = {"bn_cnn/seed1": dataclasses.replace(run, performance=performance)}
    shown = dataclasses.replace(study, runs=runs)
    assert headline(shown)["r, of the noise ceiling"] == "80 %"
    assert not any("of the noise ceiling" in line for line in summary(shown).failed)


def without_result(study: Study) -> Study:
    """A study in which the factors of the first seed do not predict anything, and its circuit was chosen by them."""
    run = study.runs["bn_cnn/seed1"]
    assert run.reduction is not None
    assert run.circuit is not None
    reduction, circuit = run.reduction.copy(deep=True), run.circuit.copy(deep=True)
    reduction["predicted_share"] = reduction["predicted_share"] * 0 - 0.01
    reduction["held_out_error"] = reduction["held_out_error"] * 0 + 0.99
    reduction["null_error"] = reduction["null_error"] * 0 + 0.985
    circuit.attrs["settings"] = json.dumps({**json.loads(circuit.attrs["settings"]), "selection": "factor"})
    consensus = study.consensus["bn_cnn"].assign(predicted_share=("run", [-0.01, 0.5]))
    recording = study.recording.copy(deep=True)
    recording["included"].values[0] = 0  # another failure, which is no reason to doubt what was found
    runs = study.runs | {"bn_cnn/seed1": dataclasses.replace(run, reduction=reduction, circuit=circuit)}
    return dataclasses.replace(study, recording=recording, runs=runs, consensus={"bn_cnn": consensus})


def test_factors_that_predict_nothing_are_said_to_be_no_result_before_all_else(study: Study) -> None:
    known, doubtful = study.runs["bn_cnn/seed2"].reduction, without_result(study)
    said = summary(doubtful)
    assert said.failed[0] == (
        "The factors of bn_cnn do not predict hidden attributions (seed1: error 0.99, of each channel's mean 0.98; 1: nothing is "
        "predicted): factors, and cell types and circuits that rest on them, are no result."
    )
    (line,) = (line for line in said.found if line.startswith("Reduction"))
    assert line.startswith(f"Reduction of bn_cnn: no result (seed1), {known.sizes['factor']} factors (seed2)")  # type: ignore[union-attr]
    assert "cell types" not in line
    assert headline(doubtful)["factors"] == f"no result, {known.sizes['factor']}"  # type: ignore[union-attr]
    (line,) = (line for line in said.found if line.startswith("Circuit"))
    assert line.startswith("Circuit of bn_cnn: seed1: no result, chosen by factors that predict nothing: ")
    assert line.count("no result") == 1
    assert headline(doubtful)["channels in the circuits"].startswith("no result, ")
    blocks = dict(payload(doubtful, ReportSettings()))
    assert blocks["tiny/run/bn_cnn/seed1"]["factors_text"][0].startswith("These factors are no result")
    assert ": it is no result" in blocks["tiny/run/bn_cnn/seed1"]["circuit_doubt"]
    assert blocks["tiny/consensus/bn_cnn"]["doubt"].startswith("The factors of seed1 do not predict hidden attributions")
    assert factors(doubtful.runs["bn_cnn/seed1"].reduction.to_dataset()).get_suptitle().startswith("no result")  # type: ignore[union-attr]
    assert "seed1 do not predict" in cell_types(doubtful.consensus["bn_cnn"]).get_suptitle()


def test_factors_that_predict_are_not_doubted(study: Study, blocks: dict[str, dict]) -> None:
    assert not any("hidden attributions" in line for line in summary(study).failed)
    assert blocks["tiny/run/bn_cnn/seed1"]["circuit_doubt"] == blocks["tiny/consensus/bn_cnn"]["doubt"] == ""


def test_without_a_truth_the_summary_says_that_there_is_none(study: Study) -> None:
    runs = {name: dataclasses.replace(run, recovery=None) for name, run in study.runs.items()}
    real = dataclasses.replace(study, runs=runs, retinas={}, retina=None)
    said = summary(real)
    assert not any(line.startswith("Truth") for line in said.found)
    assert "A recording alone does not say" in said.doubt[-1]
    assert headline(real)["recovery of the truth"] == "not known"
    block = dict(payload(real, ReportSettings()))
    assert block["tiny/probe/latency"]["truth"] is None
    assert block["tiny/run/bn_cnn/seed1"]["recovery"] is None


def test_a_page_shows_what_it_was_given_and_not_what_lies_beside_it(finished: Path) -> None:
    given = arguments(finished, "recovery", "retina", "circuit")
    given = [word for word in given if not word.startswith("simulated=")]
    found = read_study(cli.parser().parse_args(given))
    assert list(found.retinas) == [RECORDED]
    assert found.retina is None
    for name in EXPLAINED:
        assert all((finished / f"results/tiny/{name}/{file}.nc").exists() for file in ("recovery", "circuit"))
        assert found.runs[name].recovery is found.runs[name].circuit is None
    assert summary(found).doubt[-1].startswith("A recording alone does not say")


def test_a_study_of_baselines_alone_has_a_page(study: Study) -> None:
    runs = {name: run for name, run in study.runs.items() if run.circuit is None}
    page = dict(payload(dataclasses.replace(study, runs=runs, consensus={}), ReportSettings()))
    assert page["tiny"]["summary"]["found"]
    assert not any("/run/" in name for name in page)


def test_the_page_begins_with_the_strongest_response(study: Study, blocks: dict[str, dict]) -> None:
    run = study.runs["bn_cnn/seed1"]
    probe, cell = strongest(run)  # type: ignore[misc]
    change = np.abs(run.circuit["peak_change"])  # type: ignore[index]
    like = {p: r["verdict"].values == "matches" for p, r in run.responses.items()}
    values = change.where(xr.DataArray([like[str(p)] for p in change["probe"].values], dims=("probe", "cell")))
    assert float(change.sel(probe=probe, cell=cell)) == float(values.max())
    assert blocks["tiny"]["start"] == {"probe": probe, "cell": cell}


def test_a_large_study_has_an_index_that_links_to_pages(finished: Path, tmp_path: Path) -> None:
    page = finished / "results/tiny/report.html"
    output = tmp_path / "index.html"
    arguments = ["--config", '{"largest": 0.001}', "--pages", f"tiny={page}", "--output", str(output)]
    assert cli.main(["gather", *arguments]) == 0
    text = output.read_text()
    assert f'href="{Path(os.path.relpath(page, tmp_path)).as_posix()}"' in text
    assert "<script" not in text
    assert "What was found" in text
    assert len(text) < 50_000


def test_an_index_of_many_recordings_is_a_table(blocks: dict[str, dict]) -> None:
    pages = {f"r{i}/report.html": blocks["tiny"] | {"name": f"r{i}"} for i in range(30)}
    text = render_index(pages)
    assert text.count("<tr>") == 31
    assert "What was found" not in text


def test_consensus_over_recordings_is_on_the_page_of_all(finished: Path, tmp_path: Path) -> None:
    page, found = finished / "results/tiny/report.html", finished / "results/tiny/bn_cnn/consensus.nc"
    arguments = ["--pages", f"tiny={page}", "--consensus", f"bn_cnn={found}", "--output", str(tmp_path / "all.html")]
    assert cli.main(["gather", *arguments]) == 0
    blocks = blocks_of((tmp_path / "all.html").read_text(), "all")
    assert decode(blocks[".all/consensus/bn_cnn"])["runs"] == ["seed1", "seed2"]
