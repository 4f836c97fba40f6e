"""Sentencepiece units, laid out as icefall lays them out: `<blk>` is 0."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.tokens import BLANK


def train_bpe(sentences: Iterable[str], size: int, path: str | Path) -> SentencePieceProcessor:
    """Train a unigram model of `size` units, write it to `path` and return it."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=file,
                model_type="unigram",
                vocab_size=size,
                user_defined_symbols=[BLANK],
                unk_id=1,
                bos_id=-1,
                eos_id=-1,
                # The text is taken as it is: every character gets a unit, nothing is rewritten.
                character_coverage=1.0,
                normalization_rule_name="identity",
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].split("] ")[-1].strip()
            raise UserError(f"sentencepiece cannot make {size} units of this text: {reason}") from error
    return SentencePieceProcessor(model_file=str(path))
