"""Sentencepiece units, laid out as icefall lays them out: `<blk>` is 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.units.base import BLANK, Unit

MODEL = "bpe.model"


class SentencePieces(Unit):
    """Units of a unigram model of sentencepiece, in `bpe.model`."""

    files = (MODEL,)

    @cached_property
    def model(self) -> Any:
        """The sentencepiece processor."""
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(self.folder / MODEL))

    @classmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int,
        lexicon: str = "",
    ) -> SentencePieces:  # fmt: skip
        """Train a model of `size` units on all text; UserError where there is too little for them."""
        text = chain(transcripts, filter(None, lm_text))
        train_sentencepiece(
            folder / MODEL, text, size, "units of this text",
            model_type="unigram", user_defined_symbols=[BLANK], unk_id=1,
            split_digits=True,  # else `#1` may be a unit, which tokens.txt has as a disambiguation symbol
        )  # fmt: skip
        return cls(folder)

    @property
    def tokens(self) -> list[str]:
        return [self.model.id_to_piece(number) for number in range(self.model.get_piece_size())]

    def spell(self, words: Iterable[str]) -> list[str]:
        return self.model.encode(" ".join(words), out_type=str)


def train_sentencepiece(path: Path, sentences: Iterable[str], size: int, what: str, **options: Any) -> None:
    """Train a model of `size` pieces, which an error calls `what`, with options of sentencepiece, and write its file.

    The text is taken as it is. Raises UserError where there is too little for so many pieces.
    """
    from sentencepiece import SentencePieceTrainer

    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=file,
                vocab_size=size,
                bos_id=-1,
                eos_id=-1,
                # Every character gets a piece, nothing is rewritten.
                character_coverage=1.0,
                normalization_rule_name="identity",
                max_sentence_length=2**30,  # bytes; longer lines would be left out without a word
                minloglevel=2,
                **options,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].split("] ")[-1].strip()
            raise UserError(f"sentencepiece cannot make {size} {what}: {reason}") from error
