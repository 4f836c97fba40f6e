"""Sentences of a small vocabulary from the King James Bible, and text for a language model without them."""

from __future__ import annotations

import importlib.util
import json
import random
import re
from collections import Counter
from pathlib import Path

from mt4ssl.errors import UserError

MIN_WORDS, MAX_WORDS = 4, 12


def read_clauses() -> list[list[str]]:
    """Return every clause of the text as upper-case words of A-Z and apostrophe."""
    package = importlib.util.find_spec("bible")  # found, not imported: it wants setuptools
    text = Path(package.origin).with_name("data") / "kjv.jsonl"
    lines = text.read_text(encoding="utf-8").splitlines()
    clauses = (clause for line in lines for clause in re.split(r"[.,;:?!()\[\]]", json.loads(line)["text"]))
    return [words for clause in clauses if (words := re.findall(r"[A-Z]+(?:'[A-Z]+)*", clause.upper()))]


def in_vocabulary(clauses: list[list[str]], size: int) -> list[list[str]]:
    """Return the clauses that consist of the `size` most frequent words."""
    counts = Counter(word for words in clauses for word in words)
    vocabulary = set(sorted(counts, key=lambda word: (-counts[word], word))[:size])
    return [words for words in clauses if vocabulary.issuperset(words)]


def contains_any(words: list[str], sentences: set[str]) -> bool:
    """Return whether one of `sentences` is a part of `words` (or all of it)."""
    return any(
        " ".join(words[start : start + length]) in sentences
        for length in range(MIN_WORDS, min(MAX_WORDS, len(words)) + 1)
        for start in range(len(words) - length + 1)
    )


def take(sentences: list[str], characters: float) -> tuple[list[str], list[str]]:
    """Return the first sentences that have so many characters together (or all), and the rest."""
    total = 0
    for number, sentence in enumerate(sentences):
        if total >= characters:
            return sentences[:number], sentences[number:]
        total += len(sentence) + 1
    return sentences, []


def split_text(vocabulary_size: int, held_out: dict[str, float], seed: int) -> tuple[dict[str, list[str]], list[str]]:
    """Return shuffled sentences per split, "train" and `held_out` (split -> characters), and LM text.

    No line of the training split contains a sentence of another split, and no line of the LM text is one. (To leave out
    what contains one would take every 4-gram of a held-out sentence of four words from the LM, and so favour 3-grams.)
    The LM text has every clause of the vocabulary once: repeating the frequent ones, or adding longer stretches of
    verses, raised the perplexity of dev.
    """
    clauses = in_vocabulary(read_clauses(), vocabulary_size)
    sentences = sorted({" ".join(words) for words in clauses if MIN_WORDS <= len(words) <= MAX_WORDS})
    random.Random(seed).shuffle(sentences)
    splits = {}
    for split, characters in held_out.items():
        splits[split], sentences = take(sentences, characters)
    secret = {sentence for taken in splits.values() for sentence in taken}
    splits["train"] = [sentence for sentence in sentences if not contains_any(sentence.split(), secret)]
    if not splits["train"]:
        raise UserError(
            f"the text has too few sentences of {vocabulary_size} words for dev and test and train:"
            " ask for fewer minutes of dev and test, or a larger --vocab-size"
        )
    lm_text = dict.fromkeys(line for line in map(" ".join, clauses) if line not in secret)
    return splits, list(lm_text)
