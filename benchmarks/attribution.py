"""Attribution of a whole probe to the first layer: retmech's exact integral and Captum's layer methods at equal completeness.

The published network at the published geometry, trained for a short while on a simulated retina, sees motion reversal. All of
its frames are attributed for five cells by retmech, and written; Captum, whose cost is the same for every frame, attributes a
sample of them, with the fewest nodes at which its completeness residual is within a tolerance in all of the sample. What is
reported is the time per frame, of all five cells.

`python -m benchmarks.attribution` runs all in turn; with a name it runs one and prints its figures.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from captum.attr import IntegratedGradients, LayerConductance, LayerIntegratedGradients
from torch import Tensor, nn

from benchmarks.compare import Comparison, measure, median, peak_memory, save
from retmech import io, schemas
from retmech.attribution.drives import Drives
from retmech.geometry import Geometry
from retmech.insilico import session
from retmech.io import Provenance
from retmech.memory import keep_freed_memory
from retmech.models.architectures.bn_cnn import BNCNN, Config
from retmech.models.network import Network
from retmech.models.store import load_network, weights_to_dataset
from retmech.probes import motion_reversal
from retmech.provenance import canonical_json
from retmech.readers import stanford
from retmech.settings import AttributeSettings, IngestSettings, SimulatedMovie, SimulatedScenes, SimulateSettings
from retmech.stages.attribute import attribute
from retmech.stages.ingest import ingest
from retmech.stages.simulate import simulate
from retmech.stages.synthesize import synthesize
from retmech.stages.train import train

THREADS, ROUNDS, CELLS = 2, 3, 5
FOLDER = Path("work/benchmarks")
MODEL, PROBE = FOLDER / "model.nc", FOLDER / "motion_reversal.nc"
GEOMETRY = Geometry((50, 50), 100.0, 25.0)
TOLERANCE = 1e-3  # of the probe's largest response
SCENES = SimulatedScenes(blocks=3, block_duration=60, test_duration=5, repeats=5)
SHORT = SimulatedMovie(blocks=3, block_duration=6, test_duration=2, repeats=2)
TRAIN = Config(epochs=4, patience=4)
SAMPLE = slice(131, None, 399)  # frames that Captum attributes: soon after the reversal in every second condition
NODES = (16, 32, 64, 128, 256, 512, 1024)
FIXED = 32  # Captum's nodes where only the growth of its cost is looked at
BATCHES = (32, 128, 512)  # Captum's internal batch sizes
SCALING = {"conditions": (2, 8), "cells": (1, 5), "channels": (4, 16)}


PAPER = {
    "frames": "50 x 50",
    "history": 40,
    "channels": [8, 8],
    "kernels": [15, 11],
    "cells": CELLS,
    "threads": THREADS,
    "probe": "motion_reversal",
}


class OneResponse(nn.Module):
    """The network with one output row per clip, as Captum expects."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> Tensor:
        """Rates (n, cell) in Hz of clips of one history each."""
        rate: Tensor = self.network(clip)[:, 0]
        return rate


class Upper(nn.Module):
    """The layers above the first: what is left if one gives Captum their input, which its users rarely do."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, drive: Tensor) -> Tensor:
        """Rates (n, cell) in Hz of the first layer's output (n, channel, y, x)."""
        return self.network.upper(drive)


def prepare() -> None:
    """Train the network and draw the probe, once."""
    if PROBE.exists():
        return
    settings = SimulateSettings(cells=CELLS, size=50, pixel_size=25, naturalscene=SCENES, whitenoise=SHORT)
    ingestion = IngestSettings(blocks=3, skip=1, pixel_size=25)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "naturalscene.h5"
        session.write(raw, simulate(settings).sessions["naturalscene"], np.random.default_rng(0))
        recording = ingest({"naturalscene": stanford.read(raw, ingestion)}, ingestion).gather()
        model = train({"simulated": recording}, TRAIN, "bn_cnn", 1, Path(folder))["simulated"]
    io.write(model, schemas.MODEL, MODEL, Provenance())
    probe = synthesize(GEOMETRY, motion_reversal.Config(contrast=-3), "motion_reversal")
    io.write_pieces(probe, schemas.PROBE, PROBE, Provenance())


def loaded() -> tuple[xr.DataTree, xr.Dataset]:
    """The trained model and the probe, which is read as it is needed."""
    return io.read(MODEL, schemas.MODEL), io.read_dataset(PROBE, schemas.PROBE, lazy=True)


def ours(model: xr.DataTree, probe: xr.Dataset) -> dict[str, float]:
    """Attribute the whole probe and write the file, as the stage does."""
    settings = AttributeSettings(compare=[])
    warm = attribute(model, probe.isel(condition=[0], time=slice(0, 4)), settings, threads=THREADS)
    warm.gather()  # the walk is compiled once on a machine
    path = FOLDER / "attributions.nc"
    start = time.perf_counter()
    io.write_pieces(attribute(model, probe, settings, threads=THREADS), schemas.ATTRIBUTIONS, path, Provenance())
    seconds = time.perf_counter() - start
    found = io.read_dataset(path, schemas.ATTRIBUTIONS, lazy=True)
    residual = float(abs(found["completeness_error"]).max() / abs(found["response"]).max())
    frames = found.sizes["condition"] * found.sizes["time"]
    nodes = float(found["nodes"].mean())
    return {"seconds": seconds / frames, "residual": residual, "nodes": nodes, "memory": peak_memory()}


