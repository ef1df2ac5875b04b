"""What channels and factors do, in numbers: how strongly they act, when, and on which cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from retmech.circuit.units import Description
from retmech.labels import variable

FloatArray = NDArray[np.float64]
RISE = 0.05  # of the largest change of either sign, below which a rise is none
SILENT = 1e-3  # Hz; a cell whose response changes by less does not respond
WINDOW = 0.02  # s on each side of a peak over which shares are taken


@dataclass(frozen=True)
class Peak:
    """A cell's largest response to a probe.

    Attributes
    ----------
    condition, time
        Indices.
    change
        Mean change of the response from the baseline around it, Hz.
    share : (channel,)
        Each channel's part of that change: they sum to 1. NaN if nothing changes.
    """

    condition: int
    time: int
    change: float
    share: FloatArray


def peak(net: NDArray[np.floating], change: NDArray[np.floating], frame_rate: float) -> Peak:
    """Find the largest rise of one cell's response, or its largest fall if it hardly ever rises.

    Parameters
    ----------
    net : (condition, time, channel)
        Attributions, Hz.
    change : (condition, time)
        Of the response from the baseline, Hz.
    """
    largest = float(np.abs(change).max())
    rising = change if change.max() >= RISE * largest else -change
    condition, time = np.unravel_index(rising.argmax(), change.shape)
    reach = round(WINDOW * frame_rate)
    around = slice(max(0, int(time) - reach), int(time) + reach + 1)
    total = float(change[condition, around].mean(dtype=np.float64))
    parts = net[condition, around].mean(axis=0, dtype=np.float64)
    share = parts / total if largest > SILENT and total != 0 else np.full(len(parts), np.nan)
    return Peak(int(condition), int(time), total, share)


def actions(net: Mapping[str, xr.DataArray], probes: Mapping[str, xr.Dataset], frame_rate: float) -> xr.Dataset:
    """How strongly each channel acts on each cell in each probe: on average, and where the cell responds most."""
    found = {
        name: [
            peak(a.values[:, :, k], (probes[name]["response"] - probes[name]["baseline_response"]).values[:, :, k], frame_rate)
            for k in range(a.sizes["cell"])
        ]
        for name, a in net.items()
    }
    conditions = [[str(probes[name]["condition"].values[p.condition]) for p in peaks] for name, peaks in found.items()]
    times = [[float(probes[name]["time"].values[p.time]) for p in peaks] for name, peaks in found.items()]
    mean = np.array([a.values.mean(axis=(0, 1), dtype=np.float64) for a in net.values()])
    size = np.array([np.abs(a.values).mean(axis=(0, 1), dtype=np.float64) for a in net.values()])
    dims = ("probe", "cell")
    return xr.Dataset(
        {
            "action": variable((*dims, "channel"), mean, "Hz", "mean attribution; positive: excitatory"),
            "strength": variable((*dims, "channel"), size, "Hz", "mean magnitude of the attribution"),
            "peak_condition": variable(dims, np.array(conditions), "1", "condition of the cell's largest response"),
            "peak_time": variable(dims, np.array(times), "s", "time of the cell's largest response"),
            "peak_change": variable(
                dims, np.array([[p.change for p in peaks] for peaks in found.values()]), "Hz", "change of the response there"
            ),
            "peak_share": variable(
                (*dims, "channel"),
                np.array([[p.share for p in peaks] for peaks in found.values()]),
                "1",
                "share of that change; positive: in its direction",
            ),
        }
    )


def effects(probes: Mapping[str, xr.Dataset], gain_sign: NDArray[np.floating]) -> xr.Dataset:
    """Mean effective weight of each channel on each cell in each probe: its sign says whether the channel excites or inhibits.

    Parameters
    ----------
    gain_sign : (channel,)
        Of what stands between the first layer and its rectifiers: where it is negative, a channel's filter is described turned
        round, and so is its weight.
    """
    found = []
    for attributions in probes.values():
        weight = attributions["effective_weight"]
        per_condition = [
            w.values.astype(np.float64).mean(axis=0).reshape(*w.shape[1:3], -1).sum(axis=-1) for w in weight
        ]  # one condition at a time: there may be a weight for every unit
        before_gain = attributions.attrs["layer"].endswith("before batch norm")
        found.append(np.mean(per_condition, axis=0) * (gain_sign if before_gain else 1))
    text = "mean effective weight, summed over space; positive: excitatory"
    return xr.Dataset({"effect": variable(("probe", "cell", "channel"), np.array(found), "Hz", text)})


def channels(units: Sequence[Description], pixel_size: float) -> xr.Dataset:
    """Return the filters of all channels in a physiologist's terms."""

    def column(values: Sequence[float], unit: str, text: str) -> xr.Variable:
        return variable("channel", np.array(values), unit, text)

    temporal = np.stack([u.temporal for u in units]).astype(np.float32)
    spatial = np.stack([u.spatial for u in units]).astype(np.float32)
    return xr.Dataset(
        {
            "temporal_filter": variable(("channel", "lag"), temporal, "1", "temporal filter"),
            "spatial_filter": variable(("channel", "kernel_y", "kernel_x"), spatial, "1", "spatial filter"),
            "separability": column([u.separability for u in units], "1", "share of power in the separable filter"),
            "polarity": column([u.polarity for u in units], "1", "1 for ON, -1 for OFF"),
            "time_to_peak": column([u.time_to_peak for u in units], "s", "lag of the temporal filter's main peak"),
            "biphasic_index": column([u.biphasic_index for u in units], "1", "opposite lobe over main lobe"),
            "extent": column([pixel_size * u.extent for u in units], "um", "diameter of the centre"),
            "surround_ratio": column([u.surround_ratio for u in units], "1", "surround over centre, sums of magnitudes"),
        }
    )


