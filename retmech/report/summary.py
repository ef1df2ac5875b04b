"""What was found, what failed and what to doubt, in about ten lines; every number is that of a variable of a file."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from retmech.circuit import sentences
from retmech.reduction import prediction
from retmech.report.recovery import WEAK
from retmech.report.tables import LEAST_SHARE
from retmech.study import Run, Study

HALF = 0.5  # correlation below which a circuit does not follow, or above which what is left still does
LATE = 0.9  # of the history, from which on a filter's peak is at its end
SURE = 0.8  # share of bootstrap draws below which a number of cell types is doubted
CHANCE = 0.05  # p value above which a match is no better than chance
POOR = 0.7  # share of the noise ceiling below which a prediction is poor
NO_RESULT = "no result"
INCOMPLETE = 1e-3  # of the largest response: what attributions may miss

Runs = dict[str, Run]


@dataclass(frozen=True)
class Summary:
    """The first screen of a recording."""

    found: list[str]
    failed: list[str]
    doubt: list[str]

    def as_block(self) -> dict[str, Any]:
        """Return it for the page."""
        return asdict(self)


def summary(study: Study) -> Summary:
    """Return the results of a recording in a few lines, worst news included."""
    found: list[str] = []
    failed = [line for model, runs in _explained(study).items() for line in _unpredictive(model, runs)]
    failed += _left_out(study.recording)
    doubt: list[str] = []
    for model, runs in _explained(study).items():
        found += [*_prediction(model, runs), *_phenomena(study, model, runs), *_circuit(model, runs), *_mechanism(runs)]
        found += [*_reduction(study, model, runs), *_truth(model, runs)]
        failed += [*_poor(model, runs), *_unlike(study, model, runs), *_unfaithful(model, runs), *_incomplete(model, runs)]
        failed += [*_unlike_truth(model, runs), *_chance(study, model)]
        doubt += [*_replaceable(model, runs), *_unsure(study, model, runs), *_unfinished(model, runs), *_sizes(model, runs)]
    if not _explained(study):
        found += [line for model, runs in _all_models(study).items() for line in _prediction(model, runs)]
    if not any(run.recovery is not None for run in study.runs.values()):
        doubt.append("A recording alone does not say whether a mechanism is the retina's own: test what the circuit predicts.")
    return Summary(found, failed or ["Nothing that is checked."], doubt or ["Nothing that is checked."])


def headline(study: Study) -> dict[str, str]:
    """The few numbers by which recordings are told apart in a table."""
    explained = _explained(study)
    cells = int((study.recording.dataset["included"] > 0).sum())
    shown = {"cells": f"{cells} of {study.recording.sizes['cell']}", "model": ", ".join(explained) or "none"}
    runs = [(name, run) for name, by_seed in explained.items() for run in by_seed.values()]
    share = [float(_of_ceiling(node, name).mean()) for name, run in runs for node in run.performance.children.values()]
    known = [s for s in share if np.isfinite(s)]
    verdicts = [v for _, run in runs for r in run.responses.values() for v in r["verdict"].values if v in ("matches", "differs")]
    factors = [text.removesuffix(" factors") for by_seed in explained.values() for text in _factors(by_seed).values()]
    sizes = [NO_RESULT if _doubted(run) else int((run.circuit.dataset["in_circuit"] > 0).sum()) for _, run in runs]  # type: ignore[union-attr]
    recovered = [float(run.recovery["recovery"].sel(level="group").mean()) for _, run in runs if run.recovery is not None]
    return {
        **shown,
        "r, of the noise ceiling": f"{100 * np.mean(known):.0f} %" if known else "unknown" if share else "",
        "as physiology found, cells x seeds x probes": f"{verdicts.count('matches')} of {len(verdicts)}",
        "factors": ", ".join(factors),
        "channels in the circuits": ", ".join(map(str, sizes)),
        "recovery of the truth": f"{np.mean(recovered):.2f}" if recovered else "not known",
    }


def _all_models(study: Study) -> dict[str, Runs]:
    models: dict[str, Runs] = {}
    for name, run in study.runs.items():
        model, _, seed = name.partition("/")
        models.setdefault(model, {})[seed] = run
    return models


def _explained(study: Study) -> dict[str, Runs]:
    """The models that have interneurons, with their runs by seed."""
    return {model: runs for model, runs in _all_models(study).items() if all(r.circuit is not None for r in runs.values())}


def _prediction(model: str, runs: Runs) -> Iterator[str]:
    first = next(iter(runs.values())).performance
    classes = sorted(first.children, key=lambda name: (name != "naturalscene", name))
    said = []
    for name in classes:
        nodes = [run.performance.children[name].dataset for run in runs.values()]
        r = [float(node["pearson_r"].sel(model=model).mean()) for node in nodes]
        low, high = np.mean([node["pearson_r_interval"].sel(model=model).mean("cell").values for node in nodes], axis=0)
        others = [f"{o} {_two(nodes[0]['pearson_r'].sel(model=o).mean())}" for o in nodes[0]["model"].values if o != model]
        known = "" if bool(nodes[0]["trained_on"].sel(model=model)) else ", which it was not trained on,"
        beside = ", ".join([f"ceiling {_two(nodes[0]['noise_ceiling'].mean())}", *others])
        said.append(f"{name}{known} with r = {_range(r)} ({_two(low)} to {_two(high)}; {beside})")
    yield (
        f"Prediction: {model} predicts held-out {' and '.join(said)}; means over {first.sizes['cell']} cells, in brackets also "
        "those of the ends of 95 % intervals."
    )


def _two(value: Any) -> str:
    """Two digits, or that there is no number."""
    return f"{float(value):.2f}" if np.isfinite(value) else "unknown"


def _range(values: list[float]) -> str:
    """One number, or from the lowest to the highest over seeds."""
    low, high = _two(np.min(values)), _two(np.max(values))
    return low if low == high else f"{low} to {high}"


def _verdicts(runs: Runs, probe: str) -> np.ndarray:
    return np.concatenate([run.responses[probe]["verdict"].values for run in runs.values()])


def _phenomena(study: Study, model: str, runs: Runs) -> Iterator[str]:
    said = []
    for probe in study.probes:
        verdicts = _verdicts(runs, probe)
        own = [found[probe]["verdict"].values for found in study.retinas.values() if probe in found]
        if np.isin(verdicts, ("matches", "differs")).any():
            itself = "".join(f", the retina itself {_matching(v)}" for v in own[-1:])
            said.append(f"{probe} {_matching(verdicts)}{itself}")
    if said:
        yield f"Physiology: {model} does what was found in retinas, in cells x seeds: {'; '.join(said)}."


def _matching(verdicts: np.ndarray) -> str:
    return f"{(verdicts == 'matches').sum()} of {verdicts.size}"


def _circuit(model: str, runs: Runs) -> Iterator[str]:
    said = []
    for seed, run in runs.items():
        circuit = run.circuit.dataset  # type: ignore[union-attr]
        chosen = circuit["channel"].values[circuit["in_circuit"].values > 0]
        lowest = float(circuit["circuit_correlation"].sel(candidate="circuit").mean("cell").min())
        said.append(
            f"{seed}: {_doubted(run)}{len(chosen)} of {circuit.sizes['channel']} channels ({', '.join(map(str, chosen))}) give "
            f"r >= {lowest:.2f} with the whole model on every probe, with their weights in each stimulus; of random sets of that "
            f"size, this one included, {100 * float(circuit['circuit_chance']):.0f} % do as well"
        )
    yield f"Circuit of {model}: {'; '.join(said)}."


def _doubted(run: Run) -> str:
    """What stands before a circuit that was chosen by factors that are no result."""
    doubt = prediction.doubt_of_circuit(run.circuit.to_dataset(), run.reduction.to_dataset())  # type: ignore[union-attr]
    return f"{NO_RESULT}, chosen by factors that predict nothing: " if doubt else ""


def _mechanism(runs: Runs) -> Iterator[str]:
    """The sentence about the strongest response to a probe of physiology's."""
    run = next(iter(runs.values()))
    found = strongest(run)
    if found is not None:
        circuit = run.circuit.to_dataset()  # type: ignore[union-attr]
        yield sentences.of_probe(circuit.sel(cell=[found[1]]), found[0])[0]


