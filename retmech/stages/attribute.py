"""Attribute every response to a probe to the network's interneurons."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from retmech import registry
from retmech.attribution import measures
from retmech.attribution.agreement import Agreement
from retmech.attribution.drives import Drive, Drives, Span
from retmech.attribution.integral import Integral
from retmech.attribution.path import Attributor, attributor
from retmech.attribution.pixels import Response, chosen_responses, pixel_attributions, response_labels
from retmech.attribution.symmetry import AXES, check, mean_over, remaining, sum_over, violation
from retmech.errors import RetmechError
from retmech.labels import lag_coordinate, pixel_coordinates, variable
from retmech.models.store import load_network, network_settings
from retmech.pieces import Pieces
from retmech.progress import progress
from retmech.settings import AttributeSettings, Baseline, Measure

PIECE_BYTES = 32 * 2**20  # of one float64 for each cell and unit: how many frames are integrated together
CLIP = 256  # frames whose drive is computed together, as their histories overlap

FRAME = ("condition", "time")
BASELINES: tuple[Baseline, ...] = ("grey", "mean", "blurred", "frame")

# The conventions as they stand in the file.
LAYERS = {
    "convolution": "first convolution, before batch norm",
    "normalized": "first layer, after batch norm",
    "rectified": "first layer, after rectification",
}
TARGETS = {
    "rate": "rate after the output nonlinearity",
    "input": "input of the output nonlinearity, scaled as the rate",
}
OTHERS: dict[Measure, str] = {"gradient": "gradient x activation", "ablation": "ablation", "rescale": "DeepLIFT rescale"}
PATHS = {"stimulus": "straight in the stimulus", "layer": "straight in the layer"}


@dataclass(frozen=True)
class _Survey:
    """What is known of the responses before anything is integrated."""

    rate: NDArray[np.float64]  # (condition, time, cell), Hz: what is attributed
    violation: float


def attribute(
    model: xr.DataTree, probe: xr.Dataset, settings: AttributeSettings, name: str | None = None, threads: int = 1
) -> Pieces:
    """Return A = (z - z0) G for all conditions, frames, cells and units, piece by piece: no more than one is ever held.

    The path is straight in the stimulus, from the settings' baseline. Units along axes for which the probe declares a symmetry
    are summed; excitation and suppression are the sums over all of space of the positive and of the negative attributions of
    single units.

    Parameters
    ----------
    probe
        May be read from its file as it is needed.
    name
        Of the probe in the settings; that of its kind when omitted.

    Raises
    ------
    RetmechError
        If the model has no interneurons, or the probe not the symmetry it declares.
    """
    kind = str(model.attrs["architecture"])
    if not registry.load("architecture", kind).interneurons(network_settings(model)):
        raise RetmechError(f"{kind} has no interneurons between stimulus and cells: there is nothing to attribute to.")
    network = load_network(model)
    paths = attributor(network, kind, (probe.sizes["y"], probe.sizes["x"]), settings, threads)
    if not paths.is_exact and settings.target == "rate" and torch.cuda.is_available():
        network.to("cuda")  # the closed form and the rectifiers' own arithmetic are the CPU's
    mean_frame = model.dataset["mean_frame"].values.astype(np.float32)
    drives = Drives(network, probe, name or str(probe.attrs["probe"]), mean_frame, settings)
    # A mean frame is uniform nowhere, the other baselines wherever the probe is.
    axes = () if settings.baseline == "mean" else tuple(str(probe.attrs["symmetry"]).split())
    survey = _survey(drives, paths, axes)
    check(drives.name, axes, survey.violation, settings.symmetry_tolerance)
    cells = [str(cell) for cell in model.dataset["cell"].values]
    wanted = settings.pixels.get(drives.name)
    responses = chosen_responses(probe, drives.name, cells, survey.rate, wanted) if wanted else []
    paths = paths.within(settings.tolerance * float(np.abs(survey.rate).max()))
    header = _header(model, drives, paths, axes, survey, responses)
    return Pieces(header, _parts(drives, paths, axes, cells, responses))


def _survey(drives: Drives, paths: Attributor, axes: tuple[str, ...]) -> _Survey:
    rates, worst, scale = [], 0.0, 0.0
    for span in drives.spans(CLIP):
        drive = drives.drive(span)
        with torch.no_grad():
            rates.append(paths.upper(drive).double().cpu().numpy())
        difference = drive - drives.baseline(span, paths.settings.baseline)
        size = float(difference.abs().max())
        worst, scale = max(worst, size * violation(difference, axes)), max(scale, size)
    n_conditions = drives.probe.sizes["condition"]
    rate = np.concatenate(rates).reshape(n_conditions, -1, rates[0].shape[-1])
    return _Survey(rate, worst / scale if scale > 0 else 0.0)


def _parts(
    drives: Drives, paths: Attributor, axes: tuple[str, ...], cells: list[str], responses: list[Response]
) -> Iterator[xr.DataTree]:
    compared = _compared(paths, drives.name)
    agreement = Agreement((len(compared), len(cells)))
    n_units = drives.drive(Span(0, 0, 1)).numel()
    together = max(1, PIECE_BYTES // (8 * n_units * len(cells)))
    total = drives.probe.sizes["condition"] * drives.probe.sizes["time"]
    with progress(drives.name, total, "frames") as advance:
        for span, drive, baseline in _steps(drives, paths.settings.baseline, together):
            integral, attribution_2 = paths.integrate(drive, baseline)
            part = {"/": _first(integral, axes)}
            if attribution_2 is not None:
                part["/layer_2"] = _second(attribution_2, axes)
            if compared:
                others, change = _measured(drives, paths, compared, span, drive, baseline)
                agreement.add((part["/"]["excitation"] + part["/"]["suppression"]).values[0], others, change)
                part["/alternatives"] = _alternatives(others)
            yield xr.DataTree.from_dict({path: _placed(drives.probe, span, data) for path, data in part.items()})
            advance(span.stop - span.start)
    if compared:
        yield xr.DataTree.from_dict({"/agreement": _agreement(agreement)})
    if responses:
        yield xr.DataTree.from_dict({"/pixels": pixel_attributions(drives, paths, responses)})


def _steps(drives: Drives, baseline: Baseline, together: int) -> Iterator[tuple[Span, Drive, Drive]]:
    """Yield a few responses at a time, with their drive and that of their baselines (one for all, or one for each)."""
    for whole in drives.spans(CLIP):
        drive, start = drives.drive(whole), drives.baseline(whole, baseline)
        for first in range(0, len(drive), together):
            some = slice(first, min(first + together, len(drive)))
            span = Span(whole.condition, whole.start + some.start, whole.start + some.stop)
            yield span, drive[some], start if len(start) == 1 else start[some]


def _placed(probe: xr.Dataset, span: Span, data: xr.Dataset) -> xr.Dataset:
    """Say which condition and times a part is of."""
    where = {"condition": slice(span.condition, span.condition + 1), "time": slice(span.start, span.stop)}
    return data.assign_coords({d: probe[d].variable[where[d]] for d in FRAME})


def _first(integral: Integral, axes: tuple[str, ...]) -> xr.Dataset:
    """What is stored of the first layer's units."""
    units = integral.difference[:, None] * integral.weight
    space = remaining(axes)
    per_unit = (*FRAME, "cell", "channel", *space)
    return xr.Dataset(
        {
            "attribution": _one(per_unit, sum_over(units, axes), "Hz", "attribution of the response to a unit"),
            "effective_weight": _one(per_unit, sum_over(integral.weight, axes), "Hz", "mean gradient along the path"),
            "drive": _one(
                (*FRAME, "channel", *space), mean_over(integral.difference, axes), "1", "unit's change from the baseline"
            ),
            **_signed(units, "channel"),
            "response": _one((*FRAME, "cell"), integral.response, "Hz", "what is attributed", np.float64),
            "baseline_response": _one((*FRAME, "cell"), integral.baseline_response, "Hz", "the same at the baseline", np.float64),
            "completeness_error": _one(
                (*FRAME, "cell"), integral.error, "Hz", "sum of attributions minus change of the response", np.float64
            ),
            "nodes": _one(FRAME, integral.nodes, "1", "quadrature nodes, or segments of the exact integral", np.int32),
        }
    )


