"""The path integral of rectifier networks in closed form, for batches of paths."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retmech.attribution import walk
from retmech.attribution.integral import Integral
from retmech.models.convolution import spatial, spread
from retmech.models.rectifiers import Rectifiers, Second
from retmech.settings import Target

TOGETHER = 128  # maps that are transformed together: more leave the processor's cache
SHARE = 4  # frames that a thread takes at a time: some need far longer than others


def integrate_last(rectifiers: Rectifiers, last: Tensor, baseline: Tensor, target: Target, threads: int = 1) -> Integral:
    """Integrate the gradient by the last rectifiers' input, on straight paths of that input.

    Parameters
    ----------
    last, baseline : (n, channel, y, x), (1 or n, channel, y, x), float64
        The input at both ends.
    """
    difference = last - baseline
    readout = _array(rectifiers.readout.flatten(1))
    start, slope = _array(baseline.flatten(1)), _array(difference.flatten(1))
    current = _array(rectifiers.current(baseline.relu()))
    weight, segments = np.empty((len(slope), *readout.shape)), np.empty(len(slope), np.int64)
    linear = target == "input"

    def some(part: slice) -> None:
        walk.walk_one_layer(_of(start, part), slope[part], readout, _of(current, part), linear, weight[part], segments[part])

    _in_parallel(some, len(slope), threads)
    scaled = rectifiers.scale[:, None, None, None] * torch.from_numpy(weight).unflatten(2, tuple(last.shape[1:]))
    ends = rectifiers.response(last, target), rectifiers.response(baseline, target)
    return Integral.of(difference, scaled, *ends, torch.from_numpy(segments))


def integrate_first(rectifiers: Rectifiers, first: Tensor, baseline: Tensor, target: Target, threads: int = 1) -> Integral:
    """Integrate the gradient by the first rectifiers' input, on straight paths of that input.

    Parameters
    ----------
    first, baseline : (n, channel, y, x), (1 or n, channel, y, x), float64
        The input at both ends.
    """
    second = rectifiers.second
    if second is None:
        return integrate_last(rectifiers, first, baseline, target, threads)
    walked = _walk(rectifiers, second, first, baseline, target, threads, with_second=False)
    slope = first - baseline
    at = torch.where(slope != 0, -baseline / slope, -1.0)
    on_at_end = _on(baseline, slope) ^ ((at > 0) & (at < 1))
    weight = _transposed(_maps(walked.passed, second), second).mul_(on_at_end[:, None]).add_(torch.from_numpy(walked.before))
    weight *= rectifiers.scale[:, None, None, None]
    ends = [rectifiers.response(second(end.relu()), target) for end in (first, baseline)]
    return Integral.of(slope, weight, ends[0], ends[1], torch.from_numpy(walked.segments))


def integrate_second(rectifiers: Rectifiers, first: Tensor, baseline: Tensor, target: Target, threads: int = 1) -> Tensor:
    """Attribute to the second rectifiers on paths that are straight in the first ones' input, but not in theirs.

    Returns
    -------
    attribution : (n, cell, channel_2, y_2, x_2), float64, Hz
        int_0^1 dF_k/dx_j (dx_j/da) da, with x_j their input.
    """
    assert rectifiers.second is not None
    walked = _walk(rectifiers, rectifiers.second, first, baseline, target, threads, with_second=True)
    return rectifiers.scale[:, None, None, None] * _maps(walked.second, rectifiers.second)


class _Walked(NamedTuple):
    """What :func:`walk.walk_two_layers` writes."""

    before: NDArray[np.float64]
    passed: NDArray[np.float64]
    second: NDArray[np.float64]
    segments: NDArray[np.int64]


def _walk(
    rectifiers: Rectifiers, second: Second, first: Tensor, baseline: Tensor, target: Target, threads: int, with_second: bool
) -> _Walked:
    slope = first - baseline
    threshold = torch.where(second.gain != 0, -second.bias / second.gain, 0.0)
    start, d = _array(baseline), _array(slope)
    p = _rows(spatial(baseline.relu(), second.kernel) - threshold)
    q = _rows(spatial(slope * _on(baseline, slope), second.kernel))
    current = _array(rectifiers.current(second(baseline.relu()).relu()))
    layers = _layers(rectifiers, second, target)
    n, shape = len(d), layers.readout.shape
    out = _Walked(
        before=np.zeros((n, shape[0], *d.shape[1:])),
        passed=np.empty((n, *shape)),
        second=np.empty((n if with_second else 0, *shape)),
        segments=np.empty(n, np.int64),
    )

    def some(part: slice) -> None:
        before, passed, attribution, segments = out.before[part], out.passed[part], out.second[part], out.segments[part]
        begin = (_of(start, part), d[part], _of(p, part), q[part], _of(current, part))
        walk.walk_two_layers(layers, *begin, before, passed, attribution, segments)

    _in_parallel(some, n, threads)
    return out


def _on(start: Tensor, slope: Tensor) -> Tensor:
    """Where start + a slope is positive just after a = 0."""
    return (start > 0) | ((start == 0) & (slope > 0))


def _layers(rectifiers: Rectifiers, second: Second, target: Target) -> walk.Layers:
    kernel = second.kernel.permute(1, 2, 3, 0).flip(2).flatten(2)
    readout = rectifiers.readout * second.gain
    return walk.Layers(
        kernel=_array(kernel),
        channels=len(second.kernel),
        polarity=_rows(torch.where(second.gain < 0, -1.0, 1.0).double()[None])[0],
        readout=_rows(readout),
        window=np.array([_window(weights) for weights in readout]),
        linear=target == "input",
    )


def _window(weights: Tensor) -> tuple[int, int, int, int]:
    """Rows and columns outside of which weights (channel, y, x) are zero; the ends are excluded."""
    rows, columns = (torch.nonzero((weights != 0).any(0).any(axis)).flatten() for axis in (1, 0))
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if len(rows) else (0, 0, 0, 0)


def _array(values: Tensor) -> NDArray[np.float64]:
    """As numpy array in memory order: for any other order the walk would be compiled anew."""
    return np.ascontiguousarray(values.numpy())


def _rows(maps: Tensor) -> NDArray[np.float64]:
    """(n, channel, y, x) as (n, y, x * channel)."""
    return _array(maps.permute(0, 2, 3, 1).flatten(2))


def _maps(rows: NDArray[np.float64], second: Second) -> Tensor:
    """(n, cell, y, x * channel) as (n, cell, channel, y, x)."""
    return torch.from_numpy(rows).unflatten(3, (-1, len(second.kernel))).permute(0, 1, 4, 2, 3)


def _transposed(maps: Tensor, second: Second) -> Tensor:
    """Transpose of the second layer's kernel, applied to maps (n, cell, ...)."""
    parts = [spread(part, second.kernel) for part in maps.flatten(0, 1).split(TOGETHER)]
    return torch.cat([part.contiguous() for part in parts]).unflatten(0, maps.shape[:2])


def _of(values: NDArray[np.float64], part: slice) -> NDArray[np.float64]:
    """Part of what may be one for all."""
    return values if len(values) == 1 else values[part]


def _in_parallel(work: Callable[[slice], None], n: int, threads: int) -> None:
    """Let threads take a few of n frames at a time; the compiled walk does not hold Python's lock."""
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, slice(start, start + SHARE)) for start in range(0, n, SHARE)]:
            done.result()