def strongest(run: Run) -> tuple[str, str] | None:
    """Probe and cell of a run's largest response, of cells and probes that are as physiology found, if there are any."""
    circuit = run.circuit.to_dataset()  # type: ignore[union-attr]
    change = xr.DataArray(np.abs(circuit["peak_change"].transpose("probe", "cell")))
    like = np.array([run.responses[str(p)]["verdict"].values == "matches" for p in circuit["probe"].values])
    pool = change.where(like) if np.isfinite(change.where(like)).any() else change
    if not np.isfinite(pool).any():
        return None
    probe, cell = np.unravel_index(np.nanargmax(pool.values), pool.shape)
    return str(circuit["probe"].values[probe]), str(circuit["cell"].values[cell])


def _factors(runs: Runs) -> dict[str, str]:
    """How many factors each seed has, if they are a result."""
    reductions = {seed: run.reduction.to_dataset() for seed, run in runs.items() if run.reduction is not None}
    return {seed: NO_RESULT if prediction.doubt(r) else f"{r.sizes['factor']} factors" for seed, r in reductions.items()}


def _unpredictive(model: str, runs: Runs) -> Iterator[str]:
    doubts = {seed: prediction.doubt(run.reduction.to_dataset()) for seed, run in runs.items() if run.reduction is not None}
    said = [f"{seed}: {doubt}" for seed, doubt in doubts.items() if doubt]
    if said:
        yield (
            f"The factors of {model} do not predict hidden attributions ({'; '.join(said)}): "
            "factors, and cell types and circuits that rest on them, are no result."
        )


