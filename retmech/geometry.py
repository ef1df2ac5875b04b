"""Space and time as a recording has them: what a network sees and a probe is drawn on."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """Frame size, frame rate and pixel size."""

    shape: tuple[int, int]  # pixels (y, x)
    frame_rate: float  # Hz
    pixel_size: float  # um

    def frames(self, duration_ms: float) -> int:
        """Number of frames nearest to a duration, at least one."""
        return max(1, round(duration_ms * 1e-3 * self.frame_rate))

    @property
    def width(self) -> float:
        """Horizontal extent of the field, um."""
        return self.shape[1] * self.pixel_size


def diameter(area: float, shape: tuple[int, ...]) -> float:
    """Diameter of the disc with an area, pixels; its length in frames (y, x) of one row or column; NaN in a full field."""
    axes = sum(n > 1 for n in shape)
    return 2 * math.sqrt(area / math.pi) if axes == 2 else area if axes else math.nan