def _second(units: Tensor, axes: tuple[str, ...]) -> xr.Dataset:
    """What is stored of the second layer's units, (n, cell, channel_2, y_2, x_2)."""
    space = tuple(f"{axis}_2" for axis in remaining(axes))
    dims = (*FRAME, "cell", "channel_2", *space)
    text = "attribution of the response to a unit of layer 2"
    return xr.Dataset({"attribution": _one(dims, sum_over(units, axes), "Hz", text), **_signed(units, "channel_2")})


def _signed(units: Tensor, channel: str) -> dict[str, xr.Variable]:
    dims = (*FRAME, "cell", channel)
    positive, negative = (part.sum(dim=(-2, -1)) for part in (units.clamp(min=0), units.clamp(max=0)))
    return {
        "excitation": _one(dims, positive, "Hz", "sum of positive attributions over space"),
        "suppression": _one(dims, negative, "Hz", "sum of negative attributions over space"),
    }


def _one(dims: tuple[str, ...], values: Tensor, units: str, text: str, dtype: type = np.float32) -> xr.Variable:
    """A variable of one condition."""
    return variable(dims, values.numpy().astype(dtype)[None], units, text)


def _compared(paths: Attributor, name: str) -> list[Measure]:
    """The other baselines and measures that can be computed for this model and probe."""
    settings = paths.settings
    missing: set[Measure] = {settings.baseline}
    if paths.rectifiers is None:
        missing.add("rescale")
    if name not in settings.frames:
        missing.add("frame")
    return [measure for measure in settings.compare if measure not in missing]


