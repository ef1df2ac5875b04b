"""What looks wrong in a recording although it can be read: silence, another scale, receptive fields that are cut off."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from retmech.errors import RecordingError, warn
from retmech.readers._coverage import silences
from retmech.readers._raw import RawPart
from retmech.receptive_field import Moments, temporal_kernels

FAR = 10.0  # ratio of two movies' sd that are not on one scale
SHIFTED = 1.5  # sd; a mean that is farther off is worth a look
OTHER = 0.5  # sd; a mean that is farther off goes with another scale, a nearer one with another contrast
SHARE = 0.25  # of a filter's peak, that a part of it is missing
MAIN = 0.5  # likewise, of a lag that is no noise although it stands alone
CLEAR = 5.0  # standard deviations of the null
LONGER = 1.5  # histories that a filter is looked for in
TOO_EARLY = 3  # bins before the frame itself; what drives a cell there is no frame, but a shifted clock
SHORTEST = 0.1  # of a session; a cell that is silent for less is just silent


def silence(name: str, part: RawPart, cells: list[str], frame_rate: float) -> None:
    """Warn of a time in which no cell fires, or of a cell that fires at one end of a movie only."""
    count = part.rate / frame_rate if part.spike_count is None else part.spike_count
    words = [said for said, _, _ in _silent(count.sum(axis=0), frame_rate)]
    if words:
        warn(f"{name}: no cell fires {', and '.join(words)}. Did the recording end, or pause?")
        return
    for cell, own in zip(cells, count, strict=True):
        for said, share, at_end in _silent(own, frame_rate):
            if at_end and share >= SHORTEST:
                warn(f"{name}: {cell} does not fire {said}. Was it lost?")


def _silent(count: NDArray[np.generic], frame_rate: float) -> list[tuple[str, float, bool]]:
    """Silences, in words, their share of all time, and whether each is at an end."""
    n, fired = len(count), np.flatnonzero(count)
    edges = np.concatenate([[0], fired, [n]])
    found = []
    for i, expected in silences(fired.astype(float), n, float(count.sum(dtype=np.float64))):
        start, stop = (edges[i] + (i > 0)) / frame_rate, edges[i + 1] / frame_rate
        when = f"before {stop:.4g}" if i == 0 else f"after {start:.4g}" if i == len(fired) else f"from {start:.4g} to {stop:.4g}"
        words = f"{when} of {n / frame_rate:.4g} s, where {expected:.0f} spikes are expected"
        found.append((words, (stop - start) * frame_rate / n, i in {0, len(fired)}))
    return found


def scales(moments: Mapping[str, Moments], unit: str, places: Mapping[str, str]) -> None:
    """Refuse movies on another scale than the one whose standard deviation is the unit of contrast.

    Parameters
    ----------
    moments
        By CLASS/PART.
    unit
        One of them.
    places
        Where each movie stands, for errors.

    Raises
    ------
    RecordingError
        With the factor that would bring a movie to the scale of the others.
    """
    one = moments[unit]

    def same_scale(other: Moments) -> bool:
        return one.std < FAR * other.std and other.std < FAR * one.std

    for name, other in moments.items():
        shift = abs(other.mean - one.mean) / max(one.std, other.std)
        found = f"mean {other.mean:.4g} and sd {other.std:.4g}, where {unit} has {one.mean:.4g} and {one.std:.4g}"
        if not same_scale(other) and other.std and shift > OTHER:
            factor, own = _factor(one, other), name.partition("/")[0]
            key = name if same_scale(moments[f"{own}/train"]) else own
            around = abs(factor * other.mean - one.mean) > OTHER * one.std
            shifted = " Its values stand around another mean even so: add what is missing in the file." if around else ""
            raise RecordingError(
                f"{places[name]}: expected luminance on the scale of {unit}, found {found}. If both are the same light, set "
                f"ingest.scale to {{{key}: {factor:g}}}.{shifted}"
            )
        if not same_scale(other) or shift > SHIFTED:
            warn(f"{places[name]}: the movie has {found}. Is that the light that was shown?")


def _factor(one: Moments, other: Moments) -> float:
    """By what to multiply a movie; 255 where that is what it must be about."""
    factor = one.mean / other.mean if other.mean > 0 < one.mean else one.std / other.std
    near = [whole for whole in (255.0, 1 / 255, 256.0, 100.0, 0.01) if abs(factor / whole - 1) < 0.1]
    return near[0] if near else float(f"{factor:.3g}")


def cut_off(
    name: str,
    trace: NDArray[np.floating],
    response: NDArray[np.floating],
    cells: list[str],
    history: int,
    lag: int,
    frame_rate: float,
) -> None:
    """Warn of receptive fields that begin before lag 0 or last longer than the history, with what would fit.

    Parameters
    ----------
    trace : (cell, time)
        What each cell's pixel shows.
    response : (cell, time)
        Beside the newest frame that counts.
    history
        Frames.
    lag
        ``ingest.response_lag``.
    """
    early, late = lag + TOO_EARLY, max(round(LONGER * history), history + 2)
    kernel = np.abs(temporal_kernels(trace, response, early, late))
    null = temporal_kernels(trace, np.roll(response, response.shape[1] // 2, axis=1), early, late).std(axis=1, keepdims=True)
    above = (kernel > SHARE * kernel.max(axis=1, keepdims=True)) & (kernel > CLEAR * null)
    beside = np.pad(above, ((0, 0), (1, 1)))
    main = kernel > MAIN * kernel.max(axis=1, keepdims=True)
    clear = above & (main | beside[:, :-2] | beside[:, 2:])  # one small lag alone is noise
    if not clear.any():
        span = f"{1e3 * late / frame_rate:.4g} ms"
        warn(f"{name}: no cell responds to its pixel within {span}. Do the responses belong to this movie?")
    before = [cell for cell, own in zip(cells, clear, strict=True) if own[:early].any()]
    after = [cell for cell, own in zip(cells, clear, strict=True) if own[early + history :].any()]
    if before:
        fits = lag - (early - int(np.flatnonzero(clear[:, :early].any(axis=0))[0]))
        advice = (
            f"ingest.response_lag = {fits} would fit" if fits >= 0 else "responses come before their frames: are the times right?"
        )
        warn(f"{name}: the receptive field of {', '.join(before)} is cut off at lag 0 by ingest.response_lag = {lag}; {advice}.")
    if after:
        fits = int(np.flatnonzero(clear[:, early:].any(axis=0))[-1]) + 1
        more = "at least " if fits >= late - 1 else ""
        warn(
            f"{name}: the receptive field of {', '.join(after)} lasts longer than ingest.history = "
            f"{1e3 * history / frame_rate:.4g} ms; {more}{1e3 * fits / frame_rate:.4g} ms would fit."
        )
