"""How far other measures agree with the path integral, summed up piece by piece."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Agreement:
    """Correlation and completeness of other measures' channel attributions, over all that was added.

    Parameters
    ----------
    shape
        Number of measures and of cells.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.count = 0
        self.sums = np.zeros((5, *shape))  # of x, y, xx, yy and xy
        self.missing, self.change = np.zeros(shape), np.zeros(shape)

    def add(self, channels: Array, others: Array, change: Array) -> None:
        """Add some frames.

        Parameters
        ----------
        channels : (time, cell, channel)
            Attributions of the path integral, Hz.
        others : (measure, time, cell, channel)
            Those of the other measures.
        change : (measure, time, cell)
            Of the response from each one's baseline, Hz, to which a complete measure adds up.
        """
        x, y = channels.astype(np.float64)[None], others.astype(np.float64)
        self.count += channels.shape[0] * channels.shape[2]
        for total, product in zip(self.sums, (x, y, x * x, y * y, x * y), strict=True):
            total += product.sum(axis=(1, 3))
        self.missing += np.abs(y.sum(axis=3) - change).sum(axis=1)
        self.change += np.abs(change).sum(axis=1)

    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation (measure, cell) with the path integral's attributions; NaN where either is constant."""
        x, y, xx, yy, xy = self.sums / max(self.count, 1)
        norm = np.sqrt(np.maximum(xx - x * x, 0) * np.maximum(yy - y * y, 0))
        return np.clip(np.divide(xy - x * y, norm, out=np.full(norm.shape, np.nan), where=norm > 0), -1, 1)

    def incompleteness(self) -> NDArray[np.float64]:
        """Mean magnitude (measure, cell) of what the sum over channels misses, over that of the change; NaN if that is 0."""
        return np.divide(self.missing, self.change, out=np.full(self.change.shape, np.nan), where=self.change > 0)
