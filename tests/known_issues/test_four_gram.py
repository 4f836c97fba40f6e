"""With one discount per order, as kaldingram takes, the 4-gram that rescores was worse than the 3-gram before it."""

import random

import pytest

from mt4ssl.lang.ngram import perplexity, train_ngram

WORDS = [f"W{number}" for number in range(150)]
FREQUENCIES = [1 / rank for rank in range(1, len(WORDS) + 1)]


def sentences(number, seed):
    """Draw each word from a few that may follow the last word, or the last two or three, or from all words (Zipf)."""
    rng = random.Random(seed)
    followers = {}
    lines = []
    for _ in range(number):
        words = ["", "", ""]
        while len(words) < 7 or rng.random() < 0.85:
            history = tuple(words[len(words) - rng.randrange(4) :])
            if not history:
                words += rng.choices(WORDS, FREQUENCIES)
                continue
            if history not in followers:
                followers[history] = rng.choices(WORDS, FREQUENCIES, k=4)
            words += rng.choices(followers[history], [4, 3, 2, 1])
        lines.append(" ".join(words[3:]))
    return lines


@pytest.mark.parametrize("seed", range(3))
def test_four_gram_is_not_worse_than_the_three_gram(tmp_path, seed):
    lines = sentences(6000, seed)
    scores = []
    for order in (3, 4):
        train_ngram(lines[300:], order, tmp_path / "x.arpa")
        scores.append(perplexity(tmp_path / "x.arpa", lines[:300])[0])
    assert scores[1] <= scores[0]
