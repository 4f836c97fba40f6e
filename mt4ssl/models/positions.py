"""Positions that attention itself sees.

Relative (Transformer-XL, section 3.3), rotary (RoFormer), gated (WavLM), linear (ALiBi).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUCKETS = 320  # of distances, half of them for keys before the query
FAR = 800  # frames; all that are farther share a bucket (so in all WavLM models of transformers; the paper has 1280)


def frequencies(dim: int, device: torch.device | None = None) -> Tensor:
    """Return the (C/2,) frequencies of sinusoids in radians a frame, from 1 to nearly 1/10000."""
    return torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10000.0) / dim))


def rotate(x: Tensor) -> Tensor:
    """Turn each channel of the first half of (B, T, H, C/H), paired with one of the second, by its frame's angle."""
    positions = torch.arange(x.size(1), device=x.device)
    angle = positions[:, None, None] * frequencies(x.size(3), x.device)  # (T, 1, C/2H)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=3)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=3)


class RelativePositions(nn.Module):
    """What the distance between two frames adds to the attention between them; learned on top of sinusoids."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.projection = nn.Linear(dim, dim, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, dim // heads))
        self.position_bias = nn.Parameter(torch.zeros(heads, dim // heads))

    def forward(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries (B, H, T, C/H) with their bias, and what is added to their scores (B, H, T, T)."""
        frames = q.size(2)
        distances = torch.arange(frames - 1, -frames, -1, device=q.device)
        angle = distances[:, None] * frequencies(self.dim, q.device)
        sinusoids = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).to(q.dtype)  # (2T-1, C)
        keys = self.projection(sinusoids).view(2 * frames - 1, self.heads, -1).permute(1, 2, 0)  # (H, C/H, 2T-1)
        scores = (q + self.position_bias[:, None]) @ keys * q.size(3) ** -0.5  # by distance: from T-1 to 1-T
        # Row i has its key 0 at column T-1-i: with a column more, rows that are one shorter line the keys up.
        shifted = F.pad(scores, (0, 1)).flatten(2)[..., frames - 1 : -1].unflatten(2, (frames, 2 * frames - 1))
        return q + self.content_bias[:, None], shifted[..., :frames]


def bucket(distances: Tensor) -> Tensor:
    """Return the bucket of each distance, in frames from query to key: exact up to 79, then logarithmic (T5; WavLM)."""
    side, size = BUCKETS // 2, distances.abs()
    exact = side // 2
    growth = (size.clamp(min=exact) / exact).log() / math.log(FAR / exact)  # 0 where buckets begin to grow, 1 at FAR
    wide = (exact + (growth * (side - exact)).long()).clamp(max=side - 1)
    return torch.where(size < exact, size, wide) + side * (distances > 0)


class DistanceBias(nn.Module):
    """What distances add to the scores of attention, learned by buckets; all layers share it, and each gates it."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BUCKETS, heads)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the bias (B, H, T, T) of frames that are queries and keys, from their numbers (B, T)."""
        return self.embedding(bucket(numbers[:, None] - numbers[:, :, None])).permute(0, 3, 1, 2)


def slopes(heads: int) -> list[float]:
    """Return what each head takes from a score for each frame of distance: geometric sequences (ALiBi, section 3).

    Heads beyond a power of two have every second slope of twice as many (fairseq, data2vec 2.0: `get_alibi`).
    """
    power = 2 ** int(math.log2(heads))
    first, second = ([2 ** (-8 * (head + 1) / size) for head in range(size)] for size in (power, 2 * power))
    return first + second[::2][: heads - power]


class LinearBias(nn.Module):
    """What scores of attention lose with distance; each head learns how much of its slope (data2vec 2.0)."""

    slopes: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(heads))
        self.register_buffer("slopes", torch.tensor(slopes(heads)), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the bias (B, H, T, T) of frames that are queries and keys, from their numbers (B, T)."""
        distances = (numbers[:, None] - numbers[:, :, None]).abs()
        return -(self.scale.clamp(min=0.0) * self.slopes)[:, None, None] * distances[:, None]


class BiasGate(nn.Module):
    """By what factor a frame takes the bias of distances in each head: from 1 to 2 where `scale` is 1 (WavLM)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projection = nn.Linear(dim // heads, 8)
        self.scale = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return what scores of frames (B, T, C) get of the bias (1 or B, H, T, T): (B, H, T, T), of their dtype."""
        split = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, T, C/H)
        gates = self.projection(split)
        first, second = gates.unflatten(3, (2, 4)).sum(4).sigmoid().chunk(2, dim=3)
        share = first * (second * self.scale - 1) + 2
        return share.to(gates.dtype) * bias.to(gates.dtype)
