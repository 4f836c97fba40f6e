"""Targets that nothing is trained for: the nearest of many random codes (BEST-RQ: Chiu et al. 2022, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mt4ssl.errors import UserError
from mt4ssl.ranges import Classes, Count
from mt4ssl.targets.base import Answers, Clean, Student, Target
from mt4ssl.targets.teacher import instance_norm


@dataclass
class RandomProjectionTarget(Target):
    """Predict which of many random codes is nearest to a random projection of the fbank of every masked frame."""

    type: Literal["random_projection"]
    clusters: Classes = 8192
    """Number of codes."""
    code_dim: Count = 16
    """Dimension of the codes."""

    @property
    def log_name(self) -> str:
        return "random_projection"

    def make_answers(self, student: Student) -> Answers:
        if not student.inputs:
            raise UserError("target random_projection reads fbank: set model.frontend.type to fbank, or leave it out")
        return RandomProjection(student.inputs, self.clusters, self.code_dim)


class RandomProjection(Answers):
    """The code of each of the model's frames, from all fbank frames up to the next one.

    Projection and codes are drawn once and never learned; they are saved with the model.
    """

    projection: Tensor
    """(inputs, D)"""
    codes: Tensor
    """(K, D), each of length 1"""

    def __init__(self, inputs: int, classes: int, code_dim: int) -> None:
        super().__init__()
        self.outputs = classes
        self.register_buffer("projection", torch.randn(inputs, code_dim))
        self.register_buffer("codes", F.normalize(torch.randn(classes, code_dim), dim=1))

    def forward(self, clean: Clean) -> Tensor:
        with torch.autocast(clean.inputs.device.type, enabled=False):  # bf16 would move frames to other codes
            frames = stack(clean.inputs, clean.lengths, len(self.projection))
            # Codes are of one length: the one with the largest product is the nearest.
            return (frames @ self.projection @ self.codes.T).argmax(2)


def stack(fbank: Tensor, lengths: Tensor | None, values: int) -> Tensor:
    """Normalise fbank (B, T, 80) of `lengths` (B,) frames over each utterance, and line it up (B, T', values).

    What the last frame lacks is zero, the mean.
    """
    padding = None if lengths is None else torch.arange(fbank.size(1), device=fbank.device) >= lengths[:, None]
    x = instance_norm(fbank, padding)
    if padding is not None:
        x = x.masked_fill(padding[..., None], 0.0)
    missing = -fbank.size(1) % (values // fbank.size(2))
    return F.pad(x, (0, 0, 0, missing)).reshape(len(x), -1, values)
