"""The circuit in sentences; every number is that of a variable of its file."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from retmech.circuit.units import in_words

NAMED = 2  # channels named on each side of a response
SMALL = 0.05  # share of a response below which a channel is not named


def of_probe(circuit: xr.Dataset, probe: str) -> list[str]:
    """Say, for each cell, which channels make its largest response to a probe (`peak_share`, `peak_time`, `peak_condition`)."""
    return [_of_cell(circuit.sel(probe=probe, cell=cell), probe, str(cell)) for cell in circuit["cell"].values]


def _of_cell(found: xr.Dataset, probe: str, cell: str) -> str:
    share = found["peak_share"].values
    if not np.isfinite(share).all():
        return f"In {probe}, {cell} does not respond."
    change = float(found["peak_change"])
    order = np.argsort(-share, kind="stable")
    helps = [c for c in order[:NAMED] if share[c] >= SMALL]
    drives = [c for c in helps if found["effect"].values[c] >= 0]
    frees = [c for c in helps if found["effect"].values[c] < 0]  # inhibition that is less than at the baseline
    holds = [c for c in order[::-1][:NAMED] if share[c] <= -SMALL]
    what = "largest response" if change > 0 else "suppression"
    where = f"{change:+.1f} Hz around {float(found['peak_time']):.2f} s, {found['peak_condition'].item()}"
    sentence = f"In {probe}, {cell}'s {what} ({where}) " + (
        f"comes from {_listed(found, drives)}" if drives or not frees else "is a release"
    )
    sentence += (f"{', released' if drives else ''} from {_listed(found, frees)}") if frees else ""
    return sentence + (f", held back by {_listed(found, holds)}." if holds else ".")


def _listed(found: xr.Dataset, channels: list[int]) -> str:
    parts = [f"{found['channel'].values[c]} ({_words(found, c)}, {100 * found['peak_share'].values[c]:.0f} %)" for c in channels]
    return " and ".join(parts) or "no channel in particular"


def _words(found: xr.Dataset, c: int) -> str:
    filter_ = in_words(*(found[name].values[c] for name in ("polarity", "time_to_peak", "biphasic_index")))
    return f"{filter_}, {'excitatory' if found['effect'].values[c] >= 0 else 'inhibitory'}"


def of_factors(circuit: xr.Dataset) -> Iterator[str]:
    """Say what each factor is and does (`factor_polarity`, `factor_time_to_peak`, `factor_action`, ...)."""
    for k, name in enumerate(circuit["factor"].values):
        polarity, time_to_peak, index = (
            circuit[f"factor_{key}"].values[k] for key in ("polarity", "time_to_peak", "biphasic_index")
        )
        action = circuit["factor_action"].values[:, :, k]
        probe, cell = np.unravel_index(np.abs(action).argmax(), action.shape)
        yield (
            f"{name} is {in_words(polarity, time_to_peak, index)} (peak at {1e3 * time_to_peak:.0f} ms, "
            f"biphasic index {index:.2f}{_space(circuit, k)}); it acts most on "
            f"{circuit['cell'].values[cell]} in {circuit['probe'].values[probe]} ({action[probe, cell]:+.2f} Hz on average)."
        )


def _space(circuit: xr.Dataset, k: int) -> str:
    """What a factor sees of space; nothing if its filters have one pixel."""
    extent, surround = (float(circuit[f"factor_{key}"][k]) for key in ("extent", "surround_ratio"))
    return f", centre {extent:.0f} um, surround {surround:.2f} of it" if np.isfinite(extent) else ""


def of_circuit(circuit: xr.Dataset) -> list[str]:
    """Say which channels the circuit has and how faithful it is, with chance beside it (`in_circuit`, `circuit_correlation`)."""
    chosen = circuit["channel"].values[circuit["in_circuit"].values > 0]
    reached = [
        f"{probe} {float(r):.2f}"
        for probe, r in zip(
            circuit["probe"].values, circuit["circuit_correlation"].sel(candidate="circuit").mean("cell"), strict=True
        )
    ]
    random = circuit["random_score"].sel(quantile=0.5, kept=len(chosen))
    verdict = "reaches" if bool(circuit["faithful"]) else "does not reach"
    first = (
        f"The circuit has {len(chosen)} of {circuit.sizes['channel']} channels ({', '.join(chosen)}) and {verdict} r >= "
        f"{float(circuit['faithfulness_asked']):g} with the model on every probe, mean over cells ({', '.join(reached)}); "
        f"{100 * float(circuit['circuit_chance']):.1f} % of random sets of its size are as good (their lowest correlation over "
        f"probes is {float(random):.2f} in the median, the circuit's {float(circuit['circuit_score']):.2f})."
    )
    left = circuit["circuit_ablation_correlation"].mean("cell").values
    ablated = ", ".join(f"{probe} {float(r):.2f}" for probe, r in zip(circuit["probe"].values, left, strict=True))
    return [first, f"Without these channels the network's responses correlate with the whole network's by {ablated}."]


def of_movies(circuit: xr.DataTree) -> list[str]:
    """Say how well the circuits predict held-out movies that they were not made for (`/movies/{class}`)."""
    names = {"circuit": "the circuit", "circuit_fixed": "the circuit with fixed weights"}
    lines = []
    for movie, node in circuit.children["movies"].children.items():
        seconds = float(node.dataset["time"][-1] - node.dataset["time"][0])
        recorded = node.dataset["recorded_correlation"].mean("cell")
        known = [p for p in names if p in node.dataset["predictor"].values]
        said = " and ".join(f"{names[p]} with r = {float(recorded.sel(predictor=p)):.2f}" for p in known)
        model = float(recorded.sel(predictor="model"))
        lines.append(
            f"{seconds:.0f} s of held-out {movie} are predicted by the model with r = {model:.2f}, by {said}, mean over cells."
        )
    return lines
