"""Path integrals of rectifier networks in closed form: a walk along the path from one switching rectifier to the next.

Between two switches everything below the softplus is linear in the position a on the path, so its integral is known exactly. The
walk keeps what changes at a switch and nothing else. Compiled by numba, in float64.

Maps of the second rectifiers are stored as (row, column * channel), channels innermost, so that what a unit of the first layer
projects to is a few runs of consecutive numbers.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

SHORT = 4e-3  # change of the softplus's input below which its mean slope is taken from its Taylor series

COINCIDENT = 1e-6  # places on the path that are one but for rounding, when segments are counted

# Sums may be reordered, or they could not be vectorized; infinities and missing values keep their meaning.
compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})


class Layers(NamedTuple):
    """What is the same at all frames.

    Attributes
    ----------
    kernel : (channel, kernel_y, kernel_x * channel_2)
        Of the second layer, columns in reverse: consecutive numbers go to consecutive places of a row.
    channels : int
        Of the second layer.
    polarity : (row, column * channel_2)
        1 where a second rectifier passes what is above its threshold, -1 where it passes what is below.
    readout : (cell, row, column * channel_2)
        Weight on the softplus's input per unit of the kernel's output.
    window : (cell, 4)
        First and last row and column, the last excluded, outside of which a cell's readout is zero.
    linear : bool
        Whether the target is the softplus's input.
    """

    kernel: Array
    channels: int
    polarity: Array
    readout: Array
    window: Indices
    linear: bool


class Flips(NamedTuple):
    """Where second rectifiers switch, in the order in which the walk comes by.

    Attributes
    ----------
    place, rate
        Position on the path, and q there.
    row, column
        Of the rectifier.
    turn
        The next switch of a first rectifier: where several fall on one place, the order decides which of them q has seen.
    """

    place: Array
    rate: Array
    row: Indices
    column: Indices
    turn: Indices


@compiled
def switch(start: float, slope: float) -> float:
    """Where on the path start + a slope changes its sign, or -1 if it does not."""
    at = -start / slope if slope != 0.0 else -1.0
    return at if 0.0 < at < 1.0 else -1.0


@compiled
def is_on(start: float, slope: float) -> bool:
    """Whether start + a slope is positive just after a = 0."""
    return start > 0.0 or (start == 0.0 and slope > 0.0)


@compiled
def mean_slope(u: float, du: float) -> float:
    """Mean of the softplus's derivative between u and u + du."""
    if abs(du) < SHORT:
        s = 1.0 / (1.0 + math.exp(-u - 0.5 * du))
        return s * (1.0 + du * du / 24.0 * (1.0 - s) * (1.0 - 2.0 * s))
    if u + 0.5 * du > 0.0:  # softplus(u) = u + softplus(-u): the difference of two small numbers is exact
        return 1.0 + (math.log1p(math.exp(-u - du)) - math.log1p(math.exp(-u))) / du
    return (math.log1p(math.exp(u + du)) - math.log1p(math.exp(u))) / du


@compiled
def walk_one_layer(
    start: Array, slope: Array, readout: Array, current: Array, linear: bool, weight: Array, segments: Indices
) -> None:
    """Integrate the gradient of softplus(readout . relu(start + a slope) + ...) by the rectifiers' input over a from 0 to 1.

    Parameters
    ----------
    start, slope : (1 or n, unit), (n, unit)
    readout : (cell, unit)
    current : (1 or n, cell)
        The softplus's input at a = 0.
    weight : (n, cell, unit)
        The integral, in units of the softplus; written.
    segments : (n,)
        Pieces of the path between switches; written.
    """
    n_cells, n_units = readout.shape
    position = np.empty(n_units)
    unit = np.empty(n_units, np.int64)
    for f in range(len(slope)):
        b, d = start[f % len(start)], slope[f]
        n_switches = 0
        for i in range(n_units):
            at = switch(b[i], d[i])
            if at > 0.0:
                position[n_switches], unit[n_switches] = at, i
                n_switches += 1
        order = np.argsort(position[:n_switches])
        segments[f] = n_switches + 1
        for k in range(n_cells):
            u, area, here, du = current[f % len(current), k], 0.0, 0.0, 0.0
            for i in range(n_units):
                on = is_on(b[i], d[i])
                du += readout[k, i] * d[i] if on else 0.0
                weight[f, k, i] = 0.0
            for e in range(n_switches):
                i, at = unit[order[e]], position[order[e]]
                step = (at - here) * du
                area += (at - here) * (1.0 if linear else mean_slope(u, step))
                u, here = u + step, at
                du += readout[k, i] * abs(d[i])
                weight[f, k, i] = -area if d[i] > 0.0 else area
            area += (1.0 - here) * (1.0 if linear else mean_slope(u, (1.0 - here) * du))
            for i in range(n_units):
                if is_on(b[i], d[i]) != (switch(b[i], d[i]) > 0.0):  # on at the end
                    weight[f, k, i] += area
                weight[f, k, i] *= readout[k, i]