def factors(reduction: xr.Dataset, units: Sequence[Description], lag: FloatArray, pixel_size: float) -> xr.Dataset:
    """Return the factors in the same terms: filters are means over channels' filters of unit norm, by their shares."""
    loading = reduction["loading"].values.astype(np.float64)  # (factor, sign, channel)
    share = loading.sum(axis=1)
    share = share / np.maximum(share.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    filters = np.stack([u.temporal for u in units])
    temporal = share @ (filters / np.maximum(np.linalg.norm(filters, axis=1, keepdims=True), np.finfo(float).tiny))
    temporal /= np.maximum(np.abs(temporal).max(axis=1, keepdims=True), np.finfo(float).tiny)
    main = np.abs(temporal).argmax(axis=1)
    height = temporal[np.arange(len(temporal)), main]
    polarity = np.where(height >= 0, 1, -1)
    opposite = np.maximum(0, (-polarity[:, None] * temporal).max(axis=1))
    net = loading[:, 0].sum(axis=1) - loading[:, 1].sum(axis=1)
    activation = reduction["activation"].values.astype(np.float64)
    rows = {key: reduction[key].values for key in ("probe", "cell")}
    probes, cells = (list(dict.fromkeys(rows[key].tolist())) for key in ("probe", "cell"))
    action = np.array(
        [[activation[(rows["probe"] == probe) & (rows["cell"] == cell)].mean(axis=0) * net for cell in cells] for probe in probes]
    )
    return xr.Dataset(
        {
            "factor_filter": variable(("factor", "lag"), temporal.astype(np.float32), "1", "temporal filter of the factor"),
            "factor_polarity": variable("factor", polarity, "1", "1 for ON, -1 for OFF"),
            "factor_time_to_peak": variable("factor", lag[main], "s", "lag of the temporal filter's main peak"),
            "factor_biphasic_index": variable(
                "factor", opposite / np.maximum(np.abs(height), np.finfo(float).tiny), "1", "opposite lobe over main lobe"
            ),
            "factor_extent": variable(
                "factor", pixel_size * (share @ np.array([u.extent for u in units])), "um", "diameter of the centre"
            ),
            "factor_surround_ratio": variable(
                "factor", share @ np.array([u.surround_ratio for u in units]), "1", "surround over centre"
            ),
            "factor_action": variable(("probe", "cell", "factor"), action, "Hz", "mean net action; positive: excitatory"),
        }
    )