def _reduction(study: Study, model: str, runs: Runs) -> Iterator[str]:
    factors = _factors(runs)
    line = f"Reduction of {model}: {', '.join(f'{text} ({seed})' for seed, text in factors.items())}"
    found = study.consensus[model]
    pairs = list(combinations(range(found.sizes["run"]), 2))
    similar = [float(found["channel_similarity"][a, b].mean()) for a, b in pairs if np.isfinite(found["channel_p_value"][a, b])]
    if similar:
        low, high = (float(found["channel_null"].values[q][tuple(zip(*pairs, strict=True))].mean()) for q in (0, 2))
        p = max(float(found["channel_p_value"][a, b]) for a, b in pairs if np.isfinite(found["channel_p_value"][a, b]))
        line += (
            f"; channels of different seeds match with a mean similarity of {_range(similar)} "
            f"(shuffled: {low:.2f} to {high:.2f}; p <= {p:.3f})"
        )
    if found["cell_type"].values.any() and NO_RESULT not in factors.values():
        best = int(found["silhouette"].values.argmax())
        counted = int((found["type_counts"].values > 0).sum())
        line += f"; {int(found['count'][best])} cell types, {counted} of which have a part in the responses"
    yield line + "."


def _truth(model: str, runs: Runs) -> Iterator[str]:
    known = {seed: run.recovery for seed, run in runs.items() if run.recovery is not None}
    if not known:
        return
    levels = {}
    for level in ("group", "factor"):
        levels[level] = _range([float(r["recovery"].sel(level=level).mean()) for r in known.values()])
    first = next(iter(known.values()))
    random = _range([float(r["shuffled_mean"]) for r in known.values()])
    untrained = _range([float(r["untrained_recovery"].mean()) for r in known.values()])
    at_random = f"given to pathways at random {random}, " if first.sizes["pathway"] > 1 else ""
    yield (
        f"Truth: groups of {model}'s channels do what the simulated retina's {first.sizes['pathway']} pathways do with a "
        f"correlation of {levels['group']} (factors {levels['factor']}; {at_random}before training {untrained})."
    )


def _left_out(recording: xr.DataTree) -> list[str]:
    left_out = int((recording.dataset["included"] == 0).sum())
    return [f"{left_out} of {recording.sizes['cell']} cells are left out (see quality)."] if left_out else []


def _of_ceiling(performance: xr.DataTree, model: str) -> xr.DataArray:
    """Each cell's correlation as a share of its noise ceiling; NaN where no part of the response repeats."""
    ceiling = performance.dataset["noise_ceiling"]
    return performance.dataset["pearson_r"].sel(model=model) / ceiling.where(ceiling > 0)


def _poor(model: str, runs: Runs) -> Iterator[str]:
    said = []
    for seed, run in runs.items():
        for name, node in run.performance.children.items():
            share = _of_ceiling(node, model)
            poor = [str(c) for c, s in zip(share["cell"].values, share.values, strict=True) if s < POOR]
            said += [f"{name} in {', '.join(poor)} ({seed})"] if poor else []
    if said:
        yield f"{model} predicts less than {100 * POOR:.0f} % of the noise ceiling: {'; '.join(said)}."


def _unlike(study: Study, model: str, runs: Runs) -> Iterator[str]:
    said = []
    for probe in study.probes:
        verdicts = _verdicts(runs, probe)
        counts = ((int((verdicts == v).sum()), v) for v in ("differs", "no response"))
        unlike = [f"{verdict} in {count}" for count, verdict in counts if count]
        if unlike:
            said.append(f"{probe} ({', '.join(unlike)} of {verdicts.size})")
    if said:
        yield f"{model} is unlike what was found in retinas in {', '.join(said)}."


def _unfaithful(model: str, runs: Runs) -> Iterator[str]:
    circuits = {seed: run.circuit.dataset for seed, run in runs.items() if run.circuit is not None}
    short = [seed for seed, circuit in circuits.items() if not bool(circuit["faithful"])]
    if short:
        asked = float(circuits[short[0]]["faithfulness_asked"])
        yield f"{model}: the circuit of {', '.join(short)} does not reach r = {asked:g} on every probe."
    lost = []
    for seed, circuit in circuits.items():
        if "circuit_fixed" in circuit["candidate"].values:
            r = circuit["circuit_correlation"].sel(candidate="circuit_fixed").mean("cell")
            lost += [f"{p} {float(v):.2f} ({seed})" for p, v in zip(r["probe"].values, r.values, strict=True) if v < HALF]
    if lost:
        yield f"{model}: with fixed weights (what is exported) the circuit does not follow the model: r = {', '.join(lost)}."


