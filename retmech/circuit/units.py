"""A first-layer channel, or a group of them, as a physiologist would describe it, from its spatiotemporal filter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retmech.circuit.words import in_words as in_words
from retmech.geometry import diameter
from retmech.models.network import Network


@dataclass(frozen=True)
class Description:
    """One channel. Filters are the best separable approximation of the weights, as the stimulus they respond to."""

    temporal: NDArray[np.float64]  # (lag,), in the order of the weights, peak magnitude 1
    spatial: NDArray[np.float64]  # (y, x), positive where its magnitude is largest
    separability: float  # share of the filter's power in the separable part
    polarity: int  # +1 ON, -1 OFF: sign of the temporal filter's main peak
    time_to_peak: float  # s before the response
    biphasic_index: float  # size of the opposite lobe over that of the main one
    extent: float  # pixels; diameter of the centre, its sum over its peak; NaN, as the surround, in a filter of one pixel
    surround_ratio: float  # magnitude of what is of the opposite sign over that of the centre


def describe(weight: NDArray[np.floating], lag: NDArray[np.floating]) -> Description:
    """Describe a filter.

    Parameters
    ----------
    weight : (lag, y, x)
    lag : (lag,)
        Time before the newest frame, s.

    Notes
    -----
    The separable part is the first term of the singular value decomposition of (lag, y * x). Its sign is fixed so that the
    spatial filter's largest value is positive: then the temporal filter says whether the unit likes light or dark there.
    """
    left, singular, right = np.linalg.svd(weight.reshape(len(lag), -1).astype(np.float64), full_matrices=False)
    temporal, spatial = left[:, 0], right[0]
    sign = np.sign(spatial[np.abs(spatial).argmax()]) or 1.0
    temporal, spatial = temporal * sign, spatial * sign
    main = int(np.abs(temporal).argmax())
    polarity = 1 if temporal[main] >= 0 else -1
    opposite = max(0.0, float((-polarity * temporal).max()))
    size = max(float(np.abs(temporal[main])), np.finfo(float).tiny)
    power = float((singular**2).sum())
    centre, surround = float(spatial.clip(min=0).sum()), abs(float(spatial.clip(max=0).sum()))
    peak = max(float(spatial.max()), np.finfo(float).tiny)
    return Description(
        temporal=temporal / size,
        spatial=spatial.reshape(weight.shape[1:]) * size * singular[0],
        separability=float(singular[0] ** 2 / power) if power > 0 else 0.0,
        polarity=polarity,
        time_to_peak=float(lag[main]),
        biphasic_index=opposite / size,
        extent=diameter(centre / peak, weight.shape[1:]),
        surround_ratio=np.nan if spatial.size == 1 else surround / centre if centre > 0 else 0.0,
    )


def channel_filters(network: Network) -> NDArray[np.floating]:
    """Filters (channel, lag, y, x) as the stimulus that units of the first layer respond to: a negative gain turns one round."""
    sign = network.channel_gain().sign().numpy()[:, None, None, None]
    filters: NDArray[np.floating] = sign * network.filters.detach().numpy()
    return filters


def describe_channels(network: Network, lag: NDArray[np.floating]) -> list[Description]:
    """Describe all channels of the first layer."""
    return [describe(weight, lag) for weight in channel_filters(network)]
