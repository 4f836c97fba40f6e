"""The precision of matrix products: fp32, or bf16 where that is faster."""

from __future__ import annotations

import torch

from mt4ssl.train.processes import add_up, is_first
from mt4ssl.train.speed import matrix_peak

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Matrix products in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def choose_dtype(name: str, device: torch.device) -> tuple[str, float]:
    """Return the name of the precision to use, the same in all processes, and the FLOP/s of matrix products in it."""
    peaks = {key: matrix_peak(dtype, device) for key, dtype in DTYPES.items() if name in (key, "auto")}
    fastest = max(peaks, key=peaks.__getitem__)
    chosen = "bf16" if add_up([float(is_first() and fastest == "bf16")])[0] else "fp32"
    return chosen, peaks[chosen]
