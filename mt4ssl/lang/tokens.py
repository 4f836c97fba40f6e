"""The output units of a CTC model: text to token ids and back."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, Iterable

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.symbols import is_disambiguation, read_symbols

BLANK, BOUNDARY = "<blk>", "▁"


class Tokens:
    """The tokens of a lang dir: characters, or sentencepiece units when it holds a `bpe.model`.

    `<blk>` is 0 and `▁` begins each word, so text = "".join(tokens).replace("▁", " "). The length is V, the
    output size of a model: disambiguation symbols, last in tokens.txt, do not count.
    """

    def __init__(self, lang_dir: str | Path) -> None:
        self.path = Path(lang_dir) / "tokens.txt"
        table = read_symbols(self.path)
        self.symbols = [token for token in table if not is_disambiguation(token)]
        self.ids = {token: table[token] for token in self.symbols}
        if self.ids.get(BLANK) != 0 or list(self.ids.values()) != list(range(len(self.symbols))):
            raise UserError(f"{self.path}: ids must count up from 0, {BLANK} first; run prepare_lang again")
        self.bpe_model = Path(lang_dir) / "bpe.model"

    @cached_property
    def bpe(self) -> Any:
        """The sentencepiece processor, None for characters; decoding, where k2 is, needs neither it nor its package."""
        if not self.bpe_model.exists():
            return None
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(self.bpe_model))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str, utterance: str) -> list[int]:
        """Return the token ids of `text`; a character without one is a UserError naming the utterance."""
        words = text.split()
        pieces = self.bpe.encode(" ".join(words), out_type=str) if self.bpe else spell(words)
        unknown = sorted({piece for piece in pieces if piece not in self.ids})
        if unknown:
            raise UserError(
                f"utterance {utterance}: {' '.join(unknown)} not in {self.path}; "
                "normalise the transcript or prepare the lang dir from text that has it"
            )
        return [self.ids[piece] for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids (blanks and repeats already removed)."""
        text = "".join(self.symbols[token] for token in ids).replace(BOUNDARY, " ")
        return " ".join(text.split())


def copy_tokens(lang_dir: str | Path, folder: Path) -> None:
    """Put the files that Tokens reads into another folder, so that it needs the lang dir no more."""
    for name in ("tokens.txt", "bpe.model"):
        if (Path(lang_dir) / name).exists():
            with atomic_path(folder / name) as temporary:
                shutil.copy(Path(lang_dir) / name, temporary)


def spell(words: Iterable[str]) -> list[str]:
    """Return the characters of the words, each word after a boundary token."""
    return [piece for word in words for piece in (BOUNDARY, *word)]
