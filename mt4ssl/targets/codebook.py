"""Targets that follow a layer of the teacher: its nearest code in a codebook that moves along (DinoSR, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mt4ssl.ranges import Classes, Count, Share
from mt4ssl.targets.base import Answers, Clean, Student, Target
from mt4ssl.targets.teacher import instance_norm


@dataclass
class CodebookTarget(Target):
    """Online target: predict which code of a moving codebook is nearest to one layer of the EMA teacher."""

    type: Literal["codebook"]
    teacher_layer: Count = 12
    """Number of the teacher's layer that the codebook follows, counted from 1."""
    clusters: Classes = 256
    """Number of codes."""
    decay: Share = 0.9
    """Share of a code that an update keeps, if any frame of the update was nearest to it."""

    @property
    def log_name(self) -> str:
        return f"codebook{self.teacher_layer}"

    def layers_used(self) -> list[int]:
        return [self.layer, self.teacher_layer]

    @property
    def needs_mask(self) -> bool:
        return True  # masked frames move the codes

    def highest_followed(self, layers: int) -> int:
        return self.teacher_layer

    def make_answers(self, student: Student) -> Answers:
        return Codebook(self.teacher_layer, self.clusters, self.decay, student.dim)


class Codebook(Answers):
    """Codes as moving averages of the masked frames that are nearest to them.

    All frames of an update, over micro-batches and processes, move the codes once, at its end.
    """

    sums: Tensor
    """(K, C), moving averages of the sum of each code's frames"""
    counts: Tensor
    """(K,), and of their number"""
    new_sums: Tensor
    new_counts: Tensor

    def __init__(self, teacher_layer: int, classes: int, decay: float, dim: int) -> None:
        super().__init__()
        self.teacher_layer, self.outputs, self.decay = teacher_layer, classes, decay
        self.register_buffer("sums", F.instance_norm(torch.randn(1, dim, classes))[0].T.contiguous())
        self.register_buffer("counts", torch.ones(classes))
        self.register_buffer("new_sums", torch.zeros(classes, dim), persistent=False)
        self.register_buffer("new_counts", torch.zeros(classes), persistent=False)

    def forward(self, clean: Clean) -> Tensor:
        with torch.autocast(clean.inputs.device.type, enabled=False):  # bf16 would move frames to other codes
            frames = instance_norm(clean.teacher[self.teacher_layer - 1].float(), clean.padding)
            codes = self.sums / self.counts[:, None]
            nearest = (codes.square().sum(1) - 2 * frames @ codes.T).argmin(2)
        if self.training:
            masked = nearest.flatten().index_select(0, clean.masked)
            self.new_sums.index_add_(0, masked, frames.flatten(0, 1).index_select(0, clean.masked))
            self.new_counts.index_add_(0, masked, torch.ones_like(masked, dtype=torch.float32))
        return nearest

    def update_sums(self) -> list[Tensor]:
        return [self.new_sums, self.new_counts]

    def finish_update(self) -> dict[str, Tensor]:
        """Move the codes that were nearest to a frame; return the perplexity of the update's frames."""
        kept = torch.where(self.new_counts > 0, self.decay, 1.0)
        self.sums.mul_(kept[:, None]).add_((1 - kept)[:, None] * self.new_sums)
        self.counts.mul_(kept).add_((1 - kept) * self.new_counts)
        shares = self.new_counts / self.new_counts.sum()
        perplexity = torch.special.entr(shares).sum().exp()
        for sums in self.update_sums():
            sums.zero_()
        return {"perplexity": perplexity}
