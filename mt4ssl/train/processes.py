"""Several processes, one training: torchrun starts them, each takes its share of every update's micro-batches.

No DistributedDataParallel: losses are sums, so that adding up gradients and their divisor once an update is exact, and
a layer that LayerDrop left out of some process's batches needs no special care.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import Dataset

from mt4ssl.errors import UserError

if TYPE_CHECKING:
    from mt4ssl.data.loading import Batch

SET_PDEATHSIG = 1  # linux/prctl.h
VALIDATION = timedelta(hours=4)  # how long processes wait for the one that validates and saves


def join_processes() -> torch.device:
    """Meet the other processes if torchrun started this one; return its device. Only the first of them prints."""
    cuda = torch.cuda.is_available()
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return torch.device("cuda" if cuda else "cpu")
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGTERM)  # where torchrun is killed, this process is told
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=VALIDATION)
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
    return device


def is_first() -> bool:
    """Whether this process is the one that logs, validates and saves."""
    return not dist.is_initialized() or dist.get_rank() == 0


def process_count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def others_running() -> Iterator[None]:
    """Turn what is raised when another process is gone into a UserError; that one has said why, if it could."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"another process of this training has ended, see above ({reason}): the same command goes on from the last "
            "checkpoint"
        ) from error


def wait_for_all() -> None:
    """Return when every process has come here; UserError if one has ended."""
    if dist.is_initialized():
        with others_running():
            dist.barrier()


def check_shares(parts: int, processes: int, batch_seconds: float) -> None:
    """Raise UserError unless every process gets a micro-batch of an update's."""
    if parts < processes:
        raise UserError(
            f"{processes} processes cannot share {parts} micro-batches: set loop.max_batch_seconds to "
            f"{batch_seconds / processes:g} or less"
        )


class UpdateData(Protocol):
    """Data of a training: batches by number, of which `parts` make an update."""

    parts: int

    def batch(self, number: int) -> Batch: ...


class MicroBatches(Dataset):
    """Update number -> this process's micro-batches of it by number: every n-th, of n processes.

    Raises UserError when there are fewer micro-batches than processes.
    """

    def __init__(self, data: UpdateData, batch_seconds: float) -> None:
        first, count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        check_shares(data.parts, count, batch_seconds)
        self.data, self.numbers = data, range(first, data.parts, count)

    def __getitem__(self, step: int) -> dict[int, Batch]:
        return {number: self.data.batch(step * self.data.parts + number) for number in self.numbers}


def all_reduce(tensor: Tensor) -> None:
    """Replace a tensor by its sum over all processes; UserError if one of them has ended."""
    with others_running():
        dist.all_reduce(tensor)


def add_up(values: list[float]) -> list[float]:
    """Return the sums of every process's values."""
    if not values or not dist.is_initialized():
        return values
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    all_reduce(sums)
    return sums.tolist()


def add_up_in_place(sums: list[Tensor]) -> None:
    """Replace tensors by their sums over all processes."""
    if dist.is_initialized():
        for each in sums:
            all_reduce(each)


def add_up_gradients(model: nn.Module) -> None:
    """Give every process the sum of all gradients; a parameter that has none in any of them keeps none."""
    if not dist.is_initialized():
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=parameters[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([used, *(gradient.flatten() for gradient in gradients)])
    all_reduce(flat)
    used, *sums = flat.split([len(parameters), *(p.numel() for p in parameters)])
    for parameter, count, gradient in zip(parameters, used.tolist(), sums):
        parameter.grad = gradient.view_as(parameter) if count else None
