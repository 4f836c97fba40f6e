"""Targets from a model that stays as it is: distillation into a smaller one, or a third source beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mt4ssl.ranges import Count
from mt4ssl.targets.base import Answers, Clean, Student, Target
from mt4ssl.targets.teacher import teacher_target


@dataclass
class ModelTarget(Target):
    """Regress the mean of some layers of another pre-trained model, which sees unmasked input."""

    type: Literal["model"]
    checkpoint: str
    """Folder of a pre-training, or of an exported or imported encoder."""
    layers: list[Count]
    """Numbers, counted from 1, of its layers whose outputs are averaged."""

    @property
    def log_name(self) -> str:
        return "model"

    def make_answers(self, student: Student) -> Answers:
        return FrozenModel(*student.open_model(self.checkpoint, max(self.layers)), self.layers)


class FrozenModel(Answers):
    """The mean of layers' outputs, each normalised over its utterance like those of the EMA teacher.

    Checkpoints of the training hold the model too.
    """

    def __init__(self, encoder: nn.Module, dim: int, layers: list[int]) -> None:
        super().__init__()
        self.encoder, self.outputs, self.layers = encoder.requires_grad_(False), dim, layers

    def train(self, mode: bool = True) -> FrozenModel:
        """Stay in eval mode, whatever the student does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, clean: Clean) -> Tensor:
        outputs, _ = self.encoder(clean.inputs, clean.lengths)
        return teacher_target([outputs[number - 1] for number in self.layers], len(self.layers), clean.padding)
