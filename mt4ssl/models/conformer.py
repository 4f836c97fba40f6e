"""The convolution module of a Conformer layer (Gulati et al. 2020, section 2.2)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.models.kernels import LayerNorm, convolve_channels


class FixedBatchNorm(nn.BatchNorm1d):
    """BatchNorm whose statistics are weights like others: training uses them and leaves them as they are.

    Those of a batch would differ between the masked student and its teacher, and with the number of processes.
    """

    def train(self, mode: bool = True) -> FixedBatchNorm:
        """Stay in eval mode, whatever the model does."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the channels of (B, T, C)."""
        return super().forward(x.flatten(0, 1)).view_as(x)


class ConvolutionModule(nn.Module):
    """LayerNorm, pointwise convolution, GLU, depthwise convolution, norm, swish, pointwise convolution."""

    def __init__(self, dim: int, kernel: int, norm: Literal["layer", "batch"]) -> None:
        super().__init__()
        self.input_norm = LayerNorm(dim)
        self.pointwise1 = nn.Linear(dim, 2 * dim, bias=False)
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False)
        self.norm = LayerNorm(dim) if norm == "layer" else FixedBatchNorm(dim)
        self.pointwise2 = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """(B, T, C) -> (B, T, C); padding (B, T) is kept from leaking into the utterance."""
        x = F.glu(self.pointwise1(self.input_norm(x)))
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
        x = F.silu(self.norm(convolve_channels(self.depthwise, x)))
        return self.pointwise2(x)