def sample(network: Network, probe: xr.Dataset) -> tuple[Tensor, float]:
    """Stimulus histories (n, history, y, x) of some frames, and the probe's largest response."""
    drives = Drives(network, probe, "motion_reversal", np.zeros(GEOMETRY.shape, np.float32), AttributeSettings())
    spans = list(drives.spans(1))[SAMPLE]
    with torch.no_grad():
        largest = max(float(network.upper(drives.drive(span)).max()) for span in drives.spans(256))
    return torch.from_numpy(np.stack([drives.clip(span) for span in spans])), largest


def captum(method: str, tried: Sequence[int] = NODES) -> Callable[[xr.DataTree, xr.Dataset], dict[str, float]]:
    """Time one of Captum's methods."""

    def run(model: xr.DataTree, probe: xr.Dataset) -> dict[str, float]:
        network = load_network(model)
        clips, largest = sample(network, probe)
        explain = explainer(method, network, clips)
        batch = min(BATCHES, key=lambda size: timed(lambda: explain(0, 64, size)))
        with torch.no_grad():
            change = OneResponse(network)(clips) - OneResponse(network)(torch.zeros_like(clips[:1]))
        for nodes in tried:
            start = time.perf_counter()
            found = [explain(cell, nodes, batch) for cell in range(model.sizes["cell"])]
            seconds = time.perf_counter() - start
            residual = max(float((a.flatten(1).sum(1) - change[:, k]).abs().max()) for k, a in enumerate(found)) / largest
            if residual <= TOLERANCE:
                break
        return {"seconds": seconds / len(clips), "residual": residual, "nodes": nodes, "batch": batch, "memory": peak_memory()}

    return run


def explainer(method: str, network: Network, clips: Tensor) -> Callable[[int, int, int], Tensor]:
    """(cell, nodes, internal batch size) -> attributions (n, ...) of all clips."""
    if method == "captum-upper":
        with torch.no_grad():
            drive = network.first_layer(clips)[:, 0]
        tool = IntegratedGradients(Upper(network))
        return lambda cell, nodes, batch: tool.attribute(drive, target=cell, n_steps=nodes, internal_batch_size=batch).detach()
    layer = {"captum-lig": LayerIntegratedGradients, "captum-conductance": LayerConductance}[method](
        OneResponse(network), network.first_layer
    )
    return lambda cell, nodes, batch: layer.attribute(clips, target=cell, n_steps=nodes, internal_batch_size=batch).detach()


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


GROWING = ("retmech", "captum-lig")
CONTESTANTS: dict[str, Callable[[xr.DataTree, xr.Dataset], dict[str, float]]] = {
    "retmech": ours,
    "captum-lig": captum("captum-lig"),
    "captum-conductance": captum("captum-conductance"),
    "captum-upper": captum("captum-upper"),
}


def contestant(case: str) -> None:
    """Run one contestant, or one case NAME:AXIS:SIZE of how its cost grows, and print its figures."""
    torch.set_num_threads(THREADS)
    name, *scale = case.split(":")
    if name == "retmech":
        keep_freed_memory()
    model, probe = loaded()
    run = CONTESTANTS[name]
    if scale:
        model, probe = scaled(scale[0], int(scale[1]), model, probe)
        run = run if name == "retmech" else captum(name, (FIXED,))
    print(json.dumps(run(model, probe)))


def scaled(axis: str, size: int, model: xr.DataTree, probe: xr.Dataset) -> tuple[xr.DataTree, xr.Dataset]:
    """So many of the probe's conditions, of the model's cells, or an untrained model with so many channels in each layer."""
    if axis == "conditions":
        return model, probe.isel(condition=slice(0, size))
    if axis == "cells":
        return model.isel(cell=slice(0, size)), probe
    torch.manual_seed(0)
    config = TRAIN.model_copy(update={"channels": [size, size], "batch_norm_momentum": 0.5})
    network = BNCNN(config, GEOMETRY, CELLS)
    for _ in range(3):
        network(torch.randn(2, 80, *GEOMETRY.shape))
    tree = xr.DataTree.from_dict({"/": model.to_dataset(), "/weights": weights_to_dataset(network)})
    tree.attrs = model.attrs | {"architecture_settings": canonical_json(config.model_dump(mode="json"))}
    return tree, probe


def growth() -> None:
    """Print how time and memory of retmech and of Captum's layer method grow with frames, cells and channels."""
    cases = {(axis, size): f"{axis}:{size}" for axis, sizes in SCALING.items() for size in sizes}
    print(f"{'':16}  {'retmech':>10}  {'memory':>8}  {'captum-lig':>10}  {'memory':>8}   (ms for a frame of all cells, MB)")
    for (axis, size), case in cases.items():
        us, they = (measure("benchmarks.attribution", [f"{name}:{case}"], 1)[f"{name}:{case}"][0] for name in GROWING)
        row = f"{1e3 * us['seconds']:10.1f}  {us['memory']:8.0f}  {1e3 * they['seconds']:10.0f}  {they['memory']:8.0f}"
        print(f"{size:4} {axis:11}  {row}")


def main() -> None:
    """Compare all contestants."""
    prepare()
    results = measure("benchmarks.attribution", list(CONTESTANTS), ROUNDS)
    comparisons = []
    for peer in list(CONTESTANTS)[1:]:
        config = PAPER | {key: [median(results[who], key) for who in ("retmech", peer)] for key in ("nodes", "residual")}
        for name, key, unit, factor in (("time", "seconds", "ms/frame", 1e3), ("memory", "memory", "MB", 1.0)):
            we, they = (factor * median(results[who], key) for who in ("retmech", peer))
            comparisons.append(Comparison(f"attribution-{name}-{peer}", they / we, we, they, unit, config))
    save(comparisons)
    for who, found in results.items():
        print(f"{who}: {median(found, 'nodes'):.0f} nodes or segments, residual {median(found, 'residual'):.1e} of the largest")
    growth()


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else contestant(sys.argv[1])
