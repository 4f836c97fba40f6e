"""Transformer encoder of wav2vec 2.0 / data2vec: positions, Transformer or Conformer layers, LayerDrop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from mt4ssl.models.conformer import ConvolutionModule
from mt4ssl.models.kernels import Dropout, LayerNorm, attention, layer_norm
from mt4ssl.models.positions import BiasGate, DistanceBias, LinearBias, RelativePositions, rotate
from mt4ssl.ranges import Count, CountOrZero, ShareBelowOne, check_ranges

Positions = Literal["conv", "gated", "alibi", "relative", "rotary", "none"]


@dataclass
class EncoderConfig:
    """Sizes of the Transformer; the defaults are the paper's base model."""

    layers: Count = 12
    """Number of Transformer layers."""
    dim: Count = 768
    """Dimension of the layers' inputs and outputs."""
    ffn_dim: Count = 3072
    """Dimension inside the feed-forward networks."""
    heads: Count = 12
    """Number of attention heads."""
    dropout: ShareBelowOne = 0.1
    """Dropout probability of the outputs of attention, of the feed-forward networks and of the convolution modules."""
    attention_dropout: ShareBelowOne = 0.1
    """Dropout probability of the attention weights."""
    activation_dropout: ShareBelowOne = 0.0
    """Dropout probability inside the feed-forward networks, after the activation."""
    layerdrop: ShareBelowOne = 0.05
    """Probability that a layer is skipped in a training batch (LayerDrop)."""
    conv_kernel: CountOrZero = 0
    """Number of frames that the convolution module of each Conformer layer sees, an odd number; 0 for Transformer
    layers, which have none."""
    conv_norm: Literal["layer", "batch"] = "layer"
    """What normalises the output of a Conformer layer's convolution: LayerNorm (`layer`), or BatchNorm with statistics
    that training leaves as they are (`batch`: those of an imported Wav2Vec2-Conformer)."""
    positions: Positions = "conv"
    """How layers know where a frame is: by convolutions before the first one (`conv`), by these and distances in
    attention that each frame weighs (`gated`: WavLM) or that scores fall with (`alibi`: data2vec 2.0), by distances in
    attention (`relative`), by turning what queries and keys are made of (`rotary`), or by no such thing (`none`)."""
    pos_conv_width: Count = 95
    """Number of frames that the positional convolutions see together (fairseq `conv_pos`)."""
    pos_conv_depth: Count = 5
    """Number of positional convolutions."""
    pos_conv_groups: Count = 16
    """Number of groups of channels in each positional convolution."""
    pos_conv_norm: Literal["layer", "weight"] = "layer"
    """What positional convolutions normalise: their output (`layer`: data2vec) or their weight (`weight`: wav2vec 2.0,
    HuBERT)."""
    padding_leaks: bool = False
    """Let padding into convolution modules, and into the second and later positional convolutions, as fairseq and
    transformers do."""
    pre_norm: bool = False
    """Put LayerNorm before attention and feed-forward, not after them (wav2vec 2.0 and HuBERT large;
    `layer_norm_first`); Conformer layers have their own, and only the encoder's goes from before the first layer to
    after the last."""

    def __post_init__(self) -> None:
        check_ranges(self, key="encoder")
        if self.dim % self.heads or self.dim % self.pos_conv_groups:
            raise ValueError(
                f"encoder.dim {self.dim} must be a multiple of heads {self.heads} "
                f"and of pos_conv_groups {self.pos_conv_groups}"
            )
        if self.conv_kernel and self.conv_kernel % 2 == 0:
            raise ValueError(f"encoder.conv_kernel {self.conv_kernel} must be an odd number, or 0 for no convolution")
        if self.positions in ("relative", "rotary") and self.dim // self.heads % 2:
            raise ValueError(f"encoder.positions {self.positions} needs an even encoder.dim / heads")


