"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, Computer Speech and Language 13, 1999)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mt4ssl.lang.symbols import BEGIN, END

FALLBACK = (0.0, 0.5, 1.0, 1.5)  # discounts of KenLM for texts that give none


@dataclass
class NGrams:
    """The G distinct n-grams of one order, sorted by (context, last)."""

    context: np.ndarray  # (G,) index, among the n-grams one shorter, of all words but the last
    last: np.ndarray  # (G,) number of the last word
    suffix: np.ndarray  # (G,) index, among the n-grams one shorter, of all words but the first
    counts: np.ndarray  # (G,) occurrences
    at_begin: np.ndarray  # (G,) whether the first word is `<s>`


def count_ngrams(sentences: Sequence[str], max_order: int) -> tuple[list[str], list[NGrams]]:
    """Return the words by number, `<s>` first, and the n-grams of order 1 to `max_order`."""
    numbers = {BEGIN: 0}
    lines = [(BEGIN, *line.split(), END) for line in sentences]
    text = np.array([numbers.setdefault(word, len(numbers)) for line in lines for word in line])
    to_end = np.concatenate([np.arange(len(line), 0, -1) for line in lines])

    tables = []
    starts = np.arange(len(text))  # where in the text an n-gram starts
    shorter = np.zeros(len(text) + 1, dtype=int)  # index of the n-gram one shorter that starts at each place
    for order in range(1, max_order + 1):
        starts = starts[to_end[starts] >= order]  # n-grams do not cross the ends of sentences
        keys = shorter[starts] * len(numbers) + text[starts + order - 1]
        keys, first, index, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        context, last = np.divmod(keys, len(numbers))
        first = starts[first]
        tables.append(NGrams(context, last, shorter[first + 1], counts, text[first] == 0))
        shorter[starts] = index
    return list(numbers), tables


def adjusted_counts(tables: Sequence[NGrams]) -> list[np.ndarray]:
    """Return the counts that Kneser-Ney smoothing takes, (G,) for each order.

    The highest order has occurrences. A lower order has the number of distinct words in front of the n-gram. Nothing
    stands in front of `<s>`, so an n-gram that begins with it keeps its occurrences, except `<s>` alone (0): it is
    never predicted.
    """
    adjusted = []
    for order, (table, longer) in enumerate(zip(tables, tables[1:]), 1):
        in_front = np.bincount(longer.suffix, minlength=len(table.counts))
        adjusted.append(np.where(table.at_begin & (order > 1), table.counts, in_front))
    return [*adjusted, tables[-1].counts]


def discounts(counts: np.ndarray) -> tuple[float, ...]:
    """Return what is taken from a count of 0, 1, 2, and 3 or more: 0 and Chen and Goodman's estimates D1, D2 and D3+.

    They need n-grams that are counted once, twice and three times. Where a small text has none of these, or one of the
    three is not above zero or exceeds its count, all three are 0.5, 1 and 1.5, as with KenLM's --discount_fallback.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=5).astype(float)
    if not n[1:4].all():
        return FALLBACK
    ratio = n[1] / (n[1] + 2 * n[2])
    estimated = tuple(c - (c + 1) * ratio * n[c + 1] / n[c] for c in (1, 2, 3))
    return (0.0, *estimated) if all(0 < d <= c for c, d in enumerate(estimated, 1)) else FALLBACK


def estimate(tables: Sequence[NGrams]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the probabilities (G,) of the n-grams of each order, and the back-off weights (G,) of all but the highest.

    The probability is interpolated with that of the suffix, and in the end with equal ones for all words but `<s>`.
    N-grams that nothing follows have the weight nan.
    """
    probs, backoffs = [np.full(1, 1 / (len(tables[0].counts) - 1))], []
    for table, counts in zip(tables, adjusted_counts(tables)):
        taken = np.take(discounts(counts), np.minimum(counts, 3))
        size = len(probs[-1])
        total = np.bincount(table.context, counts, size)
        with np.errstate(invalid="ignore"):
            backoffs.append(np.bincount(table.context, taken, size) / total)
        seen = (counts - taken) / total[table.context]
        probs.append(seen + backoffs[-1][table.context] * probs[-1][table.suffix])
    return probs[1:], backoffs[1:]
