"""Which frames the student may not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mt4ssl.ranges import Count, Share


@dataclass
class MaskConfig:
    """Which frames of an utterance are masked."""

    prob: Share = 0.65
    """Share of frames in masked spans, overlaps counted twice; of blocks, the share of frames that are masked."""
    length: Count = 10
    """Number of frames in a masked span or block."""
    kind: Literal["span", "block"] = "span"
    """Spans that start at random (wav2vec 2.0), or blocks around random frames, of which single frames are taken away
    or added at random until they are as many as `prob` says (data2vec 2.0)."""
    copies: Count = 1
    """Number of masks of each utterance, each of a copy that the student reads; targets are computed once."""


def draw_masks(lengths: Sequence[int], size: int, rng: np.random.Generator, config: MaskConfig) -> np.ndarray:
    """Draw the masks (B x copies, size) of utterances of `lengths` (B,) frames, `copies` of each in turn."""
    draw = block_mask if config.kind == "block" else span_mask
    return draw(np.repeat(lengths, config.copies).tolist(), size, rng, config)


def span_mask(
    lengths: Sequence[int], size: int, rng: np.random.Generator, config: MaskConfig, same_count: bool = True
) -> np.ndarray:
    """Draw a span mask (B, size) for utterances of `lengths` (B,) frames (wav2vec 2.0, section 3.1).

    `prob` x frames / `length` spans start at random, and may overlap; their number is rounded at random, so that its
    expectation is exact, and at least one unless `prob` is 0. With `same_count` (fairseq's `require_same_masks`) rows
    with more masked frames give up random ones. Nothing past a length is masked.
    """
    rows = []
    for length in lengths:
        width = min(config.length, int(length))
        spans = max(1, int(config.prob * length / config.length + rng.random())) if config.prob else 0
        starts = rng.choice(length - width + 1, min(spans, length - width + 1), replace=False)
        rows.append(np.unique(starts[:, None] + np.arange(width)))
    fewest = min(len(row) for row in rows)
    mask = np.zeros((len(rows), size), dtype=bool)
    for row, frames in zip(mask, rows):
        row[rng.choice(frames, fewest, replace=False) if same_count else frames] = True
    return mask


def block_mask(lengths: Sequence[int], size: int, rng: np.random.Generator, config: MaskConfig) -> np.ndarray:
    """Draw a block mask (B, size) for utterances of `lengths` (B,) frames (fairseq `compute_block_mask_1d`).

    Exactly int(`prob` x frames) of each are masked, and at least one; blocks are drawn for 5 % of the frames more.
    """
    mask = np.zeros((len(lengths), size), dtype=bool)
    for row, length in zip(mask, lengths):
        inside = row[:length]
        centres = rng.integers(length, size=int(length * (config.prob + 0.05) / config.length))
        blocks = centres[:, None] + np.arange(config.length) - config.length // 2
        inside[blocks.clip(0, length - 1)] = True
        surplus = int(inside.sum()) - max(1, int(config.prob * length))
        inside[rng.choice(np.flatnonzero(inside == (surplus > 0)), abs(surplus), replace=False)] ^= True
    return mask
