"""The online targets extractor (On-TE): an exponential moving average of the student, which sees unmasked input."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.ranges import Count, CountOrZero, Share
from mt4ssl.targets.base import Answers, Clean, Frozen, Student, Target
from mt4ssl.targets.losses import mean_std


@dataclass
class EmaConfig:
    """Decay of the teacher's moving average, linear from `decay` to `end_decay` over `anneal_steps` updates."""

    decay: Share = 0.999
    """Decay at the start: the share of the old weights that an update keeps."""
    end_decay: Share = 0.9999
    """Decay after `anneal_steps` updates."""
    anneal_steps: CountOrZero = 30000
    """Number of updates in which the decay goes linearly from `decay` to `end_decay`."""

    def at(self, step: int) -> float:
        """Decay in force after `step` updates (fairseq `get_annealed_rate`)."""
        if step >= self.anneal_steps:
            return self.end_decay
        return self.end_decay - (self.end_decay - self.decay) * (1 - step / self.anneal_steps)


@dataclass
class TeacherTarget(Target):
    """Online target: regress the mean of the EMA teacher's top layers from the output of `layer`."""

    type: Literal["teacher"]
    top_k: Count = 8
    """Number of the teacher's last layers that are averaged."""

    @property
    def log_name(self) -> str:
        return "teacher"

    def layers_used(self) -> list[int]:
        return [self.layer, self.top_k]

    def highest_followed(self, layers: int) -> int:
        return layers

    def make_answers(self, student: Student) -> Answers:
        return TeacherAnswers(self.top_k, student.dim)


class TeacherAnswers(Answers):
    """The mean of the teacher's last `top_k` layer results.

    In training it measures how far utterances differ at the same frame. Answers that depend on the position alone do
    not, and yet their spread over frames is a good one, since each utterance is normalised over its frames.
    """

    spread: Tensor
    """(2,), added up over an update: a spread over utterances for each of them, and their number."""

    def __init__(self, top_k: int, dim: int) -> None:
        super().__init__()
        self.top_k, self.outputs = top_k, dim
        self.register_buffer("spread", torch.zeros(2), persistent=False)

    def forward(self, clean: Clean) -> Tensor:
        target = teacher_target(clean.teacher, self.top_k, clean.padding)
        count = len(target)
        if self.training and clean.lengths is None and count > 1:
            self.spread[0] += mean_std(target) * count
            self.spread[1] += count
        return target

    def update_sums(self) -> list[Tensor]:
        return [self.spread]

    def finish_update(self) -> dict[str, Tensor]:
        """Return the spread over utterances: NaN where no batch had two that are equally long."""
        mean = self.spread[0] / self.spread[1]
        self.spread.zero_()
        return {"utterance_std": mean}


class Teacher(Frozen):
    """A copy of the student's Transformer, moved by EMA and never by gradients; fp32, in eval mode.

    Front-end and projection are the student's own, and so is the part called `copied`, the positional convolution,
    which is copied and not averaged (`ema_transformer_only`, `ema_layers_only`).
    """

    def __init__(self, student: nn.Module, copied: str) -> None:
        super().__init__()
        self.encoder, self.copied = copy.deepcopy(student).requires_grad_(False), copied

    @torch.no_grad()
    def update(self, student: nn.Module, decay: float) -> None:
        """Move every weight a step of 1 - decay towards the student's."""
        torch._foreach_lerp_(self._averaged(self.encoder), self._averaged(student), 1 - decay)
        self.encoder.get_submodule(self.copied).load_state_dict(student.get_submodule(self.copied).state_dict())

    def _averaged(self, encoder: nn.Module) -> list[Tensor]:
        return [p for name, p in encoder.named_parameters() if not name.startswith(f"{self.copied}.")]

    @torch.no_grad()
    def forward(self, x: Tensor, padding: Tensor | None) -> list[Tensor]:
        """Layer results (B, T, C) of every layer for the projected, unmasked features (B, T, C)."""
        return self.encoder(x.detach(), padding)[1]  # detached, since FlopCounterMode trips over views of x


def teacher_target(results: list[Tensor], top_k: int, padding: Tensor | None) -> Tensor:
    """Average the last `top_k` layer results, each instance-normalised over the frames of its utterance.

    Returns (B, T, C) in fp32. The statistics leave padding out (the official code counts it in).
    """
    normalised = [instance_norm(result.float(), padding) for result in results[-top_k:]]
    return torch.stack(normalised).mean(0)


def instance_norm(x: Tensor, padding: Tensor | None) -> Tensor:
    """Zero mean and unit variance over time for every utterance and channel of (B, T, C)."""
    if padding is None or not padding.any():
        return F.instance_norm(x.transpose(1, 2)).transpose(1, 2)
    inside = ~padding[..., None]
    count = inside.sum(1, keepdim=True)
    mean = (x * inside).sum(1, keepdim=True) / count
    variance = ((x - mean).square() * inside).sum(1, keepdim=True) / count
    return (x - mean) * torch.rsqrt(variance + 1e-5)
