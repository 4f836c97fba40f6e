"""How much of the machine's arithmetic a training uses."""

from __future__ import annotations

import ctypes
import time
from math import prod
from typing import Any, Callable, Sequence, Tuple, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

T = TypeVar("T")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Have glibc keep the memory of freed tensors for the next ones; elsewhere, do nothing.

    By default it goes back to the system, which clears it page by page when it is asked for again: with the waveform
    front-end that is a third of a training step on CPU.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def matrix_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Return the FLOP/s of the device's best matrix product, measured in a moment: what utilisation is a share of."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        begin = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def count_flops(work: Callable[[], T]) -> Tuple[T, int]:
    """Do `work`; return its result and the FLOPs of its matrix products, convolutions and attention."""
    backward = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=backward) as counter:
        result = work()
    return result, counter.get_total_flops()


def _convolution_backward(
    gradient: Sequence[int], inputs: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """FLOPs of the gradients that are asked for, each the forward pass's; torch's own count forgets the groups."""
    return 2 * prod(gradient) * prod(weight[1:]) * sum(rest[-1][:2])
