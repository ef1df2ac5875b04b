"""One self-contained page about one recording: a figure for every stage."""

import json

import numpy as np
import xarray as xr

from retmech.report import attributions as attribution_figures
from retmech.report import circuit as circuit_figures
from retmech.report import models as model_figures
from retmech.report import probes as probe_figures
from retmech.report import recording as recording_figures
from retmech.report.page import Picture, Section, Table, render
from retmech.report.style import embed, style
from retmech.settings import ReportSettings
from retmech.study import Run, Study

FAITHFUL = 0.9  # the correlation at which a reduced circuit counts as faithful in the summary


def report(study: Study, settings: ReportSettings) -> str:
    """Return the page of a study as HTML."""
    with style():
        sections = [_recording(study, settings), _training(study), *_prediction(study, settings)]
        for name, run in study.runs.items():
            if run.circuit is not None:
                sections += [_probe(study, name, run, probe) for probe in study.probes]
                sections += [_factors(name, run), _circuit(name, run)]
    return render(study, findings(study), sections)


def findings(study: Study) -> list[str]:
    """The results in a few sentences, each from a variable of a file."""
    lines = []
    for name, run in study.runs.items():
        own = name.split("/")[0]
        for stimulus, node in run.performance.children.items():
            r = node.dataset["pearson_r"].sel(model=own)
            ceiling = node.dataset["noise_ceiling"]
            held_out = "" if node.dataset["trained_on"].sel(model=own) else ", on which it was not trained,"
            lines.append(
                f"{name} predicts {stimulus}{held_out} with r = {_mean(r)} (mean over {r.size} cells), "
                f"{100 * float((r / ceiling).mean()):.0f} % of the noise ceiling of {_mean(ceiling)}."
            )
    for name, run in study.runs.items():
        lines += _circuit_findings(name, run)
    return lines


def _circuit_findings(name: str, run: Run) -> list[str]:
    if run.circuit is None:
        return []
    lines = []
    for probe, attributions in run.attributions.items():
        worst = float(np.abs(attributions["completeness_error"]).max() / np.abs(attributions["response"]).max())
        enough = np.asarray(run.circuit.dataset["correlation"].sel(probe=probe).min("cell").values >= FAITHFUL)
        kept = f"{int(np.argmax(enough)) + 1} of {enough.size} channels" if enough.any() else "no number of channels"
        lines.append(
            f"{name}, {probe}: attributions are complete to {worst:.1e} of the largest response; {kept} suffice for "
            f"r >= {FAITHFUL} with the model in every cell."
        )
    return lines


def _mean(values: xr.DataArray) -> str:
    return f"{float(values.mean()):.2f}"


def _recording(study: Study, settings: ReportSettings) -> Section:
    recording = study.recording
    parts = [
        [name, part, f"{node[part].sizes['time'] / float(recording['frame_rate']):.0f}"]
        for name, node in recording.children.items()
        for part in ("train", "validation", "test")
    ]
    ceilings = [
        [name, str(cell), f"{float(node['train/rate'].sel(cell=cell).mean()):.1f}", f"{float(ceiling):.2f}"]
        for name, node in recording.children.items()
        for cell, ceiling in zip(
            recording.dataset["cell"].values, node.children["test"].dataset["noise_ceiling"].values, strict=True
        )
    ]
    return Section(
        "Recording",
        f"{recording.sizes['cell']} cells, {recording.sizes['y']} x {recording.sizes['x']} pixels of "
        f"{float(recording['pixel_size']):g} um at {float(recording['frame_rate']):g} Hz.",
        [
            Picture(
                embed(recording_figures.movie_and_responses(recording, settings.excerpt)),
                "Test movies and the responses to them: trial average, and in grey the 10-90 % range of single trials.",
            ),
            Picture(
                embed(recording_figures.receptive_fields(recording)),
                "Receptive fields: "
                + str(recording.dataset["receptive_field"].attrs["long_name"])
                + ", at the lag of the largest value, and the time course at its place.",
            ),
        ],
        [
            Table("Length of the parts", ["stimulus", "part", "s"], parts),
            Table("Cells", ["stimulus", "cell", "mean rate (Hz)", "noise ceiling (r)"], ceilings),
        ],
    )


def _training(study: Study) -> Section:
    figure = model_figures.training_curves({name: run.model for name, run in study.runs.items()})
    caption = (
        "Training stops when the validation loss does not fall any more; the best epoch's weights are kept. A model fitted "
        "to spike counts (the GLM) is judged by single bins' counts here, the others by the smoothed rate."
    )
    return Section("Training", "", [Picture(embed(figure), caption)])


def _prediction(study: Study, settings: ReportSettings) -> list[Section]:
    sections = []
    for name, run in study.runs.items():
        if run.circuit is None and len(study.runs) > 1:
            continue  # a baseline is drawn beside the models that it is held against
        pictures = [
            Picture(
                embed(model_figures.prediction(node.to_dataset(inherit=True), settings.excerpt)),
                f"Recorded rate (average over trials) and predictions for the test movie of {stimulus}; the model was "
                f"trained on {', '.join(json.loads(run.model.attrs['architecture_settings'])['stimulus'])}.",
                stimulus,
            )
            for stimulus, node in run.performance.children.items()
        ]
        tables = [_performance(stimulus, node.dataset) for stimulus, node in run.performance.children.items()]
        sections.append(Section(f"Prediction, {name}", "", pictures, tables))
    return sections


