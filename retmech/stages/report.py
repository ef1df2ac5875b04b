"""One self-contained page about one recording: a figure for every stage."""

import json
from itertools import combinations

import numpy as np
import xarray as xr

from retmech.circuit import sentences
from retmech.circuit.units import in_words
from retmech.report import attributions as attribution_figures
from retmech.report import circuit as circuit_figures
from retmech.report import consensus as consensus_figures
from retmech.report import interneurons as interneuron_section
from retmech.report import models as model_figures
from retmech.report import probes as probe_figures
from retmech.report import recording as recording_section
from retmech.report import recovery as recovery_section
from retmech.report.page import Picture, Section, Table, render
from retmech.report.style import embed, style
from retmech.settings import ReportSettings
from retmech.stages.summarize import readouts_per_cell
from retmech.study import Run, Study


def report(study: Study, settings: ReportSettings) -> str:
    """Return the page of a study as HTML."""
    with style():
        sections = [recording_section.section(study.recording, settings.excerpt), _training(study), *_prediction(study, settings)]
        first: dict[str, str] = {}  # the run whose probes are drawn, that of the model's first seed
        for name, run in study.runs.items():
            if run.circuit is not None:
                is_first = first.setdefault(name.partition("/")[0], name) == name
                if is_first:
                    sections += [_probe(study, name, run, probe) for probe in study.probes]
                sections += [_factors(name, run), _circuit(name, run), *_tests(name, run)]
                sections += [recovery_section.section(study, name, run, is_first)] if run.recovery is not None else []
                sections += [interneuron_section.section(name, run.interneurons)] if run.interneurons is not None else []
        sections += [_consensus(model, found) for model, found in study.consensus.items()]
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
    for model, found in study.consensus.items():
        lines += _consensus_findings(model, found)
    return lines


def _circuit_findings(name: str, run: Run) -> list[str]:
    if run.circuit is None:
        return []
    lines = []
    for probe, attributions in run.attributions.items():
        worst = float(np.abs(attributions["completeness_error"]).max() / np.abs(attributions["response"]).max())
        lines.append(f"{name}, {probe}: attributions are complete to {worst:.1e} of the largest response.")
    assert run.reduction is not None
    lines.append(f"{name}, number of factors: {run.reduction.attrs['rank_choice']}.")
    said = sentences.of_circuit(run.circuit.to_dataset())
    said += recovery_section.sentences(run.recovery) if run.recovery is not None else []
    said += interneuron_section.sentences(run.interneurons) if run.interneurons is not None else []
    return [*lines, *(f"{name}: {sentence}" for sentence in said)]


def _consensus_findings(model: str, found: xr.Dataset) -> list[str]:
    lines = []
    for a, b in combinations(range(found.sizes["run"]), 2):
        for item in ("channel", "factor"):
            if not np.isfinite(found[f"{item}_p_value"][a, b]):
                lines.append(f"{model}: {found['run'].values[a]} or {found['run'].values[b]} has no {item} that does anything.")
                continue
            mean = float(found[f"{item}_similarity"][a, b].mean())
            low, middle, high = found[f"{item}_null"].values[:, a, b]
            lines.append(
                f"{model}: the {item}s of {found['run'].values[a]} and {found['run'].values[b]} match with a mean similarity of "
                f"{mean:.2f}; shuffled ones with {middle:.2f} ({low:.2f}-{high:.2f}), "
                f"p = {float(found[f'{item}_p_value'][a, b]):.3f}."
            )
    if not found["cell_type"].values.any():
        return [*lines, f"{model}: no channel does anything: there are no cell types."]
    best = int(found["silhouette"].values.argmax())
    sure = 100 * float(found["count_probability"][best])
    counted = found["type_counts"].values > 0
    have = "has" if counted.sum() == 1 else "have"
    lines.append(
        f"{model}: the channels of {found.sizes['run']} runs fall into {int(found['count'][best])} cell types (the best number "
        f"in {sure:.0f} % of bootstrap draws), of which {counted.sum()} {have} a part in the responses: "
        f"{100 * found['type_share'].mean('run').values[counted].sum():.0f} % of the attributions."
    )
    return lines


def _mean(values: xr.DataArray) -> str:
    return f"{float(values.mean()):.2f}"


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
    header = ["run", "readout", *map(str, response["cell"].values), "expected"]
    rows = [row for name_ in readouts_per_cell(response) for row in _readout_rows(study, probe, name_)]
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
        [_verdicts(study, probe), Table("Readouts per cell", header, rows), *_agreement(attributions)],
    )


def _readout_rows(study: Study, probe: str, name: str) -> list[list[str]]:
    """A row for every run."""
    rows = []
    for run, response in study.responses(probe).items():
        values, attributes = response[name].values, response[name].attrs
        errors = response[f"{name}_error"].values if f"{name}_error" in response else np.full(len(values), np.nan)
        shown = [
            "no response" if not np.isfinite(v) else f"{v:.3g}" + (f" ± {e:.2g}" if np.isfinite(e) else "")
            for v, e in zip(values, errors, strict=True)
        ]
        rows.append([run, f"{attributes['long_name']} ({attributes['units']})", *shown, str(attributes.get("expected", ""))])
    return rows


