"""A student that encodes what it sees alone, and a small decoder that guesses the rest (data2vec 2.0, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mt4ssl.errors import UserError
from mt4ssl.models.encoder import EncoderConfig, Transformer
from mt4ssl.models.kernels import Dropout, layer_norm
from mt4ssl.ranges import Count, ShareBelowOne, check_ranges
from mt4ssl.targets.base import Target

NOISE = 0.01  # standard deviation of what stands in for masked frames (`mask_noise_std`)


@dataclass
class DecoderConfig:
    """Convolutions that predict masked frames from encoded visible ones; nothing of them outlives pre-training."""

    dim: Count = 384
    """Number of channels of every convolution."""
    layers: Count = 4
    """Number of convolutions."""
    kernel: Count = 7
    """Number of frames that each convolution sees, an odd number."""
    groups: Count = 16
    """Number of groups of channels in each convolution."""
    dropout: ShareBelowOne = 0.1
    """Dropout probability of the encoded frames."""

    def __post_init__(self) -> None:
        check_ranges(self, key="decoder")
        if self.kernel % 2 == 0:
            raise ValueError(f"decoder.kernel {self.kernel} must be an odd number")
        if self.dim % self.groups:
            raise ValueError(f"decoder.dim {self.dim} must be a multiple of groups {self.groups}")


class Decoder(nn.Module):
    """Convolution, LayerNorm and GELU in every layer, added to its input where both have as many channels."""

    def __init__(self, config: DecoderConfig, inputs: int) -> None:
        super().__init__()
        self.dim, self.dropout = config.dim, Dropout(config.dropout)
        sizes = [inputs] + [config.dim] * config.layers
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, config.kernel, padding=config.kernel // 2, groups=config.groups)
            for before, after in pairwise(sizes)
        )

    def forward(self, encoded: Tensor, visible: Tensor, frames: int) -> Tensor:
        """Put encoded frames (B, V, C), of numbers `visible` (B, V), among noise, and decode all: (B, frames, D)."""
        encoded = self.dropout(encoded)
        x = encoded.new_zeros(len(encoded), frames, encoded.size(2))
        if self.training:
            x.normal_(std=NOISE)
        return self.decode(x.scatter(1, visible[..., None].expand_as(encoded), encoded))

    def decode(self, x: Tensor) -> Tensor:
        """Turn frames (B, T, C), encoded or noise, into (B, T, D)."""
        for layer in self.layers:
            y = F.gelu(layer_norm(layer(x.transpose(1, 2)).transpose(1, 2), (self.dim,)))
            x = x + y if x.size(2) == self.dim else y
        return x


def visible_frames(masked: Tensor, rows: int, frames: int) -> Tensor:
    """Return the numbers (rows, V) in each row of the frames that are not among `masked` (N,), in order.

    `masked` counts through all rows, and has as many frames of each: then nothing waits for the device.
    """
    hidden = torch.zeros(rows * frames, dtype=torch.uint8, device=masked.device).index_fill_(0, masked, 1)
    return hidden.view(rows, frames).sort(dim=1, stable=True).indices[:, : frames - len(masked) // rows]


def encode_visible(encoder: Transformer, features: Tensor, visible: Tensor) -> Tensor:
    """Encode the frames of `features` (B, T, C) that `visible` (B, V) names: (B, V, C).

    Positions are those among all frames, as masked ones are taken out after the positional convolution.
    """
    embedded = encoder.embed(features)
    seen = embedded.gather(1, visible[..., None].expand(-1, -1, features.size(2)))
    return encoder.run(seen, numbers=visible)[0][-1]


def check_visible(encoder: EncoderConfig, decoder: DecoderConfig, targets: Sequence[Target]) -> None:
    """Raise UserError if layers would take frames for neighbours that are not, or a target reads no decoded frames."""
    if encoder.dim % decoder.groups:
        raise UserError(f"model.encoder.dim {encoder.dim} must be a multiple of decoder.groups {decoder.groups}")
    if encoder.conv_kernel or encoder.positions in ("relative", "rotary"):
        raise UserError(
            "a decoder goes with layers that do not take frames for neighbours that are none: set "
            "model.encoder.conv_kernel to 0, and model.encoder.positions to conv, gated, alibi or none"
        )
    for target in targets:
        if target.layer != encoder.layers:
            raise UserError(f"target {target}: with a decoder only the last layer can be read: layer {encoder.layers}")