@compiled
def walk_two_layers(
    layers: Layers,
    start: Array,
    slope: Array,
    p_start: Array,
    q_start: Array,
    current: Array,
    before: Array,
    passed: Array,
    second: Array,
    segments: Indices,
) -> None:
    """Walk the paths of many frames through two layers of rectifiers.

    The first rectifiers' input is start + a slope. At each a the output of the second layer's kernel, minus its threshold, is
    p + a q, where p and q change whenever a first rectifier switches. With S_k(a) the integral of the softplus's derivative from
    0 to a and m_j(a) = readout_kj times the integral of the same while rectifier j of the second layer passes, the integral of
    the gradient by a first rectifier's input is the kernel's transpose applied to m(1) - m(where it switches on).

    Parameters
    ----------
    start, slope : (1 or n, channel, y, x), (n, channel, y, x)
    p_start, q_start : (1 or n, row, column * channel_2), (n, row, column * channel_2)
        p and q at a = 0.
    current : (1 or n, cell)
        The softplus's input at a = 0.
    before : (n, cell, channel, y, x)
        Where a first rectifier switches off, the kernel's transpose at it of m there; minus that where it switches on. Zeros are
        expected where none switches.
    passed : (n, cell, row, column * channel_2)
        m(1); written.
    second : (n or 0, cell, row, column * channel_2)
        Attribution to the second rectifiers, the integral over a of S_k' readout_kj q_j while j passes; written if n is not 0.
    segments : (n,)
        Pieces of the path between switches; written.
    """
    position = np.empty(slope[0].size)
    unit = np.empty(slope[0].size, np.int64)
    q_end = np.empty(q_start.shape[1:])
    room = _room(q_end.size)
    for f in range(len(slope)):
        b, d = start[f % len(start)], slope[f]
        p, q = p_start[f % len(p_start)], q_start[f]
        n_switches = _find_switches(b, d, layers, position, unit)
        order = np.argsort(position[:n_switches])
        switches = unit[order]
        at = position[order]
        n_flips = _find_flips(layers, b, d, at, switches, p, q, q_end, room)
        while n_flips > len(room.place):  # rare: again with more room
            room = _room(n_flips)
            n_flips = _find_flips(layers, b, d, at, switches, p, q, q_end, room)
        flips = _in_order(room, n_flips)
        attributions = second[f : f + 1] if len(second) else second
        segments[f] = _integrate(
            layers, d, at, switches, flips, p, q, q_end, current[f % len(current)], before[f], passed[f], attributions
        )


@compiled
def _find_switches(start: Array, slope: Array, layers: Layers, position: Array, unit: Indices) -> int:
    """Positions and flat indices of the first rectifiers that switch and that any cell depends on; returns their number."""
    n_channels, n_y, n_x = slope.shape
    k_y, k_x = layers.kernel.shape[1], layers.kernel.shape[2] // layers.channels
    top, bottom = layers.window[:, 0].min(), min(layers.window[:, 1].max() + k_y - 1, n_y)
    left, right = layers.window[:, 2].min(), min(layers.window[:, 3].max() + k_x - 1, n_x)
    count = 0
    for c in range(n_channels):
        for y in range(top, bottom):
            for x in range(left, right):
                at = switch(start[c, y, x], slope[c, y, x])
                if at > 0.0:
                    position[count], unit[count] = at, (c * n_y + y) * n_x + x
                    count += 1
    return count


@compiled
def _room(n: int) -> Flips:
    return Flips(np.empty(n), np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64))


@compiled
def _in_order(flips: Flips, n: int) -> Flips:
    """Sort the first n by turn, and by place between two switches."""
    by_place = np.argsort(flips.place[:n])
    order = by_place[np.argsort(flips.turn[by_place], kind="mergesort")]  # stable
    return Flips(flips.place[order], flips.rate[order], flips.row[order], flips.column[order], flips.turn[order])