def _verdicts(study: Study, probe: str) -> Table:
    responses = study.responses(probe)
    first = next(iter(responses.values()))
    header = ["run", *map(str, first["cell"].values)]
    rows = [[run, *map(str, response["verdict"].values)] for run, response in responses.items()]
    return Table(f"What physiology found, by the criterion: {first.attrs['criterion']}", header, rows)


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
    assert run.circuit is not None
    reduction = run.reduction.to_dataset()
    caption = "Nonnegative factors of all probes' attributions: each channel's share, and mean activation by each probe and cell."
    judged = (
        f"Number of factors: {reduction.attrs['rank_choice']}. Error on entries that were held out (bars: standard error over "
        "draws), agreement between initializations and between halves of the time, and other methods on times held out."
    )
    pictures = [
        Picture(embed(circuit_figures.factors(reduction)), caption),
        Picture(embed(circuit_figures.ranks(reduction)), judged),
    ]
    return Section(f"Factors, {name}", " ".join(sentences.of_factors(run.circuit.to_dataset())), pictures)


def _circuit(name: str, run: Run) -> Section:
    assert run.circuit is not None
    circuit = run.circuit.to_dataset()
    pictures = [
        Picture(
            embed(circuit_figures.channels(circuit)),
            "First-layer channels in order of importance: separable spatial and temporal filter, polarity, time to peak, "
            "the factor that has the largest share of the channel, and whether the circuit has it.",
        ),
        Picture(
            embed(circuit_figures.faithfulness(circuit)),
            "Faithfulness against the number of channels that are kept, by three ways to choose them, beside channels drawn at "
            "random and the network without the same channels; a star: the circuit.",
        ),
    ]
    for probe, response in run.responses.items():
        reduced = run.circuit.children["probes"].children[probe].dataset["reduced_rate"]
        attributed = run.attributions[probe].dataset["response"]
        figure = circuit_figures.reduced_responses(reduced, attributed, probe, probe_figures.example_condition(response))
        pictures.append(Picture(embed(figure), " ".join(sentences.of_probe(circuit, probe))))
    header = ["channel", "filter", "time to peak (ms)", "biphasic index", "centre (um)", "surround / centre", "importance (Hz)"]
    rows = [
        [
            str(channel),
            in_words(*(circuit[key].values[c] for key in ("polarity", "time_to_peak", "biphasic_index"))),
            f"{1e3 * float(circuit['time_to_peak'][c]):.0f}",
            f"{float(circuit['biphasic_index'][c]):.2f}",
            f"{float(circuit['extent'][c]):.0f}",
            f"{float(circuit['surround_ratio'][c]):.2f}",
            f"{float(circuit['importance'][c]):.2f}",
        ]
        for c, channel in enumerate(circuit["channel"].values)
    ]
    return Section(f"Circuit, {name}", " ".join(sentences.of_circuit(circuit)), pictures, [Table("Channels", header, rows)])


def _tests(name: str, run: Run) -> list[Section]:
    """The circuits on movies that they were not made for."""
    assert run.circuit is not None
    header = ["movie", "predictor", "held against", *map(str, run.circuit.dataset["cell"].values)]
    rows = [
        [movie, str(predictor), against, *(_number(r) for r in node.dataset[key].values[i])]
        for movie, node in run.circuit.children["movies"].children.items()
        for i, predictor in enumerate(node.dataset["predictor"].values)
        for key, against in (("recorded_correlation", "the recorded rate"), ("model_correlation", "the model"))
        if not (i == 0 and key == "model_correlation")
    ]
    table = Table("Correlation on held-out test movies, of the model and of its circuits", header, rows)
    if "discriminating" not in run.circuit.children:
        return [Section(f"Tests, {name}", "", [], [table])]
    found = run.circuit.children["discriminating"].to_dataset(inherit=True)
    gain = float(found["disagreement"].mean() / found["noise_disagreement"].mean())
    text = (
        "The rival has as many channels as the circuit, one of them another, and is the next best on the probes. On this movie "
        f"their rates differ by {float(found['disagreement'].mean()):.1f} Hz (root mean square over time), {gain:.0f} times "
        "as much as on noise of the same contrast: shown to a retina, it tells which one is right."
    )
    caption = (
        "Frames before the largest difference (dotted), and the rates of the network and of both circuits with fixed weights."
    )
    return [Section(f"Tests, {name}", text, [Picture(embed(circuit_figures.discriminating(found)), caption)], [table])]


def _consensus(model: str, found: xr.Dataset) -> Section:
    pictures = [
        Picture(
            embed(consensus_figures.reproduction(found)),
            "Similarity of the runs' channels and factors, matched one to one, beside matchings of shuffled ones; how much of "
            "each factor comes back in the other runs; evidence for the number of cell types.",
        ),
        Picture(
            embed(consensus_figures.cell_types(found)),
            "Cell types, of the channels of all runs: mean temporal filter, and share of each run's attributions.",
        ),
    ]
    header = ["run", *map(str, found["channel"].values)]
    rows = [[str(run), *(str(t) for t in found["cell_type"].values[i])] for i, run in enumerate(found["run"].values)]
    return Section(
        f"Consensus, {model}",
        " ".join(_consensus_findings(model, found)),
        pictures,
        [Table("Cell type of each channel", header, rows)],
    )
