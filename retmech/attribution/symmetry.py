"""Sums over space that a stimulus's symmetry allows, and the check that it has the symmetry.

Where the stimulus does not change along an axis, neither does the first layer's output: all units of a channel along that axis
carry the same signal, and they act on a cell as one unit whose effective weight is the sum of theirs.
"""

from torch import Tensor

from retmech.errors import RetmechError

AXES = {"y": -2, "x": -1}


def violation(difference: Tensor, axes: tuple[str, ...]) -> float:
    """Largest range of z - z0 (..., y, x) along the axes of a symmetry, relative to its largest magnitude anywhere."""
    scale = difference.abs().max().item()
    if not axes or scale == 0:
        return 0.0
    dims = tuple(AXES[axis] for axis in axes)
    return (difference.amax(dims) - difference.amin(dims)).max().item() / scale


def check(probe: str, axes: tuple[str, ...], measured: float, tolerance: float) -> None:
    """Refuse a probe that declares a symmetry that it does not have."""
    if measured > tolerance:
        raise RetmechError(
            f"probe {probe}: it declares to be uniform along {' and '.join(axes)}, but the first layer's output varies by "
            f"{measured:.2g} of its largest value there (attribute.symmetry_tolerance = {tolerance:g}). Declare no symmetry "
            "for it, or mend its stimulus."
        )


def sum_over(values: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Sum (..., y, x) over the axes of a symmetry."""
    return values.sum(dim=tuple(AXES[axis] for axis in axes)) if axes else values


def mean_over(values: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Average (..., y, x) over the axes of a symmetry: what all units along them have in common."""
    return values.mean(dim=tuple(AXES[axis] for axis in axes)) if axes else values


def remaining(axes: tuple[str, ...]) -> tuple[str, ...]:
    """The spatial axes without symmetry."""
    return tuple(axis for axis in AXES if axis not in axes)
