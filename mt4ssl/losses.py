"""The two losses of MT4SSL, summed over masked frames (paper, section 3; criterions/model_criterion.py)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of -log p(label) over N masked frames; logits (N, K), labels (N,)."""
    return F.cross_entropy(logits.float(), labels, reduction="sum")


def masked_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Sum of squared errors over N masked frames, times 1/sqrt(C) (`loss_scale: null`); both (N, C)."""
    return (prediction.float() - target).square().sum() / prediction.size(1) ** 0.5


def mean_std(x: Tensor) -> Tensor:
    """Mean over channels of the standard deviation over frames of (N, C): near zero when representations collapse."""
    return torch.sqrt(x.float().var(dim=0) + 1e-6).mean()
