"""The data of one recording for the page, as blocks that a browser opens one by one."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit import sentences
from retmech.circuit.units import in_words
from retmech.labels import TRUTH
from retmech.reduction import prediction
from retmech.reduction.matrix import channel_attribution
from retmech.report import interneurons, recovery, tables
from retmech.report.blocks import Block, numbers, packed, texts
from retmech.report.summary import headline, strongest, summary
from retmech.settings import ReportSettings
from retmech.study import Run, Study

SERIES = ("condition", "cell", "time")
LEAST_DIFFERENCE = 1.0  # Hz; circuits that differ by less cannot be told apart in an experiment


def payload(study: Study, settings: ReportSettings) -> Iterator[tuple[str, Block]]:
    """All blocks by name: the recording first, then its probes, runs, and what runs say about probes."""
    name = study.name
    yield name, _overview(study)
    yield f"{name}/prediction", _prediction(study, settings.excerpt)
    for probe in study.probes:
        yield f"{name}/probe/{probe}", _probe(study, probe, settings.conditions)
    for run_name, run in study.runs.items():
        if run.circuit is not None:
            yield f"{name}/run/{run_name}", _run(study, run)
            for probe in study.probes:
                yield f"{name}/run/{run_name}/{probe}", _mechanism(study, run, probe, settings.conditions)
    for model, found in study.consensus.items():
        yield f"{name}/consensus/{model}", consensus(found)


def shown_conditions(response: xr.Dataset, most: int) -> list[int]:
    """Conditions whose time courses are on the page: all, or evenly spaced ones and that with the largest response."""
    n = response.sizes["condition"]
    chosen = np.linspace(0, n - 1, min(n, most)).astype(int).tolist()
    largest = int(response["rate"].max(["time", "cell"]).values.argmax())
    return sorted({*chosen, largest})


def _overview(study: Study) -> Block:
    recording = study.recording
    runs = [
        {"name": name, "model": name.partition("/")[0], "seed": name.partition("/")[2], "explained": run.circuit is not None}
        for name, run in study.runs.items()
    ]
    included = recording.dataset["cell"].values[recording.dataset["included"].values > 0]
    first = next(iter(study.runs.values())).responses
    return {
        "name": study.name,
        "summary": summary(study).as_block(),
        "headline": headline(study),
        "text": _of_recording(recording),
        "cells": texts(included),
        "runs": runs,
        "probes": [{"name": p, "conditions": r.sizes["condition"]} for p, r in first.items()],
        "classes": list(recording.children),
        "retinas": [name for name, found in study.retinas.items() if found],
        "tables": tables.recording_tables(recording),
        "fields": _fields(recording),
        "performance": _performance(study),
        "training": {name: _training(run.model.dataset) for name, run in study.runs.items()},
        "start": _start(study),
        "code": str(recording.attrs["code_digest"]),
        "inputs": json.loads(recording.attrs["inputs"]),
    }


def _start(study: Study) -> Block:
    """What the page shows first: the strongest response to a probe that a run does as retinas do."""
    for run in study.runs.values():
        if run.circuit is not None and (found := strongest(run)) is not None:
            return {"probe": found[0], "cell": found[1]}
    return {"probe": next(iter(study.probes)), "cell": str(study.recording.dataset["cell"].values[0])}


def _of_recording(recording: xr.DataTree) -> str:
    return (
        f"{recording.sizes['cell']} cells, {recording.sizes['y']} x {recording.sizes['x']} pixels of "
        f"{float(recording['pixel_size']):g} um at {float(recording['frame_rate']):g} Hz."
    )


def _fields(recording: xr.DataTree) -> Block:
    """Receptive fields of the cells: the map at the lag of its largest value, and the time course at its place."""
    field = recording.dataset["receptive_field"]
    maps, courses, lags = [], [], []
    for values in field.values:
        lag, y, x = np.unravel_index(np.abs(values).argmax(), values.shape)
        maps.append(values[lag])
        courses.append(values[:, y, x])
        lags.append(float(field["lag"][lag]))
    return {
        "name": str(field.attrs["long_name"]),
        "map": packed(maps),
        "course": packed(courses),
        "lag": numbers(lags),
        "lags": numbers(field["lag"]),
        "x": numbers(field["x"]),
        "y": numbers(field["y"]),
        "cells": texts(field["cell"]),
    }


def _performance(study: Study) -> Block:
    """Correlation of every run with every test movie, and the ceiling."""
    found: dict[str, Any] = {}
    for name, run in study.runs.items():
        model = name.partition("/")[0]
        for stimulus, node in run.performance.children.items():
            own = node.dataset.sel(model=model)
            entry = found.setdefault(
                stimulus,
                {"ceiling": numbers(own["noise_ceiling"]), "interval": numbers(own["noise_ceiling_interval"]), "runs": {}},
            )
            entry["runs"][name] = {
                "r": numbers(own["pearson_r"]),
                "interval": numbers(own["pearson_r_interval"]),
                "explained": numbers(own["explained_variance"]),
                "trained": bool(own["trained_on"]),
            }
    return found


def _training(model: xr.Dataset) -> Block:
    keys = ("epoch", "train_loss", "validation_loss", "validation_correlation")
    return {key: numbers(model[key]) for key in keys} | {"best": int(model["best_epoch"].item())}


def _prediction(study: Study, seconds: float) -> Block:
    """The first seconds of each test movie: recorded and predicted rates."""
    found: dict[str, Any] = {}
    for name, run in study.runs.items():
        for stimulus, node in run.performance.children.items():
            time = node.dataset["time"].values
            shown = node.dataset.isel(time=time <= time[0] + seconds)
            entry = found.setdefault(
                stimulus, {"time": numbers(shown["time"]), "recorded": packed(shown["recorded_rate"]), "runs": {}}
            )
            entry["runs"][name] = packed(shown["predicted_rate"].sel(model=name.partition("/")[0]))
    return found


def _probe(study: Study, probe: str, most: int) -> Block:
    """Stimulus, readouts of everything that was shown it, and the responses of what has no mechanism to show."""
    responses = study.responses(probe)
    first = next(iter(study.runs.values())).responses[probe]
    shown = shown_conditions(first, most)
    stimulus = study.probes[probe]
    others = {name: r for name, r in responses.items() if name in study.retinas or study.runs[name].circuit is None}
    return {
        "found": str(first.attrs["found"]),
        "source": str(first.attrs["source"]),
        "criterion": str(first.attrs["criterion"]),
        "conditions": texts(first["condition"]),
        "shown": shown,
        "time": numbers(first["time"]),
        "stimulus": _stimulus(stimulus, shown),
        "sweeps": tables.sweeps(first),
        "varying": tables.varying(responses),
        **tables.readouts(responses),
        "rates": {name: packed(r["rate"].isel(condition=shown).transpose(*SERIES)) for name, r in others.items()},
        "truth": _truth(study, probe, shown),
    }


def _stimulus(probe: xr.Dataset, shown: list[int]) -> Block:
    """A full-field stimulus as its time course, any other as position against time through the middle of the field."""
    movies = probe["stimulus"].isel(condition=shown)
    if probe.attrs["symmetry"] == "y x":
        return {"x": None, "contrast": packed(movies[:, :, 0, 0])}
    middle = movies.isel(y=movies.sizes["y"] // 2)
    return {"x": numbers(probe["x"]), "contrast": packed(middle.transpose("condition", "x", "time"))}


def _truth(study: Study, probe: str, shown: list[int]) -> Block | None:
    """The true parts of a simulated retina's pathways, and what each does to each cell."""
    if TRUTH not in study.retinas:
        return None
    true = study.retinas[TRUTH][probe]
    parts = true["attribution"].transpose("condition", "cell", "pathway", "time")
    dims = ["condition", "time"]
    return {
        "pathways": texts(true["pathway"]),
        "baseline": numbers(true["baseline_rate"]),
        "parts": packed(parts.isel(condition=shown)),
        "strength": numbers(xr.DataArray(np.abs(parts)).mean(dims).transpose("cell", "pathway")),
        # A part is drive times weight: where both rise together the pathway excites.
        "effect": numbers((parts * true["drive"]).mean(dims).transpose("cell", "pathway")),
    }