@compiled
def _find_flips(
    layers: Layers,
    start: Array,
    slope: Array,
    at: Array,
    switches: Indices,
    p_start: Array,
    q_start: Array,
    q: Array,
    found: Flips,
) -> int:
    """Find where the second rectifiers switch, as they do when p + a q passes zero, and write as many as there is room for.

    ``q`` is set to its value at a = 1. Returns how many there are.
    """
    _, n_y, n_x = slope.shape
    k_y, k_x = layers.kernel.shape[1], layers.kernel.shape[2] // layers.channels
    top, bottom = layers.window[:, 0].min(), layers.window[:, 1].max()
    left, right = layers.window[:, 2].min(), layers.window[:, 3].max()
    p = p_start.copy()
    q[:] = q_start
    side = np.empty_like(p)
    for row in range(p.shape[0]):
        for column in range(p.shape[1]):
            side[row, column] = 1.0 if is_on(p[row, column], q[row, column]) else -1.0
    latest = np.full((p.shape[0], p.shape[1] // layers.channels), -1)  # switch at which p and q changed last
    count = 0
    for e in range(len(at) + 1):
        last = e == len(at)  # the end of the path, where nothing switches but all is looked at
        here = 1.0 if last else at[e]
        i = 0 if last else switches[e]
        c, y, x = i // (n_y * n_x), i // n_x % n_y, i % n_x
        sign = 0.0 if last else math.copysign(1.0, slope[c, y, x])
        dp, dq = sign * start[c, y, x], sign * slope[c, y, x]
        first_row, end_row = (top, bottom) if last else (max(y - k_y + 1, top), min(y + 1, bottom))
        first, end = (left, right) if last else (max(x - k_x + 1, left), min(x + 1, right))
        begin, stop = first * layers.channels, end * layers.channels
        offset = 0 if last else (first - (x - k_x + 1)) * layers.channels
        for row in range(first_row, end_row):
            p_row, q_row, side_row = p[row, begin:stop], q[row, begin:stop], side[row, begin:stop]
            n_flips = 0
            if last:
                for m in range(stop - begin):
                    n_flips += (p_row[m] + q_row[m]) * side_row[m] < 0.0
            else:
                weights = layers.kernel[c, y - row, offset : offset + stop - begin]
                for m in range(stop - begin):
                    p_row[m] += weights[m] * dp
                    q_row[m] += weights[m] * dq
                    n_flips += (p_row[m] + q_row[m] * here) * side_row[m] < 0.0
            if n_flips > 0:
                for m in range(stop - begin):
                    if (p_row[m] + q_row[m] * here) * side_row[m] < 0.0:
                        weight = 0.0 if last else layers.kernel[c, y - row, offset + m]
                        p_before, q_before = p_row[m] - weight * dp, q_row[m] - weight * dq
                        root = -p_before / q_before if q_before != 0.0 else here
                        # By rounding alone the root could lie beyond the part of the path on which p and q are these.
                        since = latest[row, first + m // layers.channels]
                        root = min(max(root, at[since] if since >= 0 else 0.0), here)
                        if count < len(found.place):
                            found.place[count], found.rate[count] = root, q_before
                            found.row[count], found.column[count] = row, begin + m
                            found.turn[count] = _first_from(at, since + 1, e, root)
                        side_row[m] = -side_row[m]
                        count += 1
            for x_2 in range(first, end):
                latest[row, x_2] = e
    return count


@compiled
def _first_from(at: Array, low: int, high: int, place: float) -> int:
    """First index from ``low`` to ``high`` of what is not before a place; ``high`` if all between them are."""
    while low < high:
        middle = (low + high) // 2
        if at[middle] < place:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _integrate(
    layers: Layers,
    slope: Array,
    at: Array,
    switches: Indices,
    flips: Flips,
    p_start: Array,
    q_start: Array,
    q_end: Array,
    current: Array,
    before: Array,
    passed: Array,
    second: Array,
) -> int:
    """Walk one path past the switches of both layers; what is written is said in :func:`walk_two_layers`.

    While j passes, m_j(a) = banked_j + active_j S(a), where both change only when j flips.
    """
    n_cells, n_rows, n_columns = layers.readout.shape
    _, n_y, n_x = slope.shape
    active = np.zeros((n_cells, n_rows, n_columns))
    banked = np.zeros_like(active)
    u, du, area = current.copy(), np.zeros(n_cells), np.zeros(n_cells)
    for k in range(n_cells):
        for row in range(n_rows):
            for column in range(n_columns):
                above = is_on(p_start[row, column], q_start[row, column])
                weight = layers.readout[k, row, column] if above == (layers.polarity[row, column] > 0.0) else 0.0
                active[k, row, column] = weight
                du[k] += weight * q_start[row, column]
    if len(second):
        second[:] = 0.0
    segments, here, g = 0, 0.0, 0
    for e in range(len(at) + 1):
        while g < len(flips.turn) and flips.turn[g] <= e:
            segments += _advance(flips.place[g] - here, layers.linear, u, du, area)
            here = max(here, flips.place[g])
            row, column, rate = flips.row[g], flips.column[g], flips.rate[g]
            g += 1
            for k in range(n_cells):
                weight = layers.readout[k, row, column]
                change = weight if active[k, row, column] == 0.0 else -weight
                active[k, row, column] += change
                banked[k, row, column] -= change * area[k]
                du[k] += change * rate
                if len(second):
                    second[0, k, row, column] -= change * rate * area[k]
        if e == len(at):
            break
        segments += _advance(at[e] - here, layers.linear, u, du, area)
        here = max(here, at[e])
        i = switches[e]
        c, y, x = i // (n_y * n_x), i // n_x % n_y, i % n_x
        sign = math.copysign(1.0, slope[c, y, x])
        for k in range(n_cells):
            effect, so_far = _field_sums(layers, k, active[k], banked[k], c, y, x)
            before[k, c, y, x] = -sign * (so_far + area[k] * effect)
            du[k] += sign * slope[c, y, x] * effect
            if len(second):
                _spread(layers, k, active[k], second[0, k], c, y, x, -sign * slope[c, y, x] * area[k])
    segments += _advance(1.0 - here, layers.linear, u, du, area)
    for k in range(n_cells):
        for row in range(n_rows):
            for column in range(n_columns):
                passed[k, row, column] = banked[k, row, column] + active[k, row, column] * area[k]
                if len(second):
                    second[0, k, row, column] += active[k, row, column] * q_end[row, column] * area[k]
    return segments


@compiled
def _advance(step: float, linear: bool, u: Array, du: Array, area: Array) -> int:
    """Go on along the path to where something switches next; returns 1 if this was a segment, 0 if two switches coincide."""
    if step <= 0.0:
        return 0
    for k in range(len(u)):
        area[k] += step * (1.0 if linear else mean_slope(u[k], step * du[k]))
        u[k] += step * du[k]
    return 1 if step > COINCIDENT else 0


@compiled
def _field(layers: Layers, k: int, y: int, x: int) -> tuple[int, int, int, int, int]:
    """What a first unit projects to of a cell's window: rows, places in a row (ends excluded), and the offset in the kernel."""
    k_y, k_x = layers.kernel.shape[1], layers.kernel.shape[2] // layers.channels
    window = layers.window[k]
    first, end = max(x - k_x + 1, window[2]), min(x + 1, window[3])
    offset = (first - (x - k_x + 1)) * layers.channels
    return max(y - k_y + 1, window[0]), min(y + 1, window[1]), first * layers.channels, end * layers.channels, offset


@compiled
def _field_sums(layers: Layers, k: int, active: Array, banked: Array, c: int, y: int, x: int) -> tuple[float, float]:
    """Sum two maps over what a first unit projects to, weighted by the kernel."""
    first_row, end_row, begin, stop, offset = _field(layers, k, y, x)
    effect, so_far = 0.0, 0.0
    for row in range(first_row, end_row):
        weights = layers.kernel[c, y - row, offset : offset + max(stop - begin, 0)]
        active_row, banked_row = active[row, begin:stop], banked[row, begin:stop]
        for m in range(stop - begin):
            effect += weights[m] * active_row[m]
            so_far += weights[m] * banked_row[m]
    return effect, so_far


@compiled
def _spread(layers: Layers, k: int, active: Array, out: Array, c: int, y: int, x: int, factor: float) -> None:
    """Add factor * kernel * active to a map, over what a first unit projects to."""
    first_row, end_row, begin, stop, offset = _field(layers, k, y, x)
    for row in range(first_row, end_row):
        weights = layers.kernel[c, y - row, offset : offset + max(stop - begin, 0)]
        for m in range(stop - begin):
            out[row, begin + m] += factor * weights[m] * active[row, begin + m]
