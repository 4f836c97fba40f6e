"""Several processes, one training: torchrun starts them, each takes its share of every update's micro-batches.

No DistributedDataParallel: losses are sums, so that adding up gradients (gradients.py) and their divisor once an update
is exact, and a layer that LayerDrop left out of some process's batches needs no special care.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Dataset

from mt4ssl.errors import UserError

if TYPE_CHECKING:
    from mt4ssl.data.batches import BatchPlan
    from mt4ssl.data.cuts import Cuts
    from mt4ssl.data.loading import Batch

SET_PDEATHSIG = 1  # linux/prctl.h
PATIENCE = timedelta(minutes=30)  # how long processes wait for each other: longest for the one that saves


def join_processes() -> torch.device:
    """Meet the other processes if torchrun started this one; return its device. Only the first of them prints."""
    cuda = torch.cuda.is_available()
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return torch.device("cuda" if cuda else "cpu")
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGTERM)  # where torchrun is killed, this process is told
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
    return device


def is_first() -> bool:
    """Whether this process is the one that logs and saves."""
    return not dist.is_initialized() or dist.get_rank() == 0


def process_count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(count: int) -> range:
    """Return this process's share of so many items: every n-th, of n processes."""
    first, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return range(first, count, processes)


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

    cuts: Cuts
    plan: BatchPlan
    parts: int

    def batch(self, number: int) -> Batch: ...


class MicroBatches(Dataset):
    """Number of a batch -> the batch. `numbers` are this process's of an update: every n-th, of n processes.

    Raises UserError when there are fewer micro-batches than processes.
    """

    def __init__(self, data: UpdateData, batch_seconds: float) -> None:
        check_shares(data.parts, process_count(), batch_seconds)
        self.data, self.numbers = data, share(data.parts)

    def __getitem__(self, number: int) -> Batch:
        return self.data.batch(number)

    def of_updates(self, steps: range) -> Iterator[int]:
        """Iterate over the numbers of this process's batches of some updates."""
        return (step * self.data.parts + number for step in steps for number in self.numbers)

    def all_losses(self, losses: Sequence[Tensor]) -> Tensor:
        """Return the losses of all of an update's micro-batches (parts,), given those of this process."""
        everyones = losses[0].new_zeros(self.data.parts)
        everyones[self.numbers.start :: self.numbers.step] = torch.stack(list(losses))
        add_up_in_place([everyones])
        return everyones

    def cuts_of(self, step: int, losses: Sequence[float]) -> list[str]:
        """Return the ids of the cuts of an update: of micro-batches whose loss is not finite, or of all if each is."""
        bad = [number for number, loss in enumerate(losses) if not isfinite(loss)] or range(self.data.parts)
        plan, parts = self.data.plan, self.data.parts
        return [self.data.cuts[index].id for number in bad for index in plan[step * parts + number]]


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


def of_each(value: float) -> list[float]:
    """Return every process's value, in the order of their ranks."""
    values = [0.0] * process_count()
    values[dist.get_rank() if dist.is_initialized() else 0] = value
    return add_up(values)


def names_of_all(names: Iterable[str]) -> list[str]:
    """Return the names that any process has, sorted."""
    if not dist.is_initialized():
        return sorted(names)
    everyones: list[list[str]] = [[]] * process_count()
    with others_running():
        dist.all_gather_object(everyones, list(names))
    return sorted(set().union(*everyones))


def add_up_in_place(sums: list[Tensor]) -> None:
    """Replace tensors by their sums over all processes."""
    if dist.is_initialized():
        for each in sums:
            all_reduce(each)
