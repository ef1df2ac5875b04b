"""The pipeline itself, on a recording of half a minute: whole, exact in its re-runs, and equal after any kill."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from retmech import cli
from retmech.report.blocks import blocks_of, decode
from tests import formats
from tests.pipeline import change, planned, results, run

ROOT = Path(__file__).parents[2]
RUN = "results/tiny/bn_cnn/seed1"
RUNS = ("bn_cnn/seed1", "bn_cnn/seed2")
MODEL = f"{RUN}/model.nc"
EXPORTED = ("channels.csv", "factors.csv", "actions.csv", "circuit.py", "circuit.json", "weights.pt", "discriminating.npy")
DOWNSTREAM_OF_REDUCE = {"reduce", "consensus", "explain", "export", "draw", "draw_run", "report", "recover", "gather"}
DRAWN = ("recording", "receptive_fields", "training", "phenomena", "reproduction_bn_cnn", "cell_types_bn_cnn")
SWEEPS = ("omitted_flash", "latency", "motion_reversal", "motion_anticipation", "most_exciting")  # readouts by condition
DRAWN_OF_RUN = ("phenomena", "factors", "ranks", "channels", "faithfulness", "discriminating_movie", "recovery")


def test_every_stage_leaves_its_file_and_nothing_else(finished: Path) -> None:
    probes = ("omitted_flash", "latency", "motion_reversal", "motion_anticipation", "recorded_movie", "most_exciting")
    expected = {f"results/raw/insilico/small/{n}" for n in ("naturalscene.h5", "whitenoise.h5", "retina.nc")}
    expected |= {"results/tiny/recording.nc", "results/tiny/report.html", "results/report.html"}
    expected |= {f"results/tiny/probes/{p}.nc" for p in probes}
    for run_ in (*RUNS, "ln/seed1", "lnln/seed1", "glm/seed1"):  # a baseline is trained once
        folder = f"results/tiny/{run_}"
        expected |= {f"{folder}/model.nc", f"{folder}/performance.nc"} | {f"{folder}/responses/{p}.nc" for p in probes}
    for run_ in RUNS:
        folder = f"results/tiny/{run_}"
        expected |= {f"{folder}/{name}.nc" for name in ("reduction", "circuit", "recovery")}
        expected |= {f"{folder}/attributions/{p}.nc" for p in probes}
        expected |= {f"{folder}/circuit/{name}" for name in EXPORTED}
    first = f"results/tiny/{RUNS[0]}"  # the only seed that is drawn without being asked for
    expected |= drawn(first, *DRAWN_OF_RUN, *(f"mechanism_{p}" for p in probes), "recorded_movie_pixels")
    expected |= drawn(first, *(f"{p}_{kind}" for p in probes for kind in ("responses", "alternatives", "reduced", "parts")))
    expected |= drawn(first, *(f"{p}_sweep" for p in SWEEPS))
    expected |= {
        f"results/tiny/{name}" for name in ("bn_cnn/consensus.nc", "observed.nc", "truth.nc", "readouts.nc", "readouts.csv")
    }
    expected |= drawn("results/tiny", *DRAWN, *(f"{p}_readouts" for p in probes))
    stimuli = ("naturalscene", "whitenoise")
    expected |= drawn("results/tiny", *(f"prediction_{s}_{r.replace('/', '_')}" for s in stimuli for r in RUNS))
    assert set(results(finished)) == expected


def drawn(folder: str, *names: str) -> set[str]:
    return {f"{folder}/figures/{name}.{kind}" for name in names for kind in ("pdf", "svg", "csv")}


def test_the_page_is_one_file_that_says_what_was_found(finished: Path) -> None:
    page = (finished / "results/tiny/report.html").read_text()
    for heading in ("What was found", "What failed", "What to doubt", "The circuit", "The truth"):
        assert f">{heading}<" in page
    assert not re.search(r"<[^>]+(?:src|href)=\"(?!data:|#)", page.partition("<script>")[0])
    assert (finished / "results/report.html").read_text() == page  # of one recording


def test_training_prints_a_line_per_epoch_and_keeps_a_csv(finished: Path) -> None:
    log = (finished / "logs/train/tiny/bn_cnn/seed1.log").read_text()
    assert len(re.findall(r"^epoch \d+/12  loss ", log, re.MULTILINE)) == 12
    assert re.search(r"epoch 2/12 .* s left", log)
    tables = [p.read_text().splitlines() for p in (finished / "work/checkpoints").glob("*/metrics.csv")]
    assert sorted(len(lines) for lines in tables) == [3, 3, 3, 13, 13]


def test_a_second_run_does_nothing(finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "results").rglob("*")}
    assert planned(finished) == set()
    run("retmech", "run", "--cores", "2", cwd=finished)
    assert before == {p: p.stat().st_mtime_ns for p in (finished / "results").rglob("*")}


def test_reduce_settings_rerun_reduce_and_what_follows(copy: Path) -> None:
    change(copy, "reduce", rank=1)
    assert planned(copy) == DOWNSTREAM_OF_REDUCE


def test_a_written_default_and_the_order_of_keys_rerun_nothing(copy: Path) -> None:
    change(copy, "reduce", split="unit", seed=1)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump(dict(reversed(config.items())), sort_keys=False))
    assert planned(copy) == set()


def test_recordings_share_a_model_in_one_training(copy: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["recordings"]["second"] = config["recordings"]["tiny"]
    config["ingest"]["second"] = {**config["ingest"]["tiny"], "cells": [1]}
    config["train"]["bn_cnn"] |= {"shared": True, "epochs": 2}
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    models = [f"results/{name}/bn_cnn/seed1/model.nc" for name in ("second", "tiny")]
    done = run("retmech", "run", "--cores", "2", *models, cwd=copy)
    assert len(re.findall(r" train_shared bn_cnn 1$", done.stderr, re.MULTILINE)) == 1
    second, tiny = (xr.open_datatree(copy / path) for path in models)
    assert (second.sizes["cell"], tiny.sizes["cell"]) == (1, 2)
    shared = [tree["weights/first_layer.weight"].values for tree in (second, tiny)]
    np.testing.assert_array_equal(*shared)


def test_every_file_is_valid_and_can_be_looked_into(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {}
    for path in sorted((finished / "results").rglob("*.nc")):
        kinds[path.stem if path.parent.name not in {"probes", "responses", "attributions"} else path.parent.name] = path
    assert len(kinds) == 14
    for path in kinds.values():
        assert cli.main(["validate", str(path)]) == 0, capsys.readouterr().err
        assert cli.main(["inspect", str(path)]) == 0
    assert "attribution" in capsys.readouterr().out


def test_a_folder_of_plain_files_is_a_recording(copy: Path) -> None:
    formats.arrays(copy / "data/own", formats.session())
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["recordings"] = {"own": {"naturalscene": "data/own"}}
    config["ingest"] = {"own": {"reader": "arrays", "history": 200, "skip": 0.2}}
    config["train"] = {"bn_cnn": {"kernels": [3, 3]}, "ln": {}}
    config["evaluate"] = {"baselines": ["ln"]}
    config["synthesize"] = {"latency": None}
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "reduce": {}, "attribute": {}}))
    run("retmech", "run", "--cores", "2", "results/own/recording.nc", cwd=copy)
    recording = xr.open_datatree(copy / "results/own/recording.nc")
    assert recording["cell"].values.tolist() == ["cell01", "cell02", "cell03"]
    inputs = json.loads(recording.attrs["inputs"])
    assert set(inputs) == {
        f"naturalscene/own/{name}"
        for name in (
            "train_movie.npy",
            "test_movie.npy",
            "train_frames.npy",
            "test_frames.npy",
            *(f"spikes/cell0{i}.npy" for i in (1, 2, 3)),
        )
    }
    np.save(copy / "data/own/spikes/cell02.npy", np.array([3.0, 1.0]))
    done = run("retmech", "run", "--cores", "2", "--forcerun", "ingest", "results/own/recording.nc", cwd=copy, check=False)
    assert done.returncode != 0
    log = (copy / "logs/ingest/own.log").read_text()
    assert "cell02.npy: expected times in order, found 1 s after 3 s" in log
    assert "Traceback" not in log


def test_recorded_interneurons_are_compared_where_there_are_any(copy: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(copy / "bipolars.h5", "w") as file:
        file["boxes/stimuli"] = rng.random((300, 10, 10))
        file["boxes/detrended_membrane_potential"] = rng.normal(size=(2, 300))
    change(copy, "compare", interneurons={"bipolars": {"path": "bipolars.h5"}})
    assert planned(copy) == {"compare", "draw_run", "report", "gather"}
    run("retmech", "run", "--cores", "2", cwd=copy)
    found = xr.open_dataset(copy / "results/tiny/bn_cnn/seed1/interneurons.nc")
    assert found["neuron"].values.tolist() == ["bipolars.boxes.1", "bipolars.boxes.2"]
    table = pd.read_csv(copy / "results/tiny/bn_cnn/seed1/figures/interneurons.csv")
    of_channels = table[(table.kind == "image") & (table.x_name == "ch1")]
    np.testing.assert_allclose(of_channels.value, found["channel_correlation"].sel(channel="ch1"), rtol=1e-5)
    page = copy / "results/tiny/report.html"
    on_the_page = decode(blocks_of(page.read_text(), str(page))["tiny/run/bn_cnn/seed1"])["interneurons"]
    assert on_the_page["neurons"] == ["bipolars.boxes.1", "bipolars.boxes.2"]
    change(copy, "compare", interneurons={})
    assert planned(copy) == {"draw_run", "report", "gather"}
    run("retmech", "run", "--cores", "2", "results/tiny/report.html", cwd=copy)
    assert (copy / "results/tiny/bn_cnn/seed1/interneurons.nc").exists()
    assert decode(blocks_of(page.read_text(), str(page))["tiny/run/bn_cnn/seed1"])["interneurons"] is None


def test_the_simulated_retina_stands_beside_its_models(finished: Path) -> None:
    table = xr.open_dataset(finished / "results/tiny/readouts.nc").to_dataframe()
    assert set(table["model"]) == {"bn_cnn", "ln", "lnln", "glm", "simulated retina"}
    own = xr.open_dataset(finished / "results/tiny/truth.nc", group="omitted_flash")
    slope = table[(table.model == "simulated retina") & (table.readout == "slope") & (table.probe == "omitted_flash")]
    np.testing.assert_array_equal(slope["value"], own["slope"])
    page = finished / "results/tiny/report.html"
    on_the_page = decode(blocks_of(page.read_text(), str(page))["tiny/probe/omitted_flash"])
    assert len(on_the_page["verdicts"]["simulated retina"]) == len(on_the_page["readouts"][0]["values"]["simulated retina"]) == 2


def test_the_most_exciting_movies_are_made_with_the_model_and_shown_to_all(copy: Path) -> None:
    probe = xr.open_dataset(copy / "results/tiny/probes/most_exciting.nc")
    assert probe["condition"].values.tolist() == ["cell01", "cell02", "ch1", "noise"]
    own = xr.open_dataset(copy / RUN / "responses/most_exciting.nc")
    assert (np.diagonal(own["window_rate"].values) > own["window_rate"].values[-1]).all()
    change(copy, "synthesize", most_exciting={"model": "ln"})
    assert planned(copy) == {"synthesize", "respond", "observe", "truth", "summarize", "attribute", *DOWNSTREAM_OF_REDUCE}
    change(copy, "synthesize", most_exciting={"model": "ln", "seed": 2})
    done = run("retmech", "run", "--cores", "2", cwd=copy, check=False)
    assert "synthesize.most_exciting.seed = 2: ln is not trained from it; its seeds: 1" in done.stdout + done.stderr


def test_models_of_all_recordings_are_compared_on_request(copy: Path) -> None:
    change(copy, "consensus", recordings=True)
    assert planned(copy) == {"consensus", "consensus_of_recordings", "draw", "report", "gather"}
    target = "results/.all/bn_cnn/consensus.nc"
    run("retmech", "run", "--cores", "2", target, cwd=copy)
    found = xr.open_dataset(copy / target)
    assert found["run"].values.tolist() == ["tiny/seed1", "tiny/seed2"]


def test_attribution_settings_rerun_attribute_and_what_follows(copy: Path) -> None:
    change(copy, "attribute", baseline="mean")
    assert planned(copy) == {"attribute", *DOWNSTREAM_OF_REDUCE}


def test_attributions_are_complete_in_every_layer_and_pixel(finished: Path) -> None:
    for path in (finished / RUN / "attributions").glob("*.nc"):
        found = xr.open_datatree(path)
        largest = float(found["response"].max())
        assert float(abs(found["completeness_error"]).max()) < 1e-12 * largest
        change = found["response"] - found["baseline_response"]
        for group, channel in (("/", "channel"), ("layer_2", "channel_2")):
            total = (found[group]["excitation"] + found[group]["suppression"]).sum(channel)
            assert float(abs(total - change).max()) < 1e-5 * largest
    pixels = xr.open_datatree(finished / RUN / "attributions/recorded_movie.nc")["pixels"]
    np.testing.assert_allclose(pixels["attribution"].sum(["lag", "pixel_y", "pixel_x"]), pixels["change"], rtol=1e-4, atol=1e-5)


def test_swapped_values_are_seen(copy: Path) -> None:
    change(copy, "reduce", rank=3, max_rank=2)
    assert planned(copy) == DOWNSTREAM_OF_REDUCE


def test_a_probe_touches_no_other_probe_and_no_training(copy: Path) -> None:
    change(copy, "synthesize", latency={"contrasts": [-1, -4]})
    assert planned(copy) == {"synthesize", "respond", "observe", "truth", "summarize", "attribute", *DOWNSTREAM_OF_REDUCE}


def test_a_wrong_config_stops_before_any_job(copy: Path) -> None:
    change(copy, "reduce", rank=-1)
    before = results(copy)
    done = run("retmech", "run", "--cores", "2", cwd=copy, check=False)
    assert done.returncode != 0
    assert "config.yaml: reduce.rank = -1: Input should be greater than or equal to 1" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert results(copy) == before


def test_a_broken_recording_is_one_clear_error(copy: Path) -> None:
    path = copy / "results/raw/insilico/small/naturalscene.h5"
    path.write_bytes(path.read_bytes()[:5000])
    output = copy / "out.nc"
    settings = json.dumps({"blocks": 3})
    done = run(
        "retmech",
        "ingest",
        "--config",
        settings,
        "--stimulus",
        f"naturalscene={path}",
        "--output",
        str(output),
        cwd=copy,
        check=False,
    )
    assert done.returncode == 1
    assert "naturalscene.h5: cannot be read as HDF5" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


def killed(folder: Path, target: str, when: Callable[[], bool], by: signal.Signals = signal.SIGKILL) -> str:
    """Start the pipeline and kill all of it at a moment; return what it said."""
    command = ["retmech", "run", "--cores", "2", target]
    process = subprocess.Popen(
        command,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # what runs in the background ignores it
    )
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, by)
    said = process.communicate()[1]
    assert process.returncode != 0
    return said


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_training_killed_in_its_middle_ends_in_the_same_model(by: signal.Signals, finished: Path, copy: Path) -> None:
    shutil.rmtree(copy / "work")
    (copy / MODEL).unlink()
    seen = copy / "work/checkpoints"
    said = killed(copy, MODEL, lambda: any(len(p.read_text().splitlines()) > 4 for p in seen.glob("*/metrics.csv")), by)
    assert not (copy / MODEL).exists()
    if by == signal.SIGINT:
        assert "stopped train tiny bn_cnn 1" in said
        assert "The run was interrupted" in said
    assert "FAILED" not in said
    run("retmech", "run", "--cores", "2", MODEL, cwd=copy)
    assert "resuming after epoch" in (copy / "logs/train/tiny/bn_cnn/seed1.log").read_text()
    assert (copy / MODEL).read_bytes() == (finished / MODEL).read_bytes()


def test_training_that_was_done_but_not_written_is_not_repeated(finished: Path, copy: Path) -> None:
    (copy / MODEL).unlink()
    run("retmech", "run", "--cores", "2", MODEL, cwd=copy)
    assert "epoch" not in (copy / "logs/train/tiny/bn_cnn/seed1.log").read_text()
    assert (copy / MODEL).read_bytes() == (finished / MODEL).read_bytes()


def test_attribution_killed_in_its_middle_ends_in_the_same_results(finished: Path, copy: Path) -> None:
    target = f"{RUN}/attributions/motion_anticipation.nc"
    for path in (target, f"{RUN}/reduction.nc", f"{RUN}/circuit.nc", "results/tiny/report.html"):
        (copy / path).unlink()
    killed(copy, target, lambda: any((copy / RUN / "attributions").glob(".motion_anticipation.nc.partial-*")))
    assert not (copy / target).exists()
    run("retmech", "run", "--cores", "2", cwd=copy)
    assert results(copy) == results(finished)


@pytest.mark.parametrize("first_run", [["retmech", "run"], ["snakemake"]])
def test_a_second_run_beside_the_first_touches_nothing(copy: Path, first_run: list[str]) -> None:
    (copy / MODEL).unlink()
    shutil.rmtree(copy / "work")
    first = subprocess.Popen([*first_run, "--cores", "1", MODEL], cwd=copy, stderr=subprocess.DEVNULL)
    while not (copy / "work/run.lock").exists():
        assert first.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)  # it is locked right after it is made; the run itself takes many seconds more
    second = run("retmech", "run", "--cores", "1", cwd=copy, check=False)
    assert second.returncode == 1
    assert "another run is under way in this folder" in second.stderr
    planned = run("retmech", "run", "--dry-run", cwd=copy)
    assert "another run" not in planned.stderr
    assert first.wait() == 0