class PositionalConv(nn.Module):
    """Relative positions from grouped convolutions (fairseq wav2vec2.py: `pos_conv_depth`, `make_conv_pos`)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        kernel = max(3, config.pos_conv_width // config.pos_conv_depth)
        layers = [
            nn.Conv1d(config.dim, config.dim, kernel, padding=kernel // 2, groups=config.pos_conv_groups)
            for _ in range(config.pos_conv_depth)
        ]
        self.layers = nn.ModuleList(layers)
        self.dim, self.norm_output = config.dim, config.pos_conv_norm == "layer"
        self.padding_leaks = config.padding_leaks
        if not self.norm_output:
            for layer in layers:
                nn.init.normal_(layer.weight, std=(4 * (1 - config.dropout) / (kernel * config.dim)) ** 0.5)
                nn.init.zeros_(layer.get_parameter("bias"))
                weight_norm(layer, dim=2)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """(B, T, C), zero where padding (B, T) is -> (B, T, C); padding is kept from leaking in, layer by layer."""
        for number, layer in enumerate(self.layers):
            if padding is not None and number and not self.padding_leaks:
                x = x.masked_fill(padding[..., None], 0.0)
            y = layer(x.transpose(1, 2))[:, :, : x.size(1)].transpose(1, 2)  # an even kernel yields a frame too many
            x = F.gelu(layer_norm(y, (self.dim,)) if self.norm_output else y)
        return x


class EncoderLayer(nn.Module):
    """One layer; gives its output and its *layer result*, the FFN output before the last residual add.

    The layer result is what data2vec and MT4SSL regress (fairseq wav2vec2.py, `layer_result = x` after fc2).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, self.pre_norm = config.heads, config.pre_norm
        self.attention_dropout, self.rotary = config.attention_dropout, config.positions == "rotary"
        self.relative = RelativePositions(config.dim, config.heads) if config.positions == "relative" else None
        self.gate = BiasGate(config.dim, config.heads) if config.positions == "gated" else None
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.attention_norm = LayerNorm(config.dim)
        self.fc1 = nn.Linear(config.dim, config.ffn_dim)
        self.fc2 = nn.Linear(config.ffn_dim, config.dim)
        self.final_norm = LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        self.activation_dropout = Dropout(config.activation_dropout)

    def attend(self, x: Tensor, key_mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """Self-attention over (B, T, C); key_mask (B, 1, 1, T) is true where a key may be seen.

        `bias` (B or 1, H, T, T) is what distances add to scores, before the layer's gate where it has one.
        """
        batch, frames, dim = x.shape
        qkv = self.project_rotated(x) if self.rotary else self.qkv(x)
        q, k, v = qkv.view(batch, frames, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, T, C/H) each
        if self.relative is not None:
            q, bias = self.relative(q)
        elif self.gate is not None:
            bias = self.gate(x, bias)
        elif bias is not None:
            bias = bias.to(q.dtype)
        y = attention(q, k, v, key_mask, self.attention_dropout if self.training else 0.0, bias)
        return self.out(y.transpose(1, 2).reshape(batch, frames, dim))

    def project_rotated(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, 3C); what queries and keys are made of is rotated first (fairseq, transformers)."""
        rotated = rotate(x.view(*x.shape[:2], self.heads, -1)).flatten(2)
        parts = zip((rotated, rotated, x), self.qkv.weight.chunk(3), self.qkv.bias.chunk(3))
        return torch.cat([F.linear(*part) for part in parts], dim=2)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation_dropout(F.gelu(self.fc1(x))))

    def forward(self, x: Tensor, key_mask: Tensor | None, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.pre_norm:
            x = x + self.dropout(self.attend(self.attention_norm(x), key_mask, bias))
            result = self.feed_forward(self.final_norm(x))
            return x + self.dropout(result), result
        x = self.attention_norm(x + self.dropout(self.attend(x, key_mask, bias)))
        result = self.feed_forward(x)
        return self.final_norm(x + self.dropout(result)), result


class ConformerLayer(EncoderLayer):
    """Half a feed-forward network, attention, convolution, the other half, LayerNorm (Gulati et al. 2020, section 2).

    The layer result is the output of the second feed-forward network, before it is halved and added.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.first_ffn = nn.Sequential(
            LayerNorm(config.dim),
            nn.Linear(config.dim, config.ffn_dim),
            nn.SiLU(),
            Dropout(config.activation_dropout),
            nn.Linear(config.ffn_dim, config.dim),
        )
        self.convolution = ConvolutionModule(config.dim, config.conv_kernel, config.conv_norm)
        self.padding_leaks = config.padding_leaks
        self.ffn_norm = LayerNorm(config.dim)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation_dropout(F.silu(self.fc1(x))))

    def forward(self, x: Tensor, key_mask: Tensor | None, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = x + 0.5 * self.dropout(self.first_ffn(x))
        x = x + self.dropout(self.attend(self.attention_norm(x), key_mask, bias))
        padding = None if key_mask is None or self.padding_leaks else ~key_mask[:, 0, 0]
        x = x + self.dropout(self.convolution(x, padding))
        result = self.feed_forward(self.ffn_norm(x))
        return self.final_norm(x + 0.5 * self.dropout(result)), result


class Transformer(nn.Module):
    """Positions, the layers, and a LayerNorm: before the layers, or with `pre_norm` after the last."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        before, within = ("conv", "gated", "alibi"), {"gated": DistanceBias, "alibi": LinearBias}
        self.position = PositionalConv(config) if config.positions in before else nn.Identity()
        self.distances = within[config.positions](config.heads) if config.positions in within else None
        self.norm = LayerNorm(config.dim)
        layer = ConformerLayer if config.conv_kernel else EncoderLayer
        self.layers = nn.ModuleList(layer(config) for _ in range(config.layers))
        self.dropout = Dropout(config.dropout)
        self.layerdrop, self.pre_norm, self.depth = config.layerdrop, config.pre_norm, config.layers
        self.apply(_init_linear)

    def embed(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return layer 0, what the first layer reads: frames (B, T, C) with their positions; arguments as `forward`."""
        if padding is not None:
            x = x.masked_fill(padding[..., None], 0.0)
        if isinstance(self.position, PositionalConv):
            x = x + self.position(x, padding)
        return self.dropout(x if self.pre_norm else self.norm(x))

    def forward(
        self, x: Tensor, padding: Tensor | None = None, last_layer: int | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Encode frames (B, T, C), of which `padding` (B, T) marks those that are none.

        Returns the outputs and the layer results of layers 1 to `last_layer` (default: all), each (B, T, C).
        A layer skipped by LayerDrop passes its input on, and has no result of its own: it repeats the last one.
        """
        if padding is not None and not padding.any():
            padding = None  # attention without a mask takes the fast kernels
        return self.run(self.embed(x, padding), padding, last_layer)

    def run(
        self,
        x: Tensor,
        padding: Tensor | None = None,
        last_layer: int | None = None,
        numbers: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run the layers alone, on what `embed` returns; arguments and results as `forward`.

        `numbers` (B, T) are those of the frames, where they are not 0 to T - 1.
        """
        key_mask = None if padding is None else ~padding[:, None, None, :]
        bias = None
        if self.distances is not None:
            bias = self.distances(torch.arange(x.size(1), device=x.device)[None] if numbers is None else numbers)
        outputs: list[Tensor] = []
        results: list[Tensor] = []
        for layer in self.layers[:last_layer]:
            if self.skips_layer():
                result = results[-1] if results else x
            else:
                x, result = layer(x, key_mask, bias)
            outputs.append(x)
            results.append(result)
        if self.pre_norm and len(outputs) == self.depth:  # not in a model that was cut off at one of its layers
            outputs[-1] = self.norm(x)
        return outputs, results

    def skips_layer(self) -> bool:
        """Draw whether a batch skips the next layer; on the CPU, since a draw on a GPU would have to be waited for.

        One draw a layer, in turn with dropout's: trainings of earlier versions go on exactly.
        """
        return self.training and torch.rand(1, device="cpu").tolist()[0] < self.layerdrop


def _init_linear(module: nn.Module) -> None:
    """BERT's initialisation, as fairseq's `init_bert_params`."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
