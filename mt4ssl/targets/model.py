"""Targets from a model that stays as it is: distillation into a smaller one, or a third source beside the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from mt4ssl.ranges import Count, CountOrZero
from mt4ssl.targets.base import Answers, Clean, Frozen, Student, Target
from mt4ssl.targets.teacher import teacher_target

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class ModelTarget(Target):
    """Regress the mean of some layers of another pre-trained model, which sees unmasked input, or its labels."""

    type: Literal["model"]
    checkpoint: str
    """Folder of a pre-training, or of an exported or imported encoder."""
    layers: list[Count]
    """Numbers, counted from 1, of its layers whose outputs are averaged."""
    codes: str | None = None
    """Name of the labels that the model reads, one a frame, if its front-end is `codes` (the code teacher of
    CoBERT); none for a model that reads what the student reads."""
    classes: CountOrZero = 0
    """Number of different codes; a training takes it from the labels themselves."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError(f"target of {self.checkpoint}: layers is empty: name at least one")

    @property
    def log_name(self) -> str:
        return "codes" if self.codes else "model"

    @property
    def labels(self) -> str | None:
        return self.codes

    def with_classes(self, classes: int) -> Self:
        return replace(self, classes=classes)

    def make_answers(self, student: Student) -> Answers:
        encoder, dim = student.open_model(self.checkpoint, max(self.layers), self.codes, self.classes)
        return FrozenModel(encoder, dim, self.layers, self.codes)


class FrozenModel(Frozen, Answers):
    """The mean of layers' outputs, each normalised over its utterance like those of the EMA teacher.

    Checkpoints of the training hold the model too.
    """

    def __init__(self, encoder: nn.Module, dim: int, layers: list[int], codes: str | None) -> None:
        super().__init__()
        self.codes = codes
        self.encoder, self.outputs, self.layers = encoder.requires_grad_(False), dim, layers

    @torch.no_grad()
    def forward(self, clean: Clean) -> Tensor:
        outputs, _ = self.encoder(*self.inputs(clean))
        return teacher_target([outputs[number - 1] for number in self.layers], len(self.layers), clean.padding)

    def inputs(self, clean: Clean) -> tuple[Tensor, Tensor | None]:
        """Return what the model reads of a batch: what the student does, or labels (B, T'); and their lengths (B,)."""
        if self.codes is None:
            return clean.inputs, clean.lengths
        return clean.labels[self.codes], None if clean.padding is None else (~clean.padding).sum(1)
