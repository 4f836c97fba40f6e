"""Characters as units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mt4ssl.lang.units.base import BLANK, BOUNDARY, Unit


class Characters(Unit):
    """The characters of each word, after a boundary."""

    characters: Sequence[str] = ()

    @classmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Sequence[str], words: Sequence[str], size: int
    ) -> Characters:
        """Take every character of the transcripts and of the vocabulary, whatever their number."""
        unit = cls(folder)
        unit.characters = sorted({character for text in (*transcripts, *words) for character in text} - {" "})
        return unit

    @property
    def tokens(self) -> list[str]:
        return [BLANK, BOUNDARY, *self.characters]

    def spell(self, words: Iterable[str]) -> list[str]:
        return [piece for word in words for piece in (BOUNDARY, *word)]
