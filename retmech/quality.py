"""How well a cell was recorded: noise ceiling, signal to noise, refractory period, and drift of the rate."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from retmech.settings import QualitySettings
from retmech.streams import stream

INTERVAL = (0.025, 0.975)  #: quantiles of the confidence intervals


def smoothed_rate(
    count: NDArray[np.generic], width: float, frame_rate: float, duration: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Firing rate in Hz: counts per bin convolved with a Gaussian along the last axis, over the time that they were counted in.

    Parameters
    ----------
    count : (..., time)
    width
        Standard deviation of the Gaussian, ms.
    frame_rate
        Bins per second, Hz.
    duration : (..., time)
        Of each bin, s; the same for all, 1 / frame_rate, when omitted.
    """
    sigma = width * 1e-3 * frame_rate
    rate = gaussian_filter1d(count.astype(np.float64) * frame_rate, sigma, axis=-1)
    if duration is not None:
        rate = rate / gaussian_filter1d(duration * frame_rate, sigma, axis=-1)
    return rate.astype(np.float32)


def pearson(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson correlation along the last axis, in float64; NaN where either side is constant."""
    a = a.astype(np.float64) - a.mean(axis=-1, keepdims=True, dtype=np.float64)
    b = b.astype(np.float64) - b.mean(axis=-1, keepdims=True, dtype=np.float64)
    norm = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    r = np.divide((a * b).sum(axis=-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0)
    return np.clip(r, -1, 1)  # rounding can go a little beyond


def pearson_interval(a: NDArray[np.floating], b: NDArray[np.floating], block: int, draws: int = 1000) -> NDArray[np.float64]:
    """Confidence interval of the Pearson correlation along the last axis, by a bootstrap over blocks of time.

    Parameters
    ----------
    a, b : (..., time)
    block
        Bins that are drawn together, since neighbours are not independent.

    Returns
    -------
    interval : (2, ...)
        At the quantiles :data:`INTERVAL`.
    """
    rng = stream(0, "blocks of a correlation")
    return np.quantile(_bootstrapped_pearson(a, b, block, draws, rng), INTERVAL, axis=-1)


def reliability(trial_rate: NDArray[np.floating], splits: int = 100) -> NDArray[np.float64]:
    """Reliability of the trial average: split-half correlation, corrected to all trials.

    The Spearman-Brown formula 2 r / (1 + r) turns the mean correlation r between the averages of random halves into that
    between two full averages. Its square root is the largest Pearson correlation that a perfect model of the underlying rate
    can have with the recorded average (Schoppe et al., Front. Comput. Neurosci. 2016).

    Parameters
    ----------
    trial_rate : (trial, cell, time)

    Returns
    -------
    reliability : (cell,)
        NaN with fewer than two trials or for a constant response.
    """
    if len(trial_rate) < 2:
        return np.full(trial_rate.shape[1], np.nan)
    r = np.mean([pearson(*halves) for halves in _halves(trial_rate, splits)], axis=0)
    return spearman_brown(r)


def reliability_interval(
    trial_rate: NDArray[np.floating], block: int, splits: int = 100, draws: int = 500
) -> NDArray[np.float64]:
    """Confidence interval (2, cell) of :func:`reliability`: the same splits, all bootstrapped over the same blocks of time."""
    if len(trial_rate) < 2:
        return np.full((2, trial_rate.shape[1]), np.nan)
    halves = _halves(trial_rate, splits)
    r = np.mean([_bootstrapped_pearson(*h, block, draws, stream(0, "blocks of a reliability")) for h in halves], axis=0)
    return np.quantile(spearman_brown(r), INTERVAL, axis=-1)


def spearman_brown(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reliability of the whole from the correlation of its halves; 0 for a negative one."""
    r = np.maximum(r, 0)
    return 2 * r / (1 + r)


def _halves(trial_rate: NDArray[np.floating], splits: int) -> Iterator[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Averages over random halves of the trials, two (cell, time) for each split."""
    rng = stream(0, "halves of the trials")
    half = len(trial_rate) // 2
    for _ in range(splits):
        order = rng.permutation(len(trial_rate))
        yield trial_rate[order[:half]].mean(axis=0), trial_rate[order[half : 2 * half]].mean(axis=0)


def _bootstrapped_pearson(
    a: NDArray[np.floating], b: NDArray[np.floating], block: int, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Correlations (..., draw) over blocks of the last axis drawn with replacement, from the blocks' sums."""
    a, b = (x.astype(np.float64) - x.mean(axis=-1, keepdims=True) for x in np.broadcast_arrays(a, b))
    starts = np.arange(0, a.shape[-1], block)
    sums = np.stack([np.add.reduceat(x, starts, axis=-1) for x in (np.ones_like(a), a, b, a * a, b * b, a * b)])
    weights = rng.multinomial(len(starts), np.full(len(starts), 1 / len(starts)), size=draws)
    n, a, b, aa, bb, ab = sums @ weights.T
    norm = np.sqrt(np.maximum(n * aa - a * a, 0) * np.maximum(n * bb - b * b, 0))
    # A draw in which nothing happens has no correlation: it counts as 0, unless nothing ever happens.
    r = np.divide(n * ab - a * b, norm, out=np.zeros(norm.shape), where=norm > 0)
    return np.where((norm > 0).any(axis=-1, keepdims=True), np.clip(r, -1, 1), np.nan)


def signal_to_noise(trial_rate: NDArray[np.floating]) -> NDArray[np.float64]:
    """Variance over time of what repeats, over the variance between trials, of a single trial.

    Parameters
    ----------
    trial_rate : (trial, cell, time)

    Returns
    -------
    ratio : (cell,)
        (var(mean) - var(noise) / n) / var(noise) with the unbiased variance between n trials; at least 0. NaN with fewer than two
        trials or where nothing varies.
    """
    n = len(trial_rate)
    if n < 2:
        return np.full(trial_rate.shape[1], np.nan)
    noise = trial_rate.var(axis=0, ddof=1, dtype=np.float64).mean(axis=-1)
    signal = trial_rate.mean(axis=0, dtype=np.float64).var(axis=-1) - noise / n
    return np.divide(np.maximum(signal, 0), noise, out=np.full(noise.shape, np.nan), where=noise > 0)


def refractory_violations(spike_times: Sequence[NDArray[np.float64]], refractory_period: float) -> NDArray[np.float64]:
    """Share of the intervals between spikes that are shorter than a refractory period (s); NaN for fewer than two spikes.

    One neuron has none. A share of more than a few percent says that the spikes of several were sorted as one (Hill, Mehta &
    Kleinfeld, J. Neurosci. 2011).
    """
    intervals = [np.diff(times) for times in spike_times]
    return np.array([float((i < refractory_period).mean()) if len(i) else np.nan for i in intervals])


def rate_drift(rate: NDArray[np.floating], parts: int = 20) -> NDArray[np.float64]:
    """Change of the mean rate from the beginning to the end of a session, relative to its mean.

    Parameters
    ----------
    rate : (cell, time)
    parts
        Equal parts of the session, to whose means a line is fitted.

    Returns
    -------
    drift : (cell,)
        NaN for a cell that never fires.
    """
    means = np.stack([part.mean(axis=-1, dtype=np.float64) for part in np.array_split(rate, min(parts, rate.shape[-1]), axis=-1)])
    place = np.linspace(-0.5, 0.5, len(means))
    slope = place @ means / max(float(place @ place), np.finfo(float).tiny)
    total = means.mean(axis=0)
    return np.divide(slope, total, out=np.full(total.shape, np.nan), where=total > 0)


def exclusions(found: Mapping[str, NDArray[np.float64]], settings: QualitySettings) -> list[str]:
    """Why each cell is left out of training; empty for one that is not. What is not known excludes nobody."""
    limits = (
        ("mean_rate", "below", settings.min_rate, "mean rate {:.3g} Hz"),
        ("refractory_violations", "above", settings.max_refractory_violations, "refractory violations {:.3g}"),
        ("reliability", "below", settings.min_reliability, "reliability {:.2f}"),
        ("field_strength", "below", settings.min_field_strength, "receptive field {:.1f} times the null"),
        ("rate_drift", "above", settings.max_rate_drift, "drift of the rate {:+.2f}"),
    )
    reasons = []
    for i in range(len(found["mean_rate"])):
        said = []
        for name, side, limit, text in limits:
            value = float(found[name][i])
            if limit is not None and (value < limit if side == "below" else abs(value) > limit):
                said.append(f"{text.format(value)}, {side} {limit:g}")
        reasons.append("; ".join(said))
    return reasons
