"""How much of the machine's arithmetic a training uses."""

from __future__ import annotations

import time
from typing import Callable, Tuple, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

T = TypeVar("T")


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
    with FlopCounterMode(display=False) as counter:
        result = work()
    return result, counter.get_total_flops()
