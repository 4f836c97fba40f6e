"""Labels of frames as tokens: without repeats, and joined to longer units by BPE (universal discrete tokens)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut

from mt4ssl.data.loading import has_times
from mt4ssl.files import require
from mt4ssl.lang.units.sentencepiece import train_sentencepiece

FIRST = 0xF0000
"""Code point of label 0, since sentencepiece reads text: this plane of Unicode is for private use, and has 65534."""
UNKNOWN = 0
"""The token of a label that the BPE model never saw."""


def deduplicate(labels: np.ndarray) -> np.ndarray:
    """Return labels (T,) with one left of each run of equal ones (N,)."""
    return labels[np.diff(labels, prepend=-1) != 0]


def as_text(labels: np.ndarray) -> str:
    """Return labels as a word of one character each."""
    return "".join(chr(FIRST + label) for label in labels.tolist())


def labels_of(cuts: Iterable[Cut], name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the id and the deduplicated labels (N,) of each cut; UserError for a cut without labels of that name."""
    for cut in cuts:
        has_times(cut, name)
        yield cut.id, deduplicate(cut.load_custom(name))


class Pieces:
    """A BPE model of sentencepiece, whose pieces are sequences of labels."""

    def __init__(self, path: Path) -> None:
        self.path = require(path, "train it with --bpe-size")

    @classmethod
    def train(cls, path: Path, sequences: Iterable[np.ndarray], size: int) -> Pieces:
        """Train a model of `size` pieces on sequences of labels; UserError where they have not so many."""
        # Nothing is set in front: a character is a label.
        options = {"model_type": "bpe", "unk_id": UNKNOWN, "add_dummy_prefix": False}
        train_sentencepiece(path, map(as_text, sequences), size, "pieces of these labels", **options)
        return cls(path)

    @cached_property
    def model(self) -> Any:
        """The sentencepiece processor."""
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(self.path))

    def __len__(self) -> int:
        return self.model.get_piece_size()

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return the pieces (N,) of labels."""
        return np.array(self.model.encode(as_text(labels)), np.int32)
