"""When each token of a transcript is said, after a CTC model: it stands in for phones where none are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem
from lhotse.utils import fastcopy
from torchaudio.functional import forced_align, merge_tokens

from mt4ssl.data.ctc import transcript
from mt4ssl.errors import UserError
from mt4ssl.lang.tokens import Tokens


def align_tokens(
    log_probs: np.ndarray, tokens: Sequence[int], symbols: Sequence[str], duration: float
) -> list[AlignmentItem]:
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


def with_alignment(cut: Cut, items: list[AlignmentItem]) -> Cut:
    """Return the cut with one alignment more; UserError unless one supervision has all of its text."""
    if len(cut.supervisions) != 1:
        raise UserError(f"cut {cut.id} has {len(cut.supervisions)} supervisions: trim cuts to one each")
    (supervision,) = cut.supervisions
    alignment = {**(supervision.alignment or {}), "token": items}
    return fastcopy(cut, supervisions=[fastcopy(supervision, alignment=alignment)])


def align_cuts(cuts: Iterable[Cut], log_probs: Mapping[str, np.ndarray], tokens: Tokens) -> Iterator[Cut]:
    """Yield each cut with an alignment of its transcript's tokens; UserError names the cut for which there is none."""
    for cut in cuts:
        if cut.id not in log_probs:
            raise UserError(f"there are no log-probs of {cut.id}: run stage 9 (emit) for these cuts")
        ids = tokens.encode(transcript(cut), cut.id)
        try:
            items = align_tokens(log_probs[cut.id], ids, tokens.symbols, cut.duration)
        except UserError as error:
            raise UserError(f"cut {cut.id}: {error}") from error
        yield with_alignment(cut, items)
