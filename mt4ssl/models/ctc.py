"""CTC model: a pre-trained encoder under a linear layer (Graves et al. 2006; wav2vec 2.0, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.ranges import Count, Share, ShareBelowOne


@dataclass
class CtcConfig:
    """The head, and the masking that regularises fine-tuning (wav2vec 2.0, appendix B)."""

    slots: Count = 1
    """Number of tokens that one frame can emit; 2 at 25 frames a second give CTC the 50 that fast speech needs."""
    dropout: ShareBelowOne = 0.0
    """Dropout probability of the encoder's output, before the head."""
    time_mask_prob: Share = 0.65
    """Share of frames in masked spans, overlaps counted twice; 0 masks none."""
    time_mask_length: Count = 10
    """Number of frames in a masked span."""
    channel_mask_prob: Share = 0.5
    """Share of channels in masked spans, overlaps counted twice; 0 masks none."""
    channel_mask_length: Count = 64
    """Number of channels in a masked span."""


class CtcModel(nn.Module):
    """Encoder, dropout, linear head, log-softmax."""

    def __init__(self, model: ModelConfig, ctc: CtcConfig, vocab_size: int) -> None:
        super().__init__()
        self.encoder = SpeechEncoder(model)
        self.mask_embedding = nn.Parameter(torch.empty(model.encoder.dim).uniform_())
        self.dropout = nn.Dropout(ctc.dropout)
        self.head = nn.Linear(model.encoder.dim, ctc.slots * vocab_size)
        self.slots = ctc.slots
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, inputs: Tensor, lengths: Tensor, time_mask: Tensor | None = None, channel_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return log-probs (B, T, V) and their lengths (B,).

        `time_mask` (B, T') puts the mask embedding in place of projected frames, `channel_mask` (B, C) zeroes channels.
        """
        x, lengths = self.encoder.project(inputs, lengths)
        if time_mask is not None:
            x = torch.where(time_mask[..., None], self.mask_embedding.to(x.dtype), x)
        if channel_mask is not None:
            x = x.masked_fill(channel_mask[:, None], 0.0)
        outputs = self.encoder.encode(x, lengths)
        logits = self.head(self.dropout(outputs[-1]))  # (B, T', slots x V)
        logits = logits.reshape(x.size(0), x.size(1) * self.slots, -1)
        return logits.float().log_softmax(-1), lengths * self.slots


def ctc_loss(log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> Tensor:
    """Sum of -log p(tokens) over the batch; log_probs (B, T, V), tokens (B, U); impossible alignments count as zero."""
    return F.ctc_loss(
        log_probs.transpose(0, 1), tokens, lengths, token_lengths, blank=0, reduction="sum", zero_infinity=True
    )


def channel_mask(batch: int, dim: int, config: CtcConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw spans of zeroed channels (B, C), each row on its own (fairseq `mask_channel_prob`)."""
    width = min(config.channel_mask_length, dim)
    mask = np.zeros((batch, dim), dtype=bool)
    for row in mask:
        spans = int(config.channel_mask_prob * dim / width + rng.random())
        for start in rng.integers(0, dim - width + 1, spans):
            row[start : start + width] = True
    return mask
