"""MT4SSL: one masked pass of the student, learning from a list of offline and online targets (paper, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from mt4ssl.models.frontend import padding_mask
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.targets.base import Clean, Target
from mt4ssl.targets.losses import measure
from mt4ssl.targets.teacher import EmaConfig, Teacher


@dataclass
class MaskedLosses:
    """What one batch gives; sums are over its masked frames, so that batches can be added up."""

    loss: Tensor
    """Weighted sum of all targets."""
    frames: int
    """Masked frames."""
    sums: dict[str, Tensor]
    """Per target its summed loss, and its further measures, each a mean times `frames`."""


class MT4SSL(nn.Module):
    """A student, a head per target, and a teacher where a target asks for one."""

    def __init__(self, config: ModelConfig, targets: Sequence[Target], ema: EmaConfig) -> None:
        super().__init__()
        for target in targets:
            target.check(config.encoder.layers)
        dim = config.encoder.dim
        self.targets, self.ema = targets, ema
        self.names = [f"{index}_{target.log_name}" for index, target in enumerate(targets)]
        self.student = SpeechEncoder(config)
        self.mask_embedding = nn.Parameter(torch.empty(dim).uniform_())
        answers = [target.make_answers() for target in targets]
        self.answers = nn.ModuleList(answers)
        self.heads = nn.ModuleList(nn.Linear(dim, each.classes or dim) for each in answers)
        online = any(target.needs_teacher for target in targets)
        self.teacher = Teacher(self.student.encoder, copied="position") if online else None

    def forward(
        self, inputs: Tensor, lengths: Tensor | None, labels: dict[str, Tensor], masked: Tensor
    ) -> MaskedLosses:
        """Learn from one batch; where it has no lengths, nothing waits for the device.

        Args:
            inputs: waveforms (B, S) or fbank (B, T, 80).
            lengths: samples or fbank frames of each utterance (B,); None where all are equally long.
            labels: per name of a set of labels, a label for each of the model's frames (B, T').
            masked: (N,) numbers of the frames, counted through the batch, that the student sees the mask embedding
                instead of; each once.

        """
        features, frame_counts = self.student.project(inputs, lengths)
        padding = None if frame_counts is None else padding_mask(frame_counts, features.size(1))
        teacher = self.teacher
        clean = Clean(inputs, lengths, labels, padding, cache(lambda: teacher(features, padding) if teacher else []))
        embedding = self.mask_embedding.to(features.dtype).expand(len(masked), -1)
        seen = features.flatten(0, 1).index_copy(0, masked, embedding).view_as(features)
        outputs = self.student.encode(seen, frame_counts, max(target.layer for target in self.targets))

        sums: dict[str, Tensor] = {}
        loss = features.new_zeros((), dtype=torch.float32)
        for target, name, answers, head in zip(self.targets, self.names, self.answers, self.heads):
            read, truth = (x.flatten(0, 1).index_select(0, masked) for x in (outputs[target.layer - 1], answers(clean)))
            target_loss, measures = measure(head(read), truth)  # of N frames
            loss = loss + target.weight * target_loss
            sums[name] = target_loss
            sums.update({f"{name}_{key}": value for key, value in measures.items()})
        return MaskedLosses(loss, len(masked), {key: value.detach() for key, value in sums.items()})

    def finish_update(self, step: int) -> dict[str, float]:
        """Move the teacher after update `step`, counted from 1; return what is to be logged: the decay used."""
        if self.teacher is None:
            return {}
        decay = self.ema.at(step)
        self.teacher.update(self.student.encoder, decay)
        return {"ema_decay": decay}
