"""When each token of a transcript is said, after a CTC model: it stands in for phones where none are known."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np
import torch
from lhotse.supervision import AlignmentItem
from torchaudio.functional import forced_align, merge_tokens

from mt4ssl.errors import UserError


def align_tokens(
    log_probs: np.ndarray, tokens: Sequence[int], symbols: Sequence[str], duration: float
) -> List[AlignmentItem]:
    """Align tokens (U,) with CTC log-probs (T, V) of `duration` seconds, blank 0; the intervals leave no gap.

    CTC says a token in a frame or two and blanks around it, so an interval ends halfway to the next token's frames.
    Raises UserError if there are more tokens than frames for them.
    """
    try:
        path, scores = forced_align(torch.tensor(log_probs)[None], torch.tensor([tokens], dtype=torch.int32))
    except RuntimeError as error:
        raise UserError(f"{len(tokens)} tokens do not fit into {len(log_probs)} frames") from error
    centres = np.array([(span.start + span.end) / 2 for span in merge_tokens(path[0], scores[0])])
    bounds = np.concatenate([[0], (centres[:-1] + centres[1:]) / 2, [len(log_probs)]]) * (duration / len(log_probs))
    return [
        AlignmentItem(symbols[token], start, end - start) for token, start, end in zip(tokens, bounds[:-1], bounds[1:])
    ]
