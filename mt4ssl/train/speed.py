"""How fast a training is, how much of the machine's arithmetic it uses, and in which precision that is most."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from mt4ssl.errors import UserError
from mt4ssl.train.processes import add_up, is_first, process_count

T = TypeVar("T")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SLOW_PRODUCT = 0.02  # seconds
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class Speedometer:
    """Measures a training between two logged updates.

    Args:
        peak: FLOP/s of the device's best matrix product.
        compiled: the model is compiled after its first work, and its FLOPs are counted before that alone.

    """

    def __init__(self, peak: float, compiled: bool) -> None:
        self.peak, self.compiled = peak, compiled
        self.flops: float | None = None  # for a second of audio
        self._restart()

    def _restart(self) -> None:
        self.audio, self.waited, self.begin = 0.0, 0.0, time.perf_counter()

    def count(self, work: Callable[[], T], seconds: float) -> T:
        """Do a micro-batch's work on so many seconds of audio; the first time after each log, count its FLOPs."""
        self.audio += seconds
        if self.flops is not None:
            return work()
        result, flops = count_flops(work)
        self.flops = flops / seconds
        return result

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time what is done inside as waiting for data."""
        begin = time.perf_counter()
        yield
        self.waited += time.perf_counter() - begin

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what is done inside, such as validation, out of the training's time."""
        begin = time.perf_counter()
        yield
        self.begin += time.perf_counter() - begin

    def read(self) -> dict[str, float]:
        """Return the speed of all processes in seconds of audio a second, the share of the peak and of waiting."""
        wall = time.perf_counter() - self.begin
        speed = add_up([self.audio])[0] / wall
        values = {
            "audio_s_per_s": speed,
            "utilisation": (self.flops or 0.0) * speed / self.peak / process_count(),
            "data_wait": self.waited / wall,
        }
        if not self.compiled:
            self.flops = None
        self._restart()
        return values


@contextmanager
def advise_when_out_of_memory(seconds: float) -> Iterator[None]:
    """Turn what torch says when a GPU is full into a UserError that names the key to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"{seconds:.0f} s of audio do not fit on the GPU: lower loop.max_batch_seconds") from error


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
    """Return the FLOP/s of the device's best matrix product, measured in a moment: what utilisation is a share of.

    Products double in size up to what a fast device needs; where one takes long, as in bf16 on a CPU that has no
    instructions for it, no larger one is tried.
    """
    peak = 0.0
    for size in (256, 512, 1024, 2048, *((4096, 8192) if device.type == "cuda" else ())):
        a, b = torch.randn(2, size, size, device=device, dtype=dtype)
        best = min(time_of(partial(torch.matmul, a, b), device) for _ in range(5))
        peak = max(peak, 2 * size**3 / best)
        if best > SLOW_PRODUCT:
            break
    return peak


def time_of(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that `work` takes."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def choose_dtype(name: str, device: torch.device) -> tuple[str, float]:
    """Return the name of the precision to use, the same in all processes, and the FLOP/s of matrix products in it."""
    peaks = {key: matrix_peak(dtype, device) for key, dtype in DTYPES.items() if name in (key, "auto")}
    fastest = max(peaks, key=peaks.__getitem__)
    chosen = "bf16" if add_up([float(is_first() and fastest == "bf16")])[0] else "fp32"
    return chosen, peaks[chosen]


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Matrix products in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def count_flops(work: Callable[[], T]) -> tuple[T, int]:
    """Do `work`; return its result and the FLOPs of its matrix products, convolutions and attention."""
    with flop_counter() as counter:
        result = work()
    return result, counter.get_total_flops()


def flop_counter() -> FlopCounterMode:
    """Return torch's counter, corrected; its `flop_registry` has a function of arguments and result per operator."""
    corrections = {
        torch.ops.aten.convolution_backward: _convolution_backward,
        # An operator that has no count is run as its parts, which round otherwise: resuming would not be exact.
        torch.ops.aten.silu_backward.default: lambda *_, **__: 0,
    }
    return FlopCounterMode(display=False, custom_mapping=corrections)


def _convolution_backward(
    gradient: Sequence[int], inputs: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """FLOPs of the gradients that are asked for, each the forward pass's; torch's own count forgets the groups."""
    return 2 * prod(gradient) * prod(weight[1:]) * sum(rest[-1][:2])