def _measured(
    drives: Drives, paths: Attributor, compared: list[Measure], span: Span, drive: Drive, baseline: Drive
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Other measures' attributions (measure, time, cell, channel), and what they should add up to (measure, time, cell)."""
    with torch.no_grad():
        response = paths.upper(drive)
    found = []
    for measure in compared:
        start = drives.baseline(span, measure) if measure in BASELINES else baseline
        if measure in BASELINES:
            integral = paths.by_drive(drive, start)
            channels = torch.einsum("ncyx,nkcyx->nkc", integral.difference, integral.weight)
        else:
            channels = getattr(measures, measure)(paths, drive, baseline)
        with torch.no_grad():
            change = response - paths.upper(start)
        found.append((channels.double().cpu().numpy(), change.double().cpu().numpy()))
    values, changes = zip(*found, strict=True)
    return np.stack(values), np.stack(changes)


def _alternatives(others: NDArray[np.float64]) -> xr.Dataset:
    dims = ("measure", *FRAME, "cell", "channel")
    values = others[:, None].astype(np.float32)
    return xr.Dataset({"attribution": variable(dims, values, "Hz", "attribution of the response to a channel")})


def _agreement(agreement: Agreement) -> xr.Dataset:
    dims = ("measure", "cell")
    return xr.Dataset(
        {
            "correlation": variable(dims, agreement.correlation(), "1", "correlation with the attributions to channels"),
            "incompleteness": variable(dims, agreement.incompleteness(), "1", "what the sum misses of the response's change"),
        }
    )


def _header(
    model: xr.DataTree,
    drives: Drives,
    paths: Attributor,
    axes: tuple[str, ...],
    survey: _Survey,
    responses: list[Response],
) -> xr.DataTree:
    """Coordinates and attributes of the file, and the conventions that its numbers depend on."""
    probe, settings = drives.probe, paths.settings
    shape = tuple(drives.drive(Span(0, 0, 1)).shape[1:])
    pixel = float(model.dataset["pixel_size"])
    kept = {
        str(name): v
        for name, v in probe.coords.items()
        if name not in AXES and name not in probe.data_vars and "cell" not in v.dims
    }
    root = xr.Dataset(
        {"symmetry_violation": variable((), survey.violation, "1", "largest variation along the declared symmetry")},
        coords=kept
        | {"cell": model.dataset["cell"].variable, "channel": _channels("channel", shape[0], "first")}
        | _places(remaining(axes), (shape[1], shape[2]), pixel),
    )
    groups = {"/": root}
    if settings.layer_2:
        second = paths.second_shape()
        places = _renamed(_places(remaining(axes), second[1:], pixel), "{}_2")
        groups["/layer_2"] = xr.Dataset(coords={"channel_2": _channels("channel_2", second[0], "second"), **places})
    compared = _compared(paths, drives.name)
    if compared:
        label = {"measure": variable("measure", [_label(m) for m in compared], "1", "measure")}
        groups |= {"/alternatives": xr.Dataset(coords=label), "/agreement": xr.Dataset(coords=label)}
    if responses:
        pixels = _places(("y", "x"), (probe.sizes["y"], probe.sizes["x"]), pixel)
        labels = response_labels(probe, [str(cell) for cell in model.dataset["cell"].values], responses)
        lag = lag_coordinate(drives.network.history, float(probe["frame_rate"]))
        groups["/pixels"] = xr.Dataset(coords=_renamed(pixels, "pixel_{}") | labels | {"lag": lag})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "probe": str(probe.attrs["probe"]),
        "symmetry": " ".join(axes),
        "path": PATHS[settings.path],
        "baseline": f"frame {drives.baseline_frame()}" if settings.baseline == "frame" else settings.baseline,
        "rule": paths.rule,
        "layer": LAYERS[settings.layer],
        "target": TARGETS[settings.target],
    }
    return tree


def _label(measure: Measure) -> str:
    return f"baseline {measure}" if measure in BASELINES else OTHERS[measure]


def _channels(dim: str, n: int, layer: str) -> xr.Variable:
    return variable(dim, [f"ch{c + 1}" for c in range(n)], "1", f"{layer}-layer channel")


def _places(space: tuple[str, ...], shape: tuple[int, int], pixel: float) -> dict[str, xr.Variable]:
    places = pixel_coordinates(shape, pixel)
    return {axis: places[axis] for axis in space}


def _renamed(places: dict[str, xr.Variable], pattern: str) -> dict[str, xr.Variable]:
    """Other names for axes that mean something else in the file's root."""
    return {pattern.format(axis): xr.Variable(pattern.format(axis), v.values, v.attrs) for axis, v in places.items()}
