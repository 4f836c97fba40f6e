"""The losses of targets, summed over frames (paper, section 3; criterions/model_criterion.py)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def measure(prediction: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of N predictions, summed, and further measures of them, each a mean times N.

    The answers' type decides: classes (N,) are learned by cross-entropy from logits (N, K), and `accuracy` is measured;
    floats (N, C) are regressed by predictions (N, C), and their spread over frames is measured, which shows a collapse.
    """
    if truth.is_floating_point():
        spreads = {"target_std": mean_std(truth) * len(truth), "prediction_std": mean_std(prediction) * len(truth)}
        return masked_regression(prediction, truth), spreads
    return masked_cross_entropy(prediction, truth), {"accuracy": (prediction.argmax(1) == truth).sum()}


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of -log p(label) over N masked frames; logits (N, K), labels (N,)."""
    return F.cross_entropy(logits.float(), labels, reduction="sum")


def masked_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Sum of squared errors over N masked frames, times 1/sqrt(C) (`loss_scale: null`); both (N, C)."""
    return (prediction.float() - target).square().sum() / prediction.size(1) ** 0.5


def mean_std(x: Tensor) -> Tensor:
    """Mean over channels of the standard deviation over frames of (N, C): near zero when representations collapse.

    Of (B, T, C), that of the standard deviation over utterances, over frames too.
    """
    return torch.sqrt(x.float().var(dim=0) + 1e-6).mean()