def _run(study: Study, run: Run) -> Block:
    """The channels, factors and the circuit of one run."""
    assert run.circuit is not None
    assert run.reduction is not None
    circuit, reduction = run.circuit.to_dataset(), run.reduction.to_dataset()
    return {
        "text": sentences.of_circuit(circuit),
        "circuit_doubt": prediction.doubt_of_circuit(circuit, reduction),
        "factors_text": [*_doubt_of_factors(reduction), *sentences.of_factors(circuit)],
        "channels": _channels(circuit),
        "order": {str(s): texts(circuit["order"].sel(selection=s)) for s in circuit["selection"].values},
        "asked": float(circuit["faithfulness_asked"]),
        "probes": texts(circuit["probe"]),
        "curves": _curves(circuit),
        "factors": _factors(circuit, reduction),
        "movies": tables.movies_table(run.circuit),
        "movies_text": sentences.of_movies(run.circuit),
        "discriminating": _discriminating(run.circuit),
        "recovery": None if run.recovery is None else _recovery(study, run.recovery),
        "interneurons": None if run.interneurons is None else interneurons.block(run.interneurons),
    }


def _doubt_of_factors(reduction: xr.Dataset) -> Iterator[str]:
    doubt = prediction.doubt(reduction)
    if doubt:
        yield f"These factors are no result: they do not predict hidden attributions ({doubt})."


