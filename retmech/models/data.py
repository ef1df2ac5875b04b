"""Clips of consecutive frames as the unit of a batch: no window is ever copied for a single response."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from retmech.errors import RecordingError
from retmech.streams import stream


class Batch(NamedTuple):
    """Some clips.

    Attributes
    ----------
    frames : (clip, history - 1 + response, y, x), as the movie is stored
    recorded : (clip, response, cell), Hz; what the model is fitted to
    spikes : (clip, history - 1 + response, cell), counts
    counts : (clip, response, cell), bool
        False for responses that another clip gives, and for cells that were not recorded with this movie.
    """

    frames: Tensor
    recorded: Tensor
    spikes: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Clips:
    """One run or more of a movie with the responses of some of the cells, and where clips start in it."""

    movie: Tensor
    target: Tensor
    spikes: Tensor
    cells: slice
    starts: Tensor
    skips: Tensor


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


def cut(part: xr.Dataset, history: int, length: int, cells: slice, spike_rate: float | None = None) -> Clips:
    """Find the clips of one part of a recording; none crosses from one segment to the next, and nothing is copied.

    Parameters
    ----------
    cells
        Where this recording's cells stand among all of the network's.
    spike_rate
        If given, the target is not the smoothed rate but the spike count times this, the number of frames per second.
    """
    clips = [
        (first + start, skip)
        for first, n_frames in runs(part["segment"].values)
        for start, skip in clip_starts(n_frames, history, length)
    ]
    if not clips:
        raise RecordingError(
            f"no run of frames is as long as one clip: {history} frames of history and {length} responses are needed, "
            f"the longest has {max(n for _, n in runs(part['segment'].values))} frames. Reduce clip_length or history."
        )
    counts = part["spike_count"] if "spike_count" in part else xr.zeros_like(part["rate"], np.int32)
    spikes = counts.transpose("time", "cell").values
    rate = part["rate"].transpose("time", "cell").values if spike_rate is None else spikes * spike_rate
    starts, skips = torch.tensor(clips).T
    return Clips(
        torch.from_numpy(part["stimulus"].values),
        torch.from_numpy(np.ascontiguousarray(rate, np.float32)),
        torch.from_numpy(np.ascontiguousarray(spikes)),
        cells,
        starts,
        skips,
    )


class ClipDataset(Dataset[Batch]):
    """The clips of one or several recordings; a whole batch is gathered at once, on the device where the movies are."""

    def __init__(self, parts: Sequence[Clips], history: int, length: int, n_cells: int) -> None:
        self.parts = list(parts)
        self.history, self.length, self.n_cells = history, length, n_cells
        self.edges = np.cumsum([0, *(len(part.starts) for part in parts)])

    def __len__(self) -> int:
        return int(self.edges[-1])

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the batch of some clips, in their order within each recording."""
        chosen = np.asarray(indices)
        owner = np.searchsorted(self.edges, chosen, side="right") - 1
        batches = [self._gather(i, torch.from_numpy(chosen[owner == i] - self.edges[i])) for i in np.unique(owner)]
        return batches[0] if len(batches) == 1 else Batch(*map(torch.cat, zip(*batches, strict=True)))

    def to(self, device: torch.device) -> None:
        """Move movies and responses to a device once, as they are stored, instead of every batch again."""
        self.parts = [
            Clips(p.movie.to(device), p.target.to(device), p.spikes.to(device), p.cells, p.starts, p.skips) for p in self.parts
        ]

    def _gather(self, i: int, which: Tensor) -> Batch:
        part = self.parts[i]
        device = part.movie.device
        start = part.starts[which][:, None]
        frames = (start + torch.arange(self.history - 1 + self.length)).to(device)
        responses = (start + torch.arange(self.history - 1, self.history - 1 + self.length)).to(device)
        valid = (torch.arange(self.length) >= part.skips[which][:, None]).to(device)
        counts = torch.zeros(*valid.shape, self.n_cells, dtype=torch.bool, device=device)
        counts[..., part.cells] = valid[..., None]
        return Batch(
            part.movie[frames],
            self._among_all(part.target[responses], part.cells),
            self._among_all(part.spikes[frames], part.cells),
            counts,
        )

    def _among_all(self, values: Tensor, cells: slice) -> Tensor:
        """Put the values of a recording's cells into their place among all cells, zeros elsewhere."""
        if values.shape[-1] == self.n_cells:
            return values
        whole = values.new_zeros(*values.shape[:-1], self.n_cells)
        whole[..., cells] = values
        return whole


class EpochSampler(Sampler[int]):
    """A shuffle that depends on the seed and the epoch alone, so that a resumed training sees the same batches."""

    def __init__(self, size: int, seed: int | None) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            return iter(range(self.size))
        return iter(stream(self.seed, "order of clips", self.epoch).permutation(self.size).tolist())

    def __len__(self) -> int:
        return self.size


class SharedBatches(Sampler[list[int]]):
    """Batches of which each process takes its share: together they see what one process alone would.

    What is left at the end of a shuffled epoch is dropped if it has fewer clips than there are processes.
    """

    def __init__(self, sampler: EpochSampler, batch_clips: int, rank: int, processes: int) -> None:
        self.sampler = sampler
        self.batch_clips = batch_clips
        self.rank, self.processes = rank, processes

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        for start in range(0, len(order), self.batch_clips)[: len(self)]:
            share = order[start : start + self.batch_clips][self.rank :: self.processes]
            if share:
                yield share

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_clips)
        shuffled = self.sampler.seed is not None
        return full + (rest >= self.processes if shuffled and full else rest > 0)


class ClipData(pl.LightningDataModule):
    """Batches for training and validation, shared by the processes of a training."""

    def __init__(self, train: ClipDataset, validation: ClipDataset, batch_clips: int, seed: int) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self.batch_clips, self.seed = batch_clips, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled anew each epoch."""
        return self._loader(self.train, self.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        """In order."""
        return self._loader(self.validation, None)

    def _loader(self, clips: ClipDataset, seed: int | None) -> DataLoader[Batch]:
        assert self.trainer is not None
        if seed is not None and len(clips) < self.trainer.world_size:
            raise RecordingError(f"{self.trainer.world_size} processes cannot share {len(clips)} clips. Use fewer --devices.")
        clips.to(self.trainer.strategy.root_device)
        sampler = EpochSampler(len(clips), seed)
        batches = SharedBatches(sampler, self.batch_clips, self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(clips, batch_sampler=batches, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    return batch


def runs(segment: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Return (first frame, number of frames) of each run of equal segment numbers."""
    edges = np.flatnonzero(np.diff(segment)) + 1
    first = np.concatenate([[0], edges])
    return list(zip(first.tolist(), np.diff(np.concatenate([first, [len(segment)]])).tolist(), strict=True))
