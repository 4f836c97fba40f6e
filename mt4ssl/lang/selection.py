"""Which sentences of a pool are most like other text: cross-entropy difference (Moore and Lewis, ACL 2010)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mt4ssl.lang.kneser_ney import count_ngrams, estimate
from mt4ssl.lang.symbols import BEGIN, END

ORDER = 3


class NGramModel:
    """A modified Kneser-Ney model of some sentences, which gives many others their log-probs at once.

    Args:
        sentences: to count n-grams of.
        words: more words that the model should know; each counts as one more sentence, of nothing else.
        order: length of the longest n-grams.

    """

    def __init__(self, sentences: Sequence[str], words: Sequence[str] = (), order: int = ORDER) -> None:
        names, self.tables = count_ngrams([*sentences, *words], order)
        self.numbers = {name: number for number, name in enumerate(names)}
        self.probs, backoffs = estimate(self.tables)
        # Contexts that nothing follows have no weight of their own: shorter ones say all.
        self.backoffs = [np.ones(1), *(np.nan_to_num(weights, nan=1.0) for weights in backoffs)]

    def log_probs(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-prob (N,) of each sentence, in nats with its end, and the number of words and ends (N,).

        All of their words must be known.
        """
        lines = [[self.numbers[word] for word in (BEGIN, *line.split(), END)] for line in sentences]
        text = np.concatenate([np.array(line) for line in lines])
        prob = np.ones(len(text))
        index = np.zeros(len(text), int)  # of the longest n-gram so far that ends here, among those of its order; or -1
        for table, probs, weights in zip(self.tables, self.probs, self.backoffs):
            context = np.roll(index, 1)
            keys = table.context * len(self.numbers) + table.last
            wanted = context * len(self.numbers) + text
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            found = (keys[place] == wanted) & (context >= 0)
            backed_off = prob * np.where(context >= 0, weights[context], 1.0)
            prob = np.where(found, probs[place], backed_off)
            index = np.where(found, place, -1)
        lengths = np.array([len(line) for line in lines])
        starts = np.cumsum(lengths) - lengths
        prob[starts] = 1.0  # <s> is given
        return np.add.reduceat(np.log(prob), starts), lengths - 1


def cross_entropy_difference(pool: Sequence[str], like: Sequence[str]) -> np.ndarray:
    """Return, for each sentence of the pool (N,), how many nats a word it is likelier to the pool than to `like`.

    Sentences most like the second text have the lowest. Both models know all words of both texts.
    """
    words = sorted({word for line in [*pool, *like] for word in line.split()})
    entropies = []
    for text in (like, pool):
        log_probs, counts = NGramModel(text, words).log_probs(pool)
        entropies.append(-log_probs / counts)
    return entropies[0] - entropies[1]


def within_budget(order: np.ndarray, seconds: np.ndarray, budget: float) -> np.ndarray:
    """Return the first indices of an order (N,), as many as last no longer together than the budget."""
    return order[np.cumsum(seconds[order]) <= budget]
