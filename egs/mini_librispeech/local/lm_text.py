"""Text for language models, in the form of LibriSpeech's transcripts: upper-case words of A-Z and apostrophe."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

TITLES = {"MR": "MISTER", "MRS": "MISSUS", "DR": "DOCTOR", "ST": "SAINT"}
LETTERS = str.maketrans({"’": "'", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "&": " and "})
SENTENCE_END = re.compile(r"[.!?;:]|\n\s*\n")
WORD = re.compile(r"[A-Z]+(?:'[A-Z]+)*")
SHARED_WORDS = 8
UTTERANCE_WORDS = 35  # LibriSpeech's utterances go on over full stops: those of train-clean-5 have 33 on average


def split_sentences(text: str) -> tuple[list[str], int]:
    """Return the sentences of a text, and how many were left out because they have digits.

    They end at a colon or semicolon too, as transcripts may, which are cut at pauses.
    """
    text = unicodedata.normalize("NFKD", text.translate(LETTERS))
    text = "".join(letter for letter in text if not unicodedata.combining(letter)).upper()
    text = re.sub(r"\b(MRS?|DR|ST)\.", lambda title: TITLES[title[1]], text)
    parts = SENTENCE_END.split(text)
    written_out = [part for part in parts if not re.search(r"\d", part)]
    sentences = [" ".join(WORD.findall(part)) for part in written_out]
    return [sentence for sentence in sentences if sentence], len(parts) - len(written_out)


def word_sequences(sentence: str) -> set[str]:
    """Return all sequences of SHARED_WORDS words of a sentence."""
    words = sentence.split()
    return {" ".join(words[start : start + SHARED_WORDS]) for start in range(len(words) - SHARED_WORDS + 1)}


def without_shared(sentences: Iterable[str], held_out: Iterable[str]) -> list[str]:
    """Return the sentences that share no SHARED_WORDS words in sequence with a held-out transcript."""
    secret = set().union(*map(word_sequences, held_out))
    return [sentence for sentence in sentences if secret.isdisjoint(word_sequences(sentence))]


def as_utterances(sentences: Iterable[str]) -> list[str]:
    """Return sentences joined to the next ones, as long as they have UTTERANCE_WORDS words or fewer together."""
    utterances: list[list[str]] = []
    for words in map(str.split, sentences):
        if utterances and len(utterances[-1]) + len(words) <= UTTERANCE_WORDS:
            utterances[-1] += words
        else:
            utterances.append(words)
    return [" ".join(words) for words in utterances]
