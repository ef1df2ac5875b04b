"""How much of the true mechanism comes back, against the length of the recording and its noise.

The default circuit is recorded and trained on from several seeds; four probes are taken apart. What is reported is the recovery
by groups of channels (docs/method.md), beside that of the network before training. Every training takes about as many steps,
whatever the length. `python -m benchmarks.recovery` runs all of it in about 20 minutes and draws docs/images/recovery.png; with
`MINUTES RATE SEED` it does one run and prints its figures.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from benchmarks.compare import Comparison, save
from retmech import io, schemas
from retmech.figures.style import GREY, colour, style
from retmech.insilico import session
from retmech.io import Provenance
from retmech.labels import geometry_of
from retmech.memory import keep_freed_memory
from retmech.models.architectures.bn_cnn import Config
from retmech.probes import latency, motion_anticipation, motion_reversal, omitted_flash
from retmech.quality import pearson
from retmech.readers import stanford
from retmech.recovery import grouped, moments, shares, similarity, weighted_mean
from retmech.reduction.matrix import channel_attribution
from retmech.settings import (
    AttributeSettings,
    IngestSettings,
    Settings,
    SimulatedMovie,
    SimulatedScenes,
    SimulateSettings,
    TruthSettings,
)
from retmech.stages.attribute import attribute
from retmech.stages.evaluate import evaluate
from retmech.stages.ingest import ingest
from retmech.stages.recover import random_model
from retmech.stages.simulate import simulate
from retmech.stages.synthesize import synthesize
from retmech.stages.train import train
from retmech.stages.truth import truth
from retmech.streams import stream

THREADS = 2
MINUTES, RATES, SEEDS = (2, 10, 60), (1.5, 6.0, 24.0), (1, 2, 3)
USUAL = (10, 6.0)
SEEN = 60  # minutes of natural scenes that a training sees, all epochs together
FIGURE = Path("docs/images/recovery.png")
RESULTS = Path("work/benchmarks/recovery.json")
PROBES: dict[str, Settings] = {
    "omitted_flash": omitted_flash.Config(contrast=-3),
    "latency": latency.Config(contrasts=[-0.5, -1, -1.5, -2, -2.5, -3, -4]),
    "motion_reversal": motion_reversal.Config(contrast=-3, width=150),
    "motion_anticipation": motion_anticipation.Config(contrast=-3, width=150, flash=100, positions=9, speeds=[600, 1200]),
}
ATTRIBUTE = AttributeSettings(compare=[])


def run(minutes: int, rate: float, seed: int) -> dict[str, float]:
    """Record, train, and hold the mechanism against the truth."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    scenes = SimulatedScenes(blocks=2, block_duration=30 * minutes)
    noise = SimulatedMovie(blocks=2, block_duration=15 * minutes)
    settings = SimulateSettings(mean_rate=rate, seed=seed, naturalscene=scenes, whitenoise=noise)
    ingestion = IngestSettings(blocks=2, skip=2)
    epochs = max(1, round(SEEN / minutes))
    config = Config(stimulus=["naturalscene", "whitenoise"], kernels=[9, 7], batch_norm="channel", epochs=epochs, patience=epochs)
    simulation = simulate(settings)
    with tempfile.TemporaryDirectory() as folder:
        raw = {name: Path(folder) / f"{name}.h5" for name in simulation.sessions}
        for name, path in raw.items():
            session.write(path, simulation.sessions[name], stream(seed, "spikes of a simulated recording", name))
        recording = ingest({name: stanford.read(path, ingestion) for name, path in raw.items()}, ingestion).gather()
        model = train({"simulated": recording}, config, "bn_cnn", seed, Path(folder))["simulated"]
        probes = _probes(recording, Path(folder))
        true = truth(simulation.retina, recording, probes, TruthSettings())
        performance = evaluate(recording, {"bn_cnn": model})["naturalscene"]
        return {
            "recovery": _recovery(model, probes, true),
            "untrained": _recovery(random_model(model, seed), probes, true),
            "response": float(np.mean([_response(model, probe, true, name) for name, probe in probes.items()])),
            "r": float(performance["pearson_r"].mean()),
        }


