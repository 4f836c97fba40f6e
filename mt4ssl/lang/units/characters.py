"""Characters as units: of words, or as words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from mt4ssl.errors import UserError
from mt4ssl.lang.text import graphemes
from mt4ssl.lang.units.base import BLANK, BOUNDARY, Unit


class Characters(Unit):
    """The characters of each word, after a boundary."""

    characters: Sequence[str] = ()

    @classmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int,
        lexicon: str = "",
    ) -> Characters:  # fmt: skip
        """Take every character of the transcripts and of the vocabulary, whatever their number."""
        unit = cls(folder)
        unit.characters = sorted({character for text in (*transcripts, *words) for character in text} - {" "})
        return unit

    @property
    def tokens(self) -> list[str]:
        return [BLANK, BOUNDARY, *self.characters]

    def spell(self, words: Iterable[str]) -> list[str]:
        return [piece for word in words for piece in (BOUNDARY, *word)]


class CharacterWords(Characters):
    """Words of one character each, as in Chinese: the characters themselves, without boundaries."""

    measures: ClassVar[Mapping[str, Callable[[str], list[str]]]] = {"cer": str.split}

    @classmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int,
        lexicon: str = "",
    ) -> CharacterWords:  # fmt: skip
        """Take every word of the transcripts and of the vocabulary; UserError for one of several characters."""
        unit = cls(folder)
        unit.characters = sorted({word for text in (*transcripts, *words) for word in text.split()})
        for word in unit.characters:
            if len(graphemes(word)) > 1:
                raise UserError(
                    f"{word} is not a single character: set words: characters in corpus.yaml and run stage 1 again"
                )
        return unit

    @property
    def tokens(self) -> list[str]:
        return [BLANK, *self.characters]

    def spell(self, words: Iterable[str]) -> list[str]:
        return list(words)

    def read(self, tokens: Iterable[str]) -> str:
        return " ".join(tokens)
