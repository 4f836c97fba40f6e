"""Labels of frames as tokens: without repeats, and joined to longer units by BPE (universal discrete tokens)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut

from mt4ssl.data.loading import has_times
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require

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
        from sentencepiece import SentencePieceTrainer

        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            try:
                SentencePieceTrainer.train(
                    sentence_iterator=map(as_text, sequences),
                    model_writer=file,
                    model_type="bpe",
                    vocab_size=size,
                    unk_id=UNKNOWN,
                    bos_id=-1,
                    eos_id=-1,
                    # Nothing is rewritten, left out or set in front: a character is a label.
                    character_coverage=1.0,
                    normalization_rule_name="identity",
                    add_dummy_prefix=False,
                    max_sentence_length=2**30,
                    minloglevel=2,
                )
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].split("] ")[-1].strip()
                raise UserError(f"sentencepiece cannot make {size} pieces of these labels: {reason}") from error
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
