"""MT4SSL: one masked pass of the student, learning from a list of offline and online targets (paper, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from mt4ssl.models.decoder import Decoder, DecoderConfig, check_visible, encode_visible, visible_frames
from mt4ssl.models.frontend import padding_mask
from mt4ssl.models.pretrained import open_frontend, open_frozen
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.targets.base import Answers, Clean, Student, Target
from mt4ssl.targets.losses import measure
from mt4ssl.targets.teacher import EmaConfig, Teacher


@dataclass
class MaskedLosses:
    """What one batch gives; sums are means times `frames`, so that batches can be added up."""

    loss: Tensor
    """Weighted sum of all targets."""
    frames: int
    """Masked frames, or all where none is masked."""
    sums: dict[str, Tensor]
    """Per target its loss and its further measures."""


class MT4SSL(nn.Module):
    """A student, a head per target, and a teacher where a target asks for one."""

    def __init__(
        self,
        config: ModelConfig,
        targets: Sequence[Target],
        ema: EmaConfig,
        decoder: DecoderConfig | None = None,
        copies: int = 1,
    ) -> None:
        super().__init__()
        for target in targets:
            target.check(config.encoder.layers)
        if decoder:
            check_visible(config.encoder, decoder, targets)
        dim = config.encoder.dim
        self.targets, self.ema, self.copies = targets, ema, copies
        self.names = [f"{index}_{target.log_name}" for index, target in enumerate(targets)]
        self.student = SpeechEncoder(config)
        self.mask_embedding = nn.Parameter(torch.empty(dim).uniform_())
        if decoder:  # masked frames are zero to the positional convolution, and nothing to the layers
            self.mask_embedding.requires_grad_(False).zero_()
        student = Student(
            dim,
            config.frontend.frame_values,
            partial(open_frozen, frontend=config.frontend),
            partial(open_frontend, ours=config),
        )
        answers = [target.make_answers(student) for target in targets]
        self.answers = cast("Sequence[Answers]", nn.ModuleList(answers))
        read_dim = decoder.dim if decoder else dim
        self.heads = nn.ModuleList(
            nn.Linear(read_dim, each.outputs) if each.outputs else nn.Identity() for each in answers
        )
        self.decoder = Decoder(decoder, dim) if decoder else None
        online = any(target.highest_followed(config.encoder.layers) for target in targets)
        self.teacher = Teacher(self.student.encoder, copied="position") if online else None

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor | None,
        labels: dict[str, Tensor],
        masked: Tensor,
        waveforms: Tensor | None = None,
    ) -> MaskedLosses:
        """Learn from one batch; where it has no lengths, nothing waits for the device.

        Args:
            inputs: waveforms (B, S) or fbank (B, T, 80).
            lengths: samples or fbank frames of each utterance (B,); None where all are equally long.
            labels: per name of a set of labels, a label for each of the model's frames (B, T').
            masked: (N,) numbers of the frames that the student sees the mask embedding instead of, or does not see
                at all with a decoder; each once. They are counted through the batch, in which each utterance stands
                `copies` times. With a decoder they are as many of each, and utterances are equally long.
            waveforms: (B, S), equally long, beside fbank, for a target that needs them.

        """
        features, frame_counts = self.student.project(inputs, lengths)
        padding = None if frame_counts is None else padding_mask(frame_counts, features.size(1))
        frames = features.size(1)
        results = self.teacher(features, padding) if self.teacher else []
        clean_masked = self.without_copies(masked, frames)
        clean = Clean(inputs, lengths, labels, frames, padding, results, clean_masked, waveforms)
        outputs = self.read(features, frame_counts, masked)
        every = self.every_frame(features, padding)
        count = len(masked) or len(every)

        sums: dict[str, Tensor] = {}
        loss = features.new_zeros((), dtype=torch.float32)
        for target, name, answers, head in zip(self.targets, self.names, self.answers, self.heads):
            numbers = masked if target.frames == "masked" else every
            read = outputs[target.layer].flatten(0, 1).index_select(0, numbers)  # (N, C)
            truth = answers(clean).flatten(0, 1).index_select(0, self.without_copies(numbers, frames))
            target_loss, measures = measure(head(read), truth)
            share = count / max(1, len(numbers))
            sums[name] = target_loss * share
            sums.update({f"{name}_{key}": value * share for key, value in measures.items()})
            loss = loss + target.weight * sums[name]
        return MaskedLosses(loss, count, {key: value.detach() for key, value in sums.items()})

    def without_copies(self, numbers: Tensor, frames: int) -> Tensor:
        """Turn numbers of frames in a batch with copies into those of the same frames in the batch without."""
        return numbers // (self.copies * frames) * frames + numbers % frames

    def every_frame(self, features: Tensor, padding: Tensor | None) -> Tensor:
        """Return the numbers of all frames that are no padding, in a batch with copies."""
        numbers = torch.arange(self.copies * features[..., 0].numel(), device=features.device)
        return numbers if padding is None else numbers[~padding.repeat_interleave(self.copies, 0).flatten()]

    def read(self, features: Tensor, frame_counts: Tensor | None, masked: Tensor) -> dict[int, Tensor]:
        """Return what heads read of each copy, (B x copies, T', C), by number of the layer; 0 is before any mask."""
        embedding = self.mask_embedding.to(features.dtype).expand(len(masked), -1)
        copied = features[:, None].expand(-1, self.copies, -1, -1).flatten(0, 2)
        seen = copied.index_copy(0, masked, embedding).view(-1, *features.shape[1:])
        if self.decoder is None:
            if frame_counts is not None:
                frame_counts = frame_counts.repeat_interleave(self.copies)
            last = max(target.layer for target in self.targets)
            layers = self.student.encode(seen, frame_counts, last) if last else []
            return dict(enumerate([copied.view_as(seen), *layers]))
        visible = visible_frames(masked, *seen.shape[:2])
        encoded = encode_visible(self.student.encoder, seen, visible)
        return {self.targets[0].layer: self.decoder(encoded, visible, seen.size(1))}

    def update_sums(self) -> list[Tensor]:
        """Return what answers have added up in an update, for it to be added up over processes, in place."""
        return [sums for answers in self.answers for sums in answers.update_sums()]

    def finish_update(self, step: int) -> dict[str, Tensor | float]:
        """Move answers and teacher after update `step`, counted from 1; return what is to be logged."""
        logged: dict[str, Tensor | float] = {}
        for name, answers in zip(self.names, self.answers):
            logged.update({f"{name}_{key}": value for key, value in answers.finish_update().items()})
        if self.teacher is not None:
            logged["ema_decay"] = self.ema.at(step)
            self.teacher.update(self.student.encoder, self.ema.at(step))
        return logged
