"""When each token of a transcript is said, after a CTC model: phones, or what stands in for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem
from lhotse.utils import fastcopy
from torchaudio.functional import forced_align, merge_tokens

from mt4ssl.clustering.pauses import parts_between_pauses
from mt4ssl.clustering.quality import SILENCE
from mt4ssl.data.ctc import transcript
from mt4ssl.data.signals import WINDOW
from mt4ssl.errors import UserError
from mt4ssl.files import write_lines
from mt4ssl.lang.tokens import Tokens

LONGEST_GAP = 0.2  # seconds between the middles of two tokens that leave no silence between them
SHARE = 0.06  # seconds that a token next to silence lasts before and after its middle
PART = 10.0  # seconds in which there is a pause as a rule
MOST_STEPS = 2**31  # frames x states that torchaudio can count

Spans = tuple[float, list[tuple[float, float]]]  # log-probability of the best path, and (start, end) of each token


def best_path(log_probs: np.ndarray, tokens: Sequence[int]) -> Spans:
    """Return the best CTC path of tokens (U,) through log-probs (T, V), blank 0: its score, and the tokens' frames.

    Raises UserError if there are more tokens than frames for them, or too many of both.
    """
    if len(log_probs) * (2 * len(tokens) + 1) >= MOST_STEPS:
        raise UserError(f"{len(tokens)} tokens without a pause are too many to align: cut the recording")
    try:
        path, scores = forced_align(torch.tensor(log_probs)[None], torch.tensor([tokens], dtype=torch.int32))
    except RuntimeError as error:
        raise UserError(f"{len(tokens)} tokens do not fit into {len(log_probs)} frames") from error
    return float(scores.sum()), [(span.start, span.end) for span in merge_tokens(path[0], scores[0])]


def choose_pronunciations(log_probs: np.ndarray, words: Sequence[Sequence[list[int]]]) -> list[int]:
    """Return the tokens (U,) of words with one or more pronunciations each, those of the best path.

    One word after the other takes what is best while the others stay: what a word sounds like says next to nothing
    about how its neighbours are pronounced.
    """
    chosen = [ways[0] for ways in words]
    for number, ways in enumerate(words):
        if len(ways) > 1:
            choices = [[*chosen[:number], way, *chosen[number + 1 :]] for way in ways]
            chosen = max(choices, key=lambda choice: score(log_probs, choice))
    return [token for way in chosen for token in way]


def score(log_probs: np.ndarray, words: Sequence[list[int]]) -> float:
    """Return the log-probability of the best path of some words' tokens, -inf where they do not fit."""
    try:
        return best_path(log_probs, [token for word in words for token in word])[0]
    except UserError:
        return -np.inf


def intervals(
    tokens: Sequence[int], spans: Sequence[tuple[float, float]], shift: float, symbols: Sequence[str], duration: float
) -> list[AlignmentItem]:
    """Return when each token is said, from the frames, of `shift` seconds, where CTC emits it; without gaps.

    CTC emits a token in a frame or two and blanks around it, so that an interval ends halfway to the next token; where
    that is far, there is silence between them, as at both ends of the recording.
    """
    items = []
    end = 0.0
    middles = [(start + stop) / 2 * shift for start, stop in spans]
    for token, middle, following in zip(tokens, middles, [*middles[1:], None]):
        if middle - SHARE > end:  # after silence
            items.append(AlignmentItem(SILENCE, end, middle - SHARE - end))
            end = middle - SHARE
        if following is None:
            stop = min(middle + SHARE, duration)
        else:
            stop = (middle + following) / 2 if following - middle <= LONGEST_GAP else middle + SHARE
        items.append(AlignmentItem(symbols[token], end, stop - end))
        end = stop
    if duration > end:
        items.append(AlignmentItem(SILENCE, end, duration - end))
    return items


def align_tokens(
    log_probs: np.ndarray, words: Sequence[Sequence[list[int]]], symbols: Sequence[str], duration: float
) -> list[AlignmentItem]:
    """Align words, each given by its pronunciations as token ids, with CTC log-probs (T, V) of `duration` seconds.

    What lasts longer than WINDOW seconds is aligned in parts, between pauses. Raises UserError as `best_path` does.
    """
    if not len(log_probs):
        raise UserError("it is too short for a frame")
    shift = duration / len(log_probs)
    parts = [(slice(0, len(log_probs)), slice(0, len(words)))]
    if duration > WINDOW:
        parts = list(parts_between_pauses(log_probs, [ways[0] for ways in words], round(PART / shift)))
    tokens: list[int] = []
    spans: list[tuple[float, float]] = []
    for frames, said in parts:
        chosen = choose_pronunciations(log_probs[frames], words[said])
        tokens += chosen
        spans += [(frames.start + start, frames.start + end) for start, end in best_path(log_probs[frames], chosen)[1]]
    return intervals(tokens, spans, shift, symbols, duration)


def with_alignment(cut: Cut, kind: str, items: list[AlignmentItem]) -> Cut:
    """Return the cut with an alignment of this kind, whose items count from the start of the cut.

    Lhotse counts from the start of the recording. Raises UserError unless one supervision has all of its text.
    """
    if len(cut.supervisions) != 1:
        raise UserError(f"cut {cut.id} has {len(cut.supervisions)} supervisions: trim cuts to one each")
    (supervision,) = cut.supervisions
    alignment = {**(supervision.alignment or {}), kind: [item.with_offset(cut.start) for item in items]}
    return fastcopy(cut, supervisions=[fastcopy(supervision, alignment=alignment)])


def align_cuts(
    cuts: Iterable[Cut], log_probs: Mapping[str, np.ndarray], tokens: Tokens
) -> tuple[list[Cut], dict[str, str]]:
    """Return the cuts with alignments of their transcripts, and why the others have none, by their ids.

    An alignment is of kind `phone`, or `token` where tokens are no phones. As in fine-tuning, words may have no
    tokens, and cuts more tokens than frames. Raises UserError if no cut can be aligned, or if one has no log-probs.
    """
    aligned: list[Cut] = []
    left_out: dict[str, str] = {}
    for cut in cuts:
        if cut.id not in log_probs:
            raise UserError(f"there are no log-probs of {cut.id}: run stage 9 (emit) for these cuts")
        text = transcript(cut)
        try:
            words = tokens.pronunciations(text, cut.id)
            items = align_tokens(log_probs[cut.id], words, tokens.symbols, cut.duration)
        except UserError as error:
            left_out[cut.id] = str(error)
        else:
            aligned.append(with_alignment(cut, tokens.unit.kind, items))
    if left_out and not aligned:
        cut_id, reason = next(iter(left_out.items()))
        raise UserError(f"none of {len(left_out)} cuts can be aligned; the first is {cut_id}: {reason}")
    return aligned, left_out


def write_ctm(path: Path, cuts: Iterable[Cut], kind: str) -> None:
    """Write the alignments of this kind as CTM: `recording channel start duration symbol` per line, in seconds.

    Items of less than half a millisecond, which would last 0.000 s, are left out: stage 1 may refuse them.
    """
    segments = [segment for cut in cuts for segment in cut.supervisions]
    write_lines(
        path,
        (
            f"{segment.recording_id} {segment.channel} {item.start:.3f} {item.duration:.3f} {item.symbol}"
            for segment in segments
            for item in (segment.alignment or {})[kind]
            if round(item.duration, 3) > 0
        ),
    )
