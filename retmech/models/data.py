"""Clips of consecutive frames as the unit of a batch: no window is ever copied for a single response."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from retmech.errors import RecordingError

Clip = tuple[Tensor, Tensor, Tensor]


def clip_starts(n_frames: int, history: int, length: int) -> list[tuple[int, int]]:
    """Cut one run of frames into clips.

    Returns
    -------
    clips : list of (first frame, responses to leave out)
        Each clip spans ``history - 1 + length`` frames and gives ``length`` responses. The last one is moved back to end with
        the run; its first responses, which the clip before it already gave, are then left out, so that each response counts once.
    """
    n_responses = n_frames - history + 1
    starts = list(range(0, n_responses - length + 1, length))
    clips = [(start, 0) for start in starts]
    rest = n_responses - len(starts) * length
    if rest and n_responses >= length:
        clips.append((n_responses - length, length - rest))
    return clips


class ClipDataset(Dataset[Clip]):
    """Clips of one part of a recording.

    An item is the clip's frames (time, y, x) as they are stored, the recorded rates (response, cell) in Hz and which of the
    responses count (response,). No clip crosses from one segment of the recording to the next.
    """

    def __init__(self, part: xr.Dataset, history: int, length: int) -> None:
        self.stimulus = torch.from_numpy(part["stimulus"].values)
        self.rate = torch.from_numpy(np.ascontiguousarray(part["rate"].transpose("time", "cell").values))
        self.history = history
        self.length = length
        self.clips = [
            (first + start, skip)
            for first, n_frames in runs(part["segment"].values)
            for start, skip in clip_starts(n_frames, history, length)
        ]
        if not self.clips:
            raise RecordingError(
                f"no run of frames is as long as one clip: {history} frames of history and {length} responses are needed, "
                f"the longest has {max(n for _, n in runs(part['segment'].values))} frames. Reduce clip_length or history."
            )

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        start, skip = self.clips[index]
        first = start + self.history - 1
        counts = torch.arange(self.length) >= skip
        return self.stimulus[start : first + self.length], self.rate[first : first + self.length], counts


class EpochSampler(Sampler[int]):
    """A shuffle that depends on the seed and the epoch alone, so that a resumed training sees the same batches."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        return iter(rng.permutation(self.size).tolist())

    def __len__(self) -> int:
        return self.size


def loader(parts: Sequence[Dataset[Clip]], batch_clips: int, seed: int | None) -> DataLoader[Clip]:
    """Batches of clips from one or several datasets, shuffled if a seed is given."""
    dataset: ConcatDataset[Clip] = ConcatDataset(parts)
    sampler = None if seed is None else EpochSampler(len(dataset), seed)
    return DataLoader(dataset, batch_size=batch_clips, sampler=sampler)


def runs(segment: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Return (first frame, number of frames) of each run of equal segment numbers."""
    edges = np.flatnonzero(np.diff(segment)) + 1
    first = np.concatenate([[0], edges])
    return list(zip(first.tolist(), np.diff(np.concatenate([first, [len(segment)]])).tolist(), strict=True))