def _channels(circuit: xr.Dataset) -> Block:
    words = [
        in_words(*(circuit[key].values[c] for key in ("polarity", "time_to_peak", "biphasic_index")))
        for c in range(circuit.sizes["channel"])
    ]
    keys = ("time_to_peak", "biphasic_index", "extent", "surround_ratio", "separability", "importance", "rank", "polarity")
    return {
        "names": texts(circuit["channel"]),
        "words": words,
        "factor": texts(circuit["channel_factor"]),
        "in_circuit": numbers(circuit["in_circuit"]),
        "temporal": packed(circuit["temporal_filter"]),
        "spatial": packed(circuit["spatial_filter"]),
        "lag": numbers(circuit["lag"]),
        "x": numbers(circuit["kernel_x"]),
        "y": numbers(circuit["kernel_y"]),
        "strength": numbers(circuit["strength"]),
        "effect": numbers(circuit["effect"]),
        "share": numbers(circuit["peak_share"]),
        **{key: numbers(circuit[key]) for key in keys},
    }


def _curves(circuit: xr.Dataset) -> Block:
    dims = ("probe", "cell", "kept")
    return {
        **{str(s): numbers(circuit["correlation"].sel(selection=s).transpose(*dims)) for s in circuit["selection"].values},
        "fixed": numbers(circuit["fixed_correlation"].transpose(*dims)),
        "ablation": numbers(circuit["ablation_correlation"].transpose(*dims)),
        "random": numbers(circuit["random_correlation"].transpose("quantile", *dims)),
        "circuit": numbers(circuit["circuit_correlation"].sel(candidate="circuit").transpose("probe", "cell")),
    }


def _factors(circuit: xr.Dataset, reduction: xr.Dataset) -> Block:
    held_out = reduction["held_out_error"].transpose("rank", "draw").values
    time_error = reduction["time_error"].mean("time_fold")
    return {
        "names": texts(reduction["factor"]),
        "loading": numbers(reduction["loading"].transpose("factor", "sign", "channel")),
        "filter": packed(circuit["factor_filter"]),
        "choice": str(reduction.attrs["rank_choice"]),
        "rank": numbers(reduction["rank"]),
        "held_out": numbers(held_out.mean(axis=1)),
        "held_out_error": numbers(held_out.std(axis=1, ddof=1) / np.sqrt(held_out.shape[1])),
        "null": numbers(reduction["null_error"].mean()),
        "fitted": numbers(reduction["reconstruction_error"]),
        "restarts": numbers(reduction["restart_stability"]),
        "halves": numbers(reduction["split_stability"]),
        "times": {str(a): numbers(time_error.sel(algorithm=a)) for a in time_error["algorithm"].values},
    }


def _discriminating(circuit: xr.DataTree) -> Block | None:
    """What the network and two circuits answer to the movie on which the circuits disagree."""
    if "discriminating" not in circuit.children:
        return None
    found = circuit.children["discriminating"].to_dataset(inherit=True)
    differ, on_noise = float(found["disagreement"].mean()), float(found["noise_disagreement"].mean())
    tells = differ > max(LEAST_DIFFERENCE, 2 * on_noise)
    text = (
        "The rival has as many channels as the circuit, one of them another, and is the next best on the probes. On this movie "
        f"their rates, with fixed weights, differ by {differ:.1f} Hz (root mean square over time), on noise of the same contrast "
        f"by {on_noise:.1f} Hz: "
        + (
            "shown to a retina, it tells which one is right."
            if tells
            else "too little to tell in an experiment which one is right."
        )
    )
    rate = found["rate"].transpose("predictor", "cell", "response_time")
    frames = found["intensity"].values
    return {
        "text": text,
        "time": numbers(found["response_time"]),
        "rate": packed(rate),
        "predictors": texts(found["predictor"])[:3],
        "frames": packed(np.moveaxis(frames, 0, -1)),
        "frame_time": numbers(found["time"]),
    }


