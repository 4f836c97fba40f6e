"""Which frames the student may not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class MaskConfig:
    """Span masking (wav2vec 2.0, section 3.1): `prob` x frames / `length` spans start at random, overlaps allowed."""

    prob: float = 0.65
    """Share of frames in masked spans, overlaps counted twice."""
    length: int = 10
    """Number of frames in a masked span."""


def span_mask(
    lengths: Sequence[int], size: int, rng: np.random.Generator, config: MaskConfig, same_count: bool = True
) -> np.ndarray:
    """Draw a span mask (B, size) for utterances of `lengths` (B,) frames.

    The number of spans is rounded at random, so that its expectation is exact, and at least one unless `prob` is 0.
    With `same_count` (fairseq's `require_same_masks`) rows with more masked frames give up random ones. Nothing past
    a length is masked.
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
