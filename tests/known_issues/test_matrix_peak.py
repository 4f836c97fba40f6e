"""bf16 on a CPU without instructions for it: one product of 2048 x 2048 took a minute, ten were done at each start."""

from __future__ import annotations

import pytest
import torch

from mt4ssl.train import speed


def test_products_grow_only_while_they_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def slow(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        sizes.append(len(a))
        return a

    monkeypatch.setattr(torch, "matmul", slow)
    now = iter(range(1000))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(now))  # each product takes a second
    assert speed.matrix_peak(torch.float32, torch.device("cpu")) == 2 * 256**3
    assert set(sizes) == {256}
