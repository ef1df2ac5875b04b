"""Every panel of the results as a figure of its own, for papers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import xarray as xr
from matplotlib.figure import Figure

from retmech.figures import attributions as attribution_figures
from retmech.figures import circuit as circuit_figures
from retmech.figures import consensus as consensus_figures
from retmech.figures import factors as factor_figures
from retmech.figures import interneurons as interneuron_figures
from retmech.figures import models as model_figures
from retmech.figures import probes as probe_figures
from retmech.figures import readouts as readout_figures
from retmech.figures import recording as recording_figures
from retmech.figures import recovery as recovery_figures
from retmech.figures.files import written
from retmech.figures.mechanism import mechanism
from retmech.figures.phenomena import columns, phenomena
from retmech.figures.readouts import Responses
from retmech.figures.style import style
from retmech.labels import TRUTH
from retmech.settings import DrawSettings

Named = tuple[str, Figure]


@dataclass(frozen=True)
class Overview:
    """What is drawn of a recording and all its runs, which are named ``model/seedN``."""

    recording: xr.DataTree
    models: Mapping[str, xr.DataTree]
    performance: Mapping[str, xr.DataTree]
    probes: Mapping[str, xr.Dataset]
    responses: Mapping[str, Responses]  # by run or retina, and probe
    consensus: Mapping[str, xr.Dataset]  # by model


@dataclass(frozen=True)
class Mechanism:
    """What is drawn of one run."""

    name: str
    probes: Mapping[str, xr.Dataset]
    responses: Mapping[str, Responses]  # by run or retina, and probe
    attributions: Mapping[str, xr.DataTree]
    reduction: xr.Dataset
    circuit: xr.DataTree
    recovery: xr.Dataset | None = None  # of simulated recordings
    interneurons: xr.Dataset | None = None  # where interneurons were recorded too


def draw(results: Overview | Mechanism, settings: DrawSettings) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the contents of every file: PDF, SVG and CSV of each figure, one figure at a time."""
    with style():
        figures = _of_recording(results, settings) if isinstance(results, Overview) else _of_run(results)
        for name, figure in figures:
            yield from written(figure, name).items()


def _of_recording(results: Overview, settings: DrawSettings) -> Iterator[Named]:
    yield "recording", recording_figures.movie_and_responses(results.recording, settings.excerpt)
    yield "receptive_fields", recording_figures.receptive_fields(results.recording)
    yield "training", model_figures.training_curves(results.models)
    baselines = {str(m) for tree in results.performance.values() for m in tree.to_dataset()["model"].values[1:]}
    for run, tree in results.performance.items():
        if run.partition("/")[0] in baselines:
            continue  # drawn beside the models that it is held against
        for stimulus, node in tree.children.items():
            figure = model_figures.prediction(node.to_dataset(inherit=True), settings.excerpt)
            yield f"prediction_{stimulus}_{file_name(run)}", figure
    shown = next((run for run in results.models if run.partition("/")[0] not in baselines), next(iter(results.models)))
    if columns(results.probes):
        yield "phenomena", phenomena(results.probes, results.responses, shown)
    for probe in results.probes:
        found = {name: responses[probe] for name, responses in results.responses.items() if probe in responses}
        if readout_figures.per_cell(found[shown]):
            yield f"{probe}_readouts", readout_figures.of_cells(found)
    for model, consensus in results.consensus.items():
        yield f"reproduction_{model}", consensus_figures.reproduction(consensus)
        yield f"cell_types_{model}", consensus_figures.cell_types(consensus)


def _of_run(results: Mechanism) -> Iterator[Named]:
    if columns(results.probes):
        yield "phenomena", phenomena(results.probes, results.responses, results.name)
    for probe in results.probes:
        yield from _of_probe(results, probe)
    yield "factors", factor_figures.factors(results.reduction)
    yield "ranks", factor_figures.ranks(results.reduction)
    circuit = results.circuit.to_dataset()
    yield "channels", circuit_figures.channels(circuit)
    yield "faithfulness", circuit_figures.faithfulness(circuit)
    if "discriminating" in results.circuit.children:
        found = results.circuit.children["discriminating"].to_dataset(inherit=True)
        yield "discriminating_movie", circuit_figures.discriminating(found)
    if results.recovery is not None:
        yield "recovery", recovery_figures.summary(results.recovery)
    if results.interneurons is not None:
        yield "interneurons", interneuron_figures.correlations(results.interneurons)


def _of_probe(results: Mechanism, probe: str) -> Iterator[Named]:
    response, tree = results.responses[results.name][probe], results.attributions[probe]
    attributions, condition = tree.to_dataset(), probe_figures.example_condition(response)
    yield f"{probe}_responses", probe_figures.stimulus_and_responses(results.probes[probe], attributions, response)
    if probe_figures.varying_readouts(response):
        yield f"{probe}_sweep", probe_figures.readouts(response)
    if "alternatives" in tree.children:
        yield f"{probe}_alternatives", attribution_figures.alternatives(tree, condition)
    if "pixels" in tree.children:
        yield f"{probe}_pixels", attribution_figures.pixels(tree.children["pixels"].to_dataset())
    reduced = results.circuit.children["probes"].children[probe].dataset["reduced_rate"]
    yield f"{probe}_reduced", circuit_figures.reduced_responses(reduced, attributions["response"], probe, condition)
    yield f"mechanism_{probe}", mechanism(probe, results.probes[probe], response, attributions, results.circuit)
    true = results.responses.get(TRUTH, {}).get(probe)
    if results.recovery is not None and true is not None:
        yield f"{probe}_parts", recovery_figures.parts(true, results.recovery, attributions, response, probe)


def file_name(run: str) -> str:
    """Return a run's name as part of a file's: ``model_seedN``."""
    return run.replace("/", "_")