def _recovery(study: Study, found: xr.Dataset) -> Block:
    """How the truth was recovered, and the true pathways' own filters where they are known."""
    kernels = None
    if study.retina is not None:
        kernels = {"kernel": packed(study.retina["temporal_kernel"]), "lag": numbers(study.retina["lag"])}
    return {
        "text": recovery.sentences(found),
        "probes": texts(found["probe"]),
        "pathways": texts(found["pathway"]),
        "levels": {str(level): numbers(found["recovery"].sel(level=level).mean("cell")) for level in found["level"].values},
        "untrained": numbers(found["untrained_recovery"]),
        "random": numbers(found["shuffled_recovery"]),
        "random_mean": numbers(found["shuffled_mean"]),
        "pathway_of_channel": [texts(row) for row in found["pathway_of_channel"].transpose("probe", "channel").values],
        "correlation": numbers(found["correlation"].sel(level="group").transpose("probe", "cell", "pathway")),
        "kernels": kernels,
        "tables": tables.recovery_tables(found),
    }


def _mechanism(study: Study, run: Run, probe: str, most: int) -> Block:
    """One run's response to a probe, taken apart."""
    assert run.circuit is not None
    attributions = run.attributions[probe]
    shown = shown_conditions(next(iter(study.runs.values())).responses[probe], most)
    own = attributions.to_dataset()
    series = own[["response", "baseline_response"]].isel(condition=shown).transpose(*SERIES)
    net = channel_attribution(own).isel(condition=shown).transpose("condition", "cell", "channel", "time")
    return {
        "text": sentences.of_probe(run.circuit.to_dataset(), probe),
        "largest": texts(run.circuit.dataset["peak_condition"].sel(probe=probe)),
        "target": str(own.attrs["target"]),
        "from": str(own.attrs["baseline"]),
        "rate": packed(run.responses[probe]["rate"].isel(condition=shown).transpose(*SERIES)),
        "response": packed(series["response"]),
        "baseline": packed(series["baseline_response"]),
        "net": packed(net),
        "activation": packed(_activation(run, probe, shown)),
        "agreement": tables.agreement_table(attributions),
        "pixels": _pixels(attributions),
        "error": float(np.abs(own["completeness_error"]).max()),
    }


def _activation(run: Run, probe: str, shown: list[int]) -> NDArray[np.floating]:
    """Activation of every factor (condition, cell, factor, time) in the responses to a probe."""
    assert run.reduction is not None
    reduction, sizes = run.reduction.dataset, run.attributions[probe].sizes
    rows = reduction["activation"].values[reduction["probe"].values == probe]
    grid = rows.reshape(sizes["condition"], sizes["time"], sizes["cell"], -1)  # the order of the rows
    return np.asarray(grid[shown].transpose(0, 2, 3, 1))


def _pixels(attributions: xr.DataTree) -> Block | None:
    """Where, and when before them, the pixels are that single responses are attributed to."""
    if "pixels" not in attributions.children:
        return None
    found = attributions.children["pixels"].dataset
    values = found["attribution"]
    return {
        "labels": texts(found["response"]),
        "cells": texts(found["response_cell"]),
        "change": numbers(found["change"]),
        "space": packed(values.sum("lag")),
        "time": packed(values.sum(["pixel_y", "pixel_x"])),
        "lag": numbers(found["lag"]),
        "x": numbers(found["pixel_x"]),
        "y": numbers(found["pixel_y"]),
    }


def consensus(found: xr.Dataset) -> Block:
    """What comes back in other runs, and the cell types."""
    return {
        "doubt": prediction.doubt_of_runs(found),
        "runs": texts(found["run"]),
        "channels": texts(found["channel"]),
        **{
            item: {key: numbers(found[f"{item}_{key}"]) for key in ("similarity", "null", "p_value")}
            | {"partner": [[texts(b) for b in a] for a in found[f"{item}_partner"].values]}
            for item in ("channel", "factor")
        },
        "types": numbers(found["type"]),
        "cell_type": numbers(found["cell_type"]),
        "counts": numbers(found["type_counts"]),
        "share": numbers(found["type_share"]),
        "filter": packed(found["type_filter"]),
        "lag": numbers(found["lag"]),
        "count": numbers(found["count"]),
        "silhouette": numbers(found["silhouette"]),
        "probability": numbers(found["count_probability"]),
    }
