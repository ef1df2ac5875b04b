"""All results of one recording that its page is made of."""

from dataclasses import dataclass, field

import xarray as xr


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
    retinas: dict[str, dict[str, xr.Dataset]]  # responses of retinas themselves, by what they are and probe
    retina: xr.Dataset | None = None  # what the simulated one is made of

    def responses(self, probe: str) -> dict[str, xr.Dataset]:
        """All responses to one probe, by run or retina."""
        found = {name: own[probe] for name, own in self.retinas.items() if probe in own}
        return found | {name: run.responses[probe] for name, run in self.runs.items()}
