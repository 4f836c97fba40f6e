"""Targets for a front-end: what another one makes of the same speech (Front-End Adapter, arXiv 2302.09331)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from mt4ssl.errors import UserError
from mt4ssl.ranges import CountOrZero
from mt4ssl.targets.base import Answers, Clean, Frozen, Student, Target


@dataclass
class FrontendTarget(Target):
    """Give the layers, from fbank, what the front-end of a pre-trained model gives them from waveforms."""

    type: Literal["frontend"]
    checkpoint: str
    """Folder of a pre-training that reads waveforms, or of such an exported or imported encoder."""
    layer: CountOrZero = field(default=0, kw_only=True)
    """Always 0: the student is read at what its layers get, before anything of it is masked."""
    frames: Literal["masked", "all"] = field(default="all", kw_only=True)
    """Frames at which the student is read: those that the layers will see masked, or all."""

    @property
    def log_name(self) -> str:
        return "frontend"

    @property
    def needs_waveforms(self) -> bool:
        return True

    def check(self, layers: int) -> None:
        if self.layer:
            raise UserError(f"target {self}: front-ends are compared at layer 0, before the layers: leave layer out")

    def make_answers(self, student: Student) -> Answers:
        return FrozenFrontend(student.open_frontend(self.checkpoint))


class FrozenFrontend(Frozen, Answers):
    """The projected features of a model of waveforms, as they are; checkpoints of the training hold the model too."""

    outputs = 0

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)

    @torch.no_grad()
    def forward(self, clean: Clean) -> Tensor:
        features = self.model(cast("Tensor", clean.waveforms))
        # Convolutions without padding make a frame or two less of an utterance than those of fbank.
        missing = max(0, clean.frames - features.size(1))
        return torch.cat([features, features[:, -1:].expand(-1, missing, -1)], 1)[:, : clean.frames].float()