def _incomplete(model: str, runs: Runs) -> Iterator[str]:
    said = []
    for seed, run in runs.items():
        for probe, attributions in run.attributions.items():
            largest = float(np.abs(attributions["response"]).max())
            worst = float(np.abs(attributions["completeness_error"]).max())
            said += [f"{worst:.2g} of {largest:.2g} Hz in {probe} ({seed})"] if worst > INCOMPLETE * largest else []
    if said:
        yield f"{model}: attributions miss up to {', '.join(said)}."


def _unlike_truth(model: str, runs: Runs) -> Iterator[str]:
    said: dict[str, str] = {}
    for seed, run in runs.items():
        if run.recovery is not None:
            r = run.recovery["response_correlation"].mean("cell")
            weak = [f"{p} {float(v):.2f}" for p, v in zip(r["probe"].values, r.values, strict=True) if not v >= WEAK]
            said |= {seed: ", ".join(weak)} if weak else {}
    if said:
        weak_probes = "; ".join(f"{probes} ({seed})" for seed, probes in said.items())
        yield f"{model} does not respond as the simulated retina does (r below {WEAK:g}): {weak_probes}."
    memory = next((run.recovery.attrs["memory"] for run in runs.values() if run.recovery is not None), "")
    if memory:
        yield f"Outside the reach of a model whose first layer alone sees time: the retina's {memory}."


def _chance(study: Study, model: str) -> Iterator[str]:
    found = study.consensus[model]
    runs = found["run"].values
    alone = [
        f"{item}s of {runs[a]} and {runs[b]}"
        for item in ("channel", "factor")
        for a, b in combinations(range(len(runs)), 2)
        if not float(found[f"{item}_p_value"][a, b]) <= CHANCE
    ]
    if alone:
        yield f"{model}: {', '.join(alone)} match no better than shuffled ones."


def _replaceable(model: str, runs: Runs) -> Iterator[str]:
    left = {
        seed: float(run.circuit.dataset["circuit_ablation_correlation"].mean("cell").max())  # type: ignore[union-attr]
        for seed, run in runs.items()
    }
    if max(left.values()) > HALF:
        said = ", ".join(f"{seed} {r:.2f}" for seed, r in left.items())
        yield f"Without the circuit's channels, the rest of {model} still does part of its work (highest r of any probe: {said})."


def _unsure(study: Study, model: str, runs: Runs) -> Iterator[str]:
    if len(runs) == 1:
        yield f"{model} was trained from one seed: what another would find is not known."
    found = study.consensus[model]
    if found["cell_type"].values.any():
        best = int(found["silhouette"].values.argmax())
        if (sure := float(found["count_probability"][best])) < SURE:
            count = int(found["count"][best])
            yield f"The number of {model}'s cell types, {count}, is the best in {100 * sure:.0f} % of bootstrap draws only."


def _unfinished(model: str, runs: Runs) -> Iterator[str]:
    """Trainings that were stopped by their number of epochs, and filters that the history cuts off."""
    short = [seed for seed, run in runs.items() if int(run.model.dataset["best_epoch"]) == int(run.model.dataset["epoch"][-1])]
    if short:
        yield f"{model}: the validation loss still fell in the last epoch ({', '.join(short)}): more epochs may find more."
    late = []
    for seed, run in runs.items():
        circuit = run.circuit.dataset  # type: ignore[union-attr]
        cut = (circuit["time_to_peak"] > LATE * circuit["lag"].max()) & (circuit["in_circuit"] > 0)
        late += [f"{channel} ({seed})" for channel in circuit["channel"].values[cut.values]]
    if late:
        yield f"{model}: filters of {', '.join(late)} peak at the end of the history: a longer one may tell what they are."


def _sizes(model: str, runs: Runs) -> Iterator[str]:
    """Correlations do not see sizes."""
    said = []
    for seed, run in runs.items():
        if run.recovery is not None:
            size = run.recovery["amplitude"].where(run.recovery["share"] > LEAST_SHARE).values
            if not np.isfinite(size).any():
                continue
            low, middle, high = np.nanquantile(size, [0.25, 0.5, 0.75])
            said.append(f"{middle:.1f} ({low:.1f} to {high:.1f}; {seed})")
    if said:
        yield f"{model}: the sizes of the parts are {', '.join(said)} times the true ones, median and quartiles."
