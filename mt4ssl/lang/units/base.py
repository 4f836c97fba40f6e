"""What all units have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

BLANK, BOUNDARY = "<blk>", "▁"


class Unit(ABC):
    """A way to write words as tokens; opened with the folder that has its files.

    `▁` begins each word, unless words are single characters. Only the standard library is imported before a unit is
    used, since decoding, in the environment of k2, reads tokens back and needs nothing else.
    """

    files: ClassVar[Sequence[str]] = ()
    """Files that the unit needs beside tokens.txt."""
    measures: ClassVar[Mapping[str, Callable[[str], list[str]]]] = {"wer": str.split, "cer": list}
    """The error rates of text in this unit, and what they count in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @abstractmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int
    ) -> Unit:
        """Make the unit's files in a folder, from text and the words of the vocabulary; `size` is the tokens wanted."""

    @property
    @abstractmethod
    def tokens(self) -> list[str]:
        """All tokens, `<blk>` first; of a unit that was just made."""

    @abstractmethod
    def spell(self, words: Iterable[str]) -> list[str]:
        """Return the tokens of some words."""

    def read(self, tokens: Iterable[str]) -> str:
        """Return the text of tokens; blanks and repeats are already removed."""
        return " ".join("".join(tokens).replace(BOUNDARY, " ").split())
