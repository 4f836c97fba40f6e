"""The speech encoder: front-end, projection and Transformer, all of a model that outlives its pre-training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from mt4ssl.models.encoder import EncoderConfig, EncoderLayer, PositionalConv, Transformer
from mt4ssl.models.frontend import FRONTENDS, Frontend, FrontendConfig, padding_mask
from mt4ssl.models.kernels import LayerNorm

Lengths = TypeVar("Lengths", bound="Tensor | None")
"""Lengths (B,), or None where no utterance is padded."""


@dataclass
class ModelConfig:
    """The network without its targets."""

    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)


class SpeechEncoder(nn.Module):
    """Front-end, projection and Transformer; its parts are called as the sections of its config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.frontend = FRONTENDS[config.frontend.type](config.frontend)
        self.feature_norm = LayerNorm(config.frontend.dim)
        self.projection = nn.Linear(config.frontend.dim, config.encoder.dim)
        self.encoder = Transformer(config.encoder)

    def project(self, inputs: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """Turn waveforms (B, S), fbank (B, T, 80) or labels (B, T) into projected features (B, T', C) and lengths (B,).

        Lengths are None, before and after, where no utterance is padded.
        """
        x, lengths = self.frontend(inputs, lengths)
        return self.projection(self.feature_norm(x)), lengths

    def encode(self, features: Tensor, lengths: Tensor | None, last_layer: int | None = None) -> list[Tensor]:
        """Return the outputs (B, T', C) of layers 1 to `last_layer` (default: all) for projected features."""
        padding = None if lengths is None else padding_mask(lengths, features.size(1))
        return self.encoder(features, padding, last_layer)[0]

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the output (B, T', C) of every layer, and the lengths (B,)."""
        features, lengths = self.project(inputs, lengths)
        return self.encode(features, lengths), lengths

    def layer(self, inputs: Tensor, lengths: Tensor, number: int) -> Tensor:
        """Return the output (B, T', C) of one layer; number 0 is what the first layer reads."""
        features, lengths = self.project(inputs, lengths)
        if number:
            return self.encode(features, lengths, number)[-1]
        return self.encoder.embed(features, padding_mask(lengths, features.size(1)))


def compile_layers(model: nn.Module) -> None:
    """Let torch.compile have the front-end, the positions and every Transformer layer.

    All layers share their graphs, whose inputs the weights are; one graph of the whole stack would be another one for
    every choice of layers that LayerDrop skips.
    """
    # Student and teacher, training and validation, one row or several, padding or none: more graphs than torch's 8.
    torch._dynamo.config.cache_size_limit = 64  # noqa: SLF001  (its name in all versions from torch 2.6 on)
    for module in model.modules():
        if isinstance(module, (Frontend, PositionalConv, EncoderLayer)):
            module.compile(dynamic=True)
