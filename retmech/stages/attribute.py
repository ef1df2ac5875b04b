"""Attribute every response to a probe to the first layer's units."""

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from retmech import registry
from retmech.attribution.path import PathIntegral, integrate
from retmech.attribution.symmetry import AXES, check, mean_over, remaining, sum_over, violation
from retmech.errors import RetmechError
from retmech.labels import pixel_coordinates, variable
from retmech.models.network import Network
from retmech.models.predict import after_grey
from retmech.models.store import load_network, network_settings
from retmech.settings import AttributeSettings

Result = dict[str, NDArray[np.generic]]


def attribute(model: xr.DataTree, probe: xr.Dataset, settings: AttributeSettings) -> xr.Dataset:
    """Return A = (z - z0) G for all conditions, frames, cells and channels of a probe.

    z is the output of the first convolution before its batch norm (which is affine and cancels in A), z0 its output for the grey
    screen; the path is straight in the stimulus and the target is the rate after the output nonlinearity. Units along axes for
    which the probe declares a symmetry are summed; excitation and suppression are the sums over all of space of the positive
    and of the negative attributions of single units.

    Raises
    ------
    RetmechError
        If the model has no interneurons, or the probe not the symmetry it declares.
    """
    kind = str(model.attrs["architecture"])
    if not registry.load("architecture", kind).interneurons(network_settings(model)):
        raise RetmechError(f"{kind} has no interneurons between stimulus and cells: there is nothing to attribute to.")
    network = load_network(model)
    axes = tuple(str(probe.attrs["symmetry"]).split())
    movies = probe["stimulus"].values
    with torch.no_grad():
        grey = torch.zeros(1, network.history, *movies.shape[2:])
        baseline = network.first_layer(grey)[0, 0]
        drives = [network.first_layer(torch.from_numpy(after_grey(m, network.history))[None])[0] for m in movies]
        largest = max(float(network.upper(drive).max()) for drive in drives)
    measured = max(violation(drive - baseline, axes) for drive in drives)
    check(str(probe.attrs["probe"]), axes, measured, settings.symmetry_tolerance)
    results = []
    for i, drive in enumerate(drives):
        results.append(_condition(network, drive, baseline, axes, largest, settings))
        print(f"condition {i + 1}/{len(drives)}: {probe['condition'].values[i]}", flush=True)
    units = drives[0].shape[-2], drives[0].shape[-1]
    return _dataset(model, probe, axes, units, measured, {k: np.stack([r[k] for r in results]) for k in results[0]})


def _condition(
    network: Network, drive: Tensor, baseline: Tensor, axes: tuple[str, ...], largest: float, settings: AttributeSettings
) -> Result:
    """Attributions of one movie, worked through in pieces of bounded memory."""
    parts: list[Result] = []
    for piece in drive.split(128):
        integral = integrate(network.upper, piece, baseline, settings.tolerance * largest, settings.nodes, settings.max_nodes)
        parts.append(_summed(integral, (piece - baseline).double(), axes))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "baseline_rate"}
    return joined | {"baseline_rate": parts[0]["baseline_rate"]}


def _summed(integral: PathIntegral, difference: Tensor, axes: tuple[str, ...]) -> Result:
    units = integral.weight * difference[:, None]
    return {
        "attribution": sum_over(units, axes).float().numpy(),
        "effective_weight": sum_over(integral.weight, axes).float().numpy(),
        "drive": mean_over(difference, axes).float().numpy(),
        "excitation": units.clamp(min=0).sum(dim=(-2, -1)).float().numpy(),
        "suppression": units.clamp(max=0).sum(dim=(-2, -1)).float().numpy(),
        "rate": integral.rate.numpy(),
        "completeness_error": integral.error.numpy(),
        "nodes": integral.nodes.numpy(),
        "baseline_rate": integral.baseline_rate.numpy(),
    }


def _dataset(
    model: xr.DataTree,
    probe: xr.Dataset,
    axes: tuple[str, ...],
    units: tuple[int, int],
    measured: float,
    result: Result,
) -> xr.Dataset:
    frame, space = ("condition", "time"), remaining(axes)
    unit = (*frame, "cell", "channel", *space)
    n_channels = result["drive"].shape[2]
    places = pixel_coordinates(units, float(model.dataset["pixel_size"]))
    return xr.Dataset(
        {
            "attribution": variable(unit, result["attribution"], "Hz", "attribution of the rate to a unit"),
            "effective_weight": variable(unit, result["effective_weight"], "Hz", "mean gradient along the path"),
            "drive": variable((*frame, "channel", *space), result["drive"], "1", "unit's change from the baseline"),
            "excitation": variable(unit[:4], result["excitation"], "Hz", "sum of positive attributions over space"),
            "suppression": variable(unit[:4], result["suppression"], "Hz", "sum of negative attributions over space"),
            "rate": variable((*frame, "cell"), result["rate"], "Hz", "predicted firing rate"),
            "baseline_rate": variable("cell", result["baseline_rate"][0], "Hz", "rate on the grey screen"),
            "completeness_error": variable(
                (*frame, "cell"), result["completeness_error"], "Hz", "sum of attributions minus change of the rate"
            ),
            "nodes": variable(frame, result["nodes"], "1", "quadrature nodes"),
            "symmetry_violation": variable((), measured, "1", "largest variation along the declared symmetry"),
        },
        coords={name: v for name, v in probe.coords.items() if name not in AXES and name not in probe.data_vars}
        | {
            "cell": model.dataset["cell"].variable,
            "channel": variable("channel", [f"ch{c + 1}" for c in range(n_channels)], "1", "first-layer channel"),
        }
        | {name: places[name] for name in space},
        attrs={
            "probe": str(probe.attrs["probe"]),
            "symmetry": str(probe.attrs["symmetry"]),
            "path": "straight in the stimulus",
            "baseline": "grey",
            "rule": "Gauss-Legendre, doubled until complete",
            "layer": "first convolution, before batch norm",
            "target": "rate after the output nonlinearity",
        },
    )
