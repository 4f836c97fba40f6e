"""Pauses on the best CTC path of a long utterance, between which parts of it can be aligned each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from mt4ssl.data.ctc import alignable


def parts_between_pauses(
    log_probs: np.ndarray, words: Sequence[list[int]], every: int
) -> Iterator[tuple[slice, slice]]:
    """Yield the frames and the words of each part of an utterance of log-probs (T, V), blank 0.

    It is cut where the best path of the words' tokens has a blank between two words, at most once in `every` frames:
    the best paths of all parts, one after the other, are the best path of the whole.
    """
    tokens = [token for word in words for token in word]
    begins = np.cumsum([0, *map(len, words)])  # tokens before each word
    borders = [(0, 0)]  # frame, words before it
    if alignable(tokens, len(log_probs)):
        frames = middles_of_pauses(log_probs, every)
        for frame, state in zip(frames, states_at(frames, log_probs, tokens)):
            number = int(np.searchsorted(begins, state // 2))
            between_words = state % 2 == 0 and begins[number] == state // 2
            if between_words and borders[-1][1] < number < len(words):
                borders.append((frame, number))
    borders.append((len(log_probs), len(words)))
    for (frame, word), (next_frame, next_word) in pairwise(borders):
        yield slice(frame, next_frame), slice(word, next_word)


def middles_of_pauses(log_probs: np.ndarray, every: int) -> list[int]:
    """Return the frame in the middle of the longest run of blanks of each stretch of `every` frames that has one."""
    blank = log_probs.argmax(1) == 0
    middles = []
    for start in range(0, len(blank), every):
        edges = np.flatnonzero(np.diff(blank[start : start + every], prepend=False, append=False))
        if len(edges):
            begins, ends = edges[::2], edges[1::2]
            longest = (ends - begins).argmax()
            middles.append(start + int(begins[longest] + ends[longest]) // 2)
    return middles


def states_at(frames: Sequence[int], log_probs: np.ndarray, tokens: Sequence[int]) -> list[int]:
    """Return where the best CTC path of tokens (U,) through log-probs (T, V) is at some frames, in ascending order.

    2 n stands for a blank after n tokens, 2 n + 1 for the token after them. torchaudio's forced_align remembers how it
    came to each state in every frame, (T, 2 U + 1); here that is known of the given frames alone.
    """
    labels = np.zeros(2 * len(tokens) + 1, int)
    labels[1::2] = tokens
    skips = np.zeros(len(labels), bool)  # from a token to another one, without a blank between them
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    numbers = np.arange(len(labels), dtype=np.int32)
    scores = np.full(len(labels), -np.inf, np.float32)
    scores[:2] = log_probs[0, labels[:2]]
    origins = numbers  # of each state, the one that its path had at the last of the frames
    history: list[np.ndarray] = []
    wanted = set(frames)
    for frame, row in enumerate(log_probs):
        if frame:
            steps = np.zeros(len(labels), np.int32)
            best = scores.copy()
            for step, allowed in ((1, True), (2, skips[2:])):
                better = (scores[:-step] > best[step:]) & allowed
                best[step:] = np.where(better, scores[:-step], best[step:])
                steps[step:][better] = step
            scores = best - best.max() + row[labels]
            origins = origins[numbers - steps]
        if frame in wanted:
            history.append(origins)
            origins = numbers
    state = len(labels) - 2 + int(scores[-2:].argmax())
    states = []
    for origin in [origins, *history[:0:-1]]:
        state = int(origin[state])
        states.append(state)
    return states[::-1]
