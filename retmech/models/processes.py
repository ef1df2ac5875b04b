"""What the processes of one training say to each other."""

import torch
from torch import Tensor
from torch import distributed as dist


def processes() -> int:
    """Number of processes in this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(part: Tensor) -> Tensor:
    """Sum a tensor over all processes of this training; no gradient flows through it."""
    if processes() > 1:
        part = part.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(part)
    return part


def gather(part: Tensor) -> Tensor:
    """Stack the tensors of all processes along a new first axis; no gradient flows through it."""
    part = part.detach().contiguous()
    parts = [torch.empty_like(part) for _ in range(processes())]
    dist.all_gather(parts, part)
    return torch.stack(parts)
