"""CTC greedy search: the best token of each frame, repeats merged, blanks removed."""

from __future__ import annotations

import numpy as np


def greedy_search(log_probs: np.ndarray, blank: int = 0) -> list[int]:
    """Return the token ids of the best path through `log_probs` of shape (T, V)."""
    best = log_probs.argmax(axis=1)
    begins = np.diff(best, prepend=-1) != 0  # True where a run of equal tokens begins
    return best[begins & (best != blank)].tolist()
