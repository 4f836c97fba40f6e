"""Optimiser and learning-rate schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from mt4ssl.ranges import NotNegative, Positive, Share, ShareBelowOne


@dataclass
class OptimConfig:
    """AdamW with fairseq's tri-stage schedule; the defaults are the paper's pre-training."""

    lr: Positive = 5e-4
    """Highest learning rate."""
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.98)
    """Decays of Adam's first and second moments."""
    eps: Positive = 1e-6
    """Constant that Adam adds to the root of the second moment."""
    weight_decay: NotNegative = 0.01
    """Weight decay, decoupled from the gradient."""
    clip_norm: NotNegative = 0.0
    """Largest norm of the gradients, which are scaled down to it; 0 leaves them alone."""
    warmup: Share = 0.03
    """Share of the updates in which the learning rate rises linearly from a hundredth of `lr`."""
    hold: Share = 0.9
    """Share of the updates in which the learning rate stays at `lr`, before it falls exponentially."""
    final_scale: Positive = 0.01
    """Learning rate at the end, as a multiple of `lr`."""

    def __post_init__(self) -> None:
        if not 0 <= self.warmup + self.hold <= 1:
            raise ValueError(f"optim.warmup + optim.hold is {self.warmup + self.hold}, not between 0 and 1")

    def scale(self, step: int, updates: int) -> float:
        """Factor on `lr` in update `step` (counted from 0) of `updates` (fairseq tri_stage_lr_scheduler.py)."""
        warmup, hold = self.warmup * updates, self.hold * updates
        if step < warmup:
            return 0.01 + 0.99 * step / warmup
        if step < warmup + hold:
            return 1.0
        return self.final_scale ** min(1.0, (step - warmup - hold) / max(1.0, updates - warmup - hold))


def make_optimizer(groups: list[tuple[Iterable[nn.Parameter], float]], config: OptimConfig) -> torch.optim.AdamW:
    """Build AdamW over those parameters that take gradients, each group with a factor on the learning rate."""
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.requires_grad], "lr": config.lr * factor, "factor": factor}
            for parameters, factor in groups
        ],
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_lr(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, updates: int) -> float:
    """Set every group's rate for an update and return the base rate."""
    lr = config.lr * config.scale(step, updates)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    return lr