def _probes(recording: xr.DataTree, folder: Path) -> dict[str, xr.Dataset]:
    drawn = {}
    for name, config in PROBES.items():
        path = folder / f"{name}.nc"
        io.write_pieces(synthesize(geometry_of(recording), config, name), schemas.PROBE, path, Provenance())
        drawn[name] = io.read_dataset(path, schemas.PROBE)
    return drawn


def _recovery(model: xr.DataTree, probes: dict[str, xr.Dataset], true: xr.DataTree) -> float:
    """Mean over probes and cells of the recovery by groups of channels, decided for each probe by the others."""
    measured, share = {}, {}
    for name, probe in probes.items():
        attributions = attribute(model, probe, ATTRIBUTE, name, THREADS).gather().to_dataset()
        net = channel_attribution(attributions).transpose("condition", "time", "cell", "channel").values
        part = true.children[name]["attribution"].values
        rows, part = (values.reshape(-1, *values.shape[2:]).astype(np.float64) for values in (net, part))
        measured[name], share[name] = moments(rows, part), shares(part)
    found = []
    for name, m in measured.items():
        others = [other for key, other in measured.items() if key != name]
        found.append(np.nanmean(weighted_mean(m.correlation(grouped(others, similarity(others))), share[name])))
    return float(np.mean(found))


def _response(model: xr.DataTree, probe: xr.Dataset, true: xr.DataTree, name: str) -> float:
    """Correlation of the model's response with the retina's, mean over cells."""
    from retmech.stages.respond import respond

    both = (found["rate"].values.reshape(-1, found.sizes["cell"]).T for found in (respond(model, probe), true.children[name]))
    return float(np.mean(pearson(*both)))


def main() -> None:
    """Run all, keep what is done, and draw the curves."""
    wanted = [(m, USUAL[1], s) for m in MINUTES for s in SEEDS] + [
        (USUAL[0], r, s) for r in RATES for s in SEEDS if r != USUAL[1]
    ]
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    for one in wanted:
        key = " ".join(map(str, one))
        if key not in results:
            done = subprocess.run([sys.executable, "-m", __spec__.name, *map(str, one)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{key} failed:\n{done.stderr[-3000:]}")
            results[key] = json.loads(done.stdout.splitlines()[-1])
            RESULTS.write_text(json.dumps(results, indent=1))
        print(key, results[key], flush=True)
    draw(results)
    usual = [results[f"{USUAL[0]} {USUAL[1]} {s}"] for s in SEEDS]
    ours, peer = (float(np.mean([r[key] for r in usual])) for key in ("recovery", "untrained"))
    config = {"minutes": USUAL[0], "rate": USUAL[1], "seeds": len(SEEDS), "circuit": "three_pathway"}
    save([Comparison("recovery", ours / max(peer, 1e-3), ours, peer, "r", config)])


def draw(results: dict[str, Any]) -> None:
    """Recovery and prediction against length and firing rate; every dot is a recording and a training of its own."""
    matplotlib.use("Agg")
    with style():
        figure = Figure(figsize=(9, 3.2))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, points, text in (
            (left, [(m, f"{m} {USUAL[1]}") for m in MINUTES], "length of the recording (min)"),
            (right, [(r, f"{USUAL[0]} {r}") for r in RATES], "mean firing rate (Hz)"),
        ):
            for i, (key, label) in enumerate(LINES.items()):
                values = np.array([[results[f"{name} {s}"][key] for s in SEEDS] for _, name in points])
                x = [p for p, _ in points]
                shade = GREY if key == "untrained" else colour(i)
                axes.plot(x, values.mean(axis=1), "-", color=shade, label=label)
                axes.plot(np.repeat(x, len(SEEDS)), values.ravel(), "o", ms=3, color=shade)
            axes.set_xscale("log")
            axes.set_xticks([p for p, _ in points], [f"{p:g}" for p, _ in points])
            axes.minorticks_off()
            axes.set_xlabel(text)
            axes.set_ylim(-0.05, 1.02)
        left.set_ylabel("correlation")
        right.legend(loc="upper left", bbox_to_anchor=(1, 1))
        figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


LINES = {
    "recovery": "true pathways and groups of channels",
    "response": "responses to the probes",
    "r": "recorded rates, natural scenes",
    "untrained": "pathways, before training",
}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
