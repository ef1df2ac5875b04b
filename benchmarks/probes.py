"""All probes of one model at the published geometry: drawn, written, read a condition at a time, answered and read out.

`python -m benchmarks.probes` prints seconds for each probe, and the peak memory of all of them in one process.
"""

import tempfile
import time
from pathlib import Path

import torch

from benchmarks.attribution import GEOMETRY, MODEL, THREADS, prepare
from benchmarks.compare import peak_memory
from retmech import io, registry, schemas
from retmech.io import Provenance
from retmech.memory import keep_freed_memory
from retmech.stages.respond import respond
from retmech.stages.synthesize import drawn_from_defaults, synthesize


def main() -> None:
    """Time every probe that needs nothing but a geometry."""
    prepare()
    keep_freed_memory()
    torch.set_num_threads(THREADS)
    model = io.read(MODEL, schemas.MODEL)
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(drawn_from_defaults, registry.names("probe")):
            path = Path(folder) / f"{name}.nc"
            start = time.perf_counter()
            io.write_pieces(synthesize(GEOMETRY, registry.load("probe", name).Config(), name), schemas.PROBE, path, Provenance())
            drawn = time.perf_counter()
            probe = io.read_dataset(path, schemas.PROBE, lazy=True)
            io.write(respond(model, probe), schemas.RESPONSE, Path(folder) / "response.nc", Provenance())
            end = time.perf_counter()
            total += end - start
            frames = probe.sizes["condition"] * probe.sizes["time"]
            print(f"{name:20} {frames:6} frames: drawn in {drawn - start:5.1f} s, answered in {end - drawn:5.1f} s", flush=True)
    print(f"{'all':20} {total:.1f} s, at most {peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