def _performance(stimulus: str, performance: xr.Dataset) -> Table:
    header = [
        "model",
        "trained on it",
        *(f"r, {cell}" for cell in performance["cell"].values),
        "mean r",
        "mean explainable variance",
    ]
    low, high = performance["noise_ceiling_interval"].values
    rows = [
        [
            str(model),
            "yes" if performance["trained_on"].sel(model=model) else "no",
            *(
                f"{r:.2f} ({low:.2f}-{high:.2f})"
                for r, low, high in zip(
                    performance["pearson_r"].sel(model=model).values,
                    *performance["pearson_r_interval"].sel(model=model).values,
                    strict=True,
                )
            ),
            f"{float(performance['pearson_r'].sel(model=model).mean()):.2f}",
            f"{float(performance['explained_variance'].sel(model=model).mean()):.2f}",
        ]
        for model in performance["model"].values
    ]
    ceiling = performance["noise_ceiling"].values
    rows.append(
        [
            "noise ceiling",
            "",
            *(f"{c:.2f} ({a:.2f}-{b:.2f})" for c, a, b in zip(ceiling, low, high, strict=True)),
            f"{ceiling.mean():.2f}",
            "1",
        ]
    )
    return Table(f"Correlation with the trial average of {stimulus} (95 % confidence interval)", header, rows)


def _probe(study: Study, name: str, run: Run, probe: str) -> Section:
    response, attributions = run.responses[probe], run.attributions[probe]
    per_cell = [n for n, v in response.data_vars.items() if v.dims == ("cell",)]
    header = ["run", "readout", *map(str, response["cell"].values), "expected"]
    rows = [
        [other, f"{response[n].attrs['long_name']} ({response[n].attrs['units']})"]
        + [f"{v:.3g}" if np.isfinite(v) else "no response" for v in found.responses[probe][n].values]
        + [str(response[n].attrs.get("expected", ""))]
        for n in per_cell
        for other, found in study.runs.items()
    ]
    pictures = [
        Picture(
            embed(probe_figures.stimulus_and_responses(study.probes[probe], attributions.to_dataset(), response)),
            "Left: stimulus of the condition with the largest response, and each cell's response to all conditions. Right: "
            "attributions of that condition to the first-layer channels, stacked on the response to the baseline "
            f"({attributions.attrs['baseline']}); black: what is attributed, the {attributions.attrs['target']}.",
        )
    ]
    if any(v.dims == ("condition", "cell") for v in response.data_vars.values()):
        caption = "Readouts against the sweep; cells that do not respond are left out."
        pictures.append(Picture(embed(probe_figures.readouts(response)), caption))
    return Section(
        f"{probe}, {name}",
        f"Found in retinas: {response.attrs['found']} ({response.attrs['source']})",
        pictures + _alternatives(attributions, response),
        [Table("Readouts per cell", header, rows), *_agreement(attributions)],
    )


def _alternatives(attributions: xr.DataTree, response: xr.Dataset) -> list[Picture]:
    """What the attributions would be by other conventions, and to what pixels."""
    pictures = []
    if "alternatives" in attributions.children:
        figure = attribution_figures.alternatives(attributions, probe_figures.example_condition(response))
        caption = (
            "The same attributions from other baselines and by other measures, for the cell whose response changes most; black: "
            "their sum, which for a complete measure is the change of the response from the baseline."
        )
        pictures.append(Picture(embed(figure), caption))
    if "pixels" in attributions.children:
        figure = attribution_figures.pixels(attributions.children["pixels"].to_dataset())
        caption = (
            "Single responses attributed to the pixels before them, summed over all frames, and over the pixels of each frame."
        )
        pictures.append(Picture(embed(figure), caption))
    return pictures


def _agreement(attributions: xr.DataTree) -> list[Table]:
    if "agreement" not in attributions.children:
        return []
    found = attributions.children["agreement"].to_dataset(inherit=True)
    header = ["measure", *(f"r, {cell}" for cell in found["cell"].values), "mean r", "incompleteness"]
    rows = [
        [
            str(measure),
            *(_number(r) for r in found["correlation"].values[i]),
            _number(float(found["correlation"][i].mean())),
            _percent(float(found["incompleteness"][i].mean())),
        ]
        for i, measure in enumerate(found["measure"].values)
    ]
    caption = "Other baselines and measures: correlation with the attributions to channels, and what their sum misses"
    return [Table(caption, header, rows)]


def _number(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "undefined"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if np.isfinite(value) else "undefined"


def _factors(name: str, run: Run) -> Section:
    assert run.reduction is not None
    caption = (
        "Nonnegative factors of all probes' attributions: each channel's share, mean activation by each probe and cell, "
        "error and stability against the number of factors."
    )
    return Section(f"Factors, {name}", "", [Picture(embed(circuit_figures.factors(run.reduction)), caption)])


def _circuit(name: str, run: Run) -> Section:
    assert run.circuit is not None
    pictures = [
        Picture(
            embed(circuit_figures.channels(run.circuit.to_dataset())),
            "First-layer channels in order of importance: separable spatial and temporal filter, polarity, time to peak, "
            "and the factor that has the largest share of the channel.",
        ),
        Picture(
            embed(circuit_figures.faithfulness(run.circuit.to_dataset())),
            "Faithfulness of the circuit that keeps only the most important channels; random choices in grey.",
        ),
    ]
    for probe, response in run.responses.items():
        reduced = run.circuit.children[probe].dataset["reduced_rate"]
        figure = circuit_figures.reduced_responses(reduced, response["rate"], probe, probe_figures.example_condition(response))
        pictures.append(Picture(embed(figure), str(reduced.attrs["long_name"]).capitalize() + "."))
    return Section(f"Circuit, {name}", "", pictures)
