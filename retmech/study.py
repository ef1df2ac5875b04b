"""All results of one recording, read from the files where the pipeline puts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from retmech import io, schemas
from retmech.labels import RECORDED, TRUTH


@dataclass(frozen=True)
class Run:
    """What one model and seed gave; a model without interneurons has neither attributions nor a circuit."""

    model: xr.DataTree
    performance: xr.DataTree
    responses: dict[str, xr.Dataset]
    attributions: dict[str, xr.DataTree] = field(default_factory=dict)
    reduction: xr.DataTree | None = None
    circuit: xr.DataTree | None = None
    recovery: xr.Dataset | None = None  # of simulated recordings
    interneurons: xr.Dataset | None = None  # where interneurons were recorded too


@dataclass(frozen=True)
class Study:
    """One recording, its probes, and the runs by ``model/seedN``."""

    name: str
    recording: xr.DataTree
    probes: dict[str, xr.Dataset]
    runs: dict[str, Run]
    consensus: dict[str, xr.Dataset]  # by model
    retinas: dict[str, xr.DataTree]  # responses of retinas themselves, by what they are
    retina: xr.Dataset | None = None  # what the simulated one is made of

    def responses(self, probe: str) -> dict[str, xr.Dataset]:
        """All responses to one probe, by run or retina."""
        found = {name: tree.children[probe].to_dataset() for name, tree in self.retinas.items() if probe in tree.children}
        return found | {name: run.responses[probe] for name, run in self.runs.items()}


def read_study(folder: Path, runs: Sequence[str], probes: Sequence[str], retina: Path | None = None) -> Study:
    """Read the results of a recording from ``results/{recording}``; runs are named ``model/seedN``."""
    read = {run: _read_run(folder / run, probes) for run in runs}
    explained = dict.fromkeys(name.partition("/")[0] for name, run in read.items() if run.circuit is not None)
    return Study(
        name=folder.name,
        recording=io.read(folder / "recording.nc", schemas.RECORDING),
        probes={p: io.read_dataset(folder / "probes" / f"{p}.nc", schemas.PROBE, lazy=True) for p in probes},
        runs=read,
        consensus={model: io.read_dataset(folder / model / "consensus.nc", schemas.CONSENSUS) for model in explained},
        retinas=_read_retinas(folder),
        retina=io.read_dataset(retina, schemas.RETINA) if retina else None,
    )


def _read_run(folder: Path, probes: Sequence[str]) -> Run:
    explained, recovery, interneurons = (folder / "circuit.nc").exists(), folder / "recovery.nc", folder / "interneurons.nc"
    return Run(
        model=io.read(folder / "model.nc", schemas.MODEL),
        performance=io.read(folder / "performance.nc", schemas.PERFORMANCE),
        responses={p: io.read_dataset(folder / "responses" / f"{p}.nc", schemas.RESPONSE) for p in probes},
        attributions={p: io.read(folder / "attributions" / f"{p}.nc", schemas.ATTRIBUTIONS, lazy=True) for p in probes}
        if explained
        else {},
        reduction=io.read(folder / "reduction.nc", schemas.REDUCTION) if explained else None,
        circuit=io.read(folder / "circuit.nc", schemas.CIRCUIT) if explained else None,
        recovery=io.read_dataset(recovery, schemas.RECOVERY) if recovery.exists() else None,
        interneurons=io.read_dataset(interneurons, schemas.INTERNEURONS) if interneurons.exists() else None,
    )


def _read_retinas(folder: Path) -> dict[str, xr.DataTree]:
    retinas = {RECORDED: io.read(folder / "observed.nc", schemas.OBSERVED)}
    if (folder / "truth.nc").exists():
        retinas[TRUTH] = io.read(folder / "truth.nc", schemas.TRUTH)
    return retinas
