"""What all units have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

BLANK, BOUNDARY = "<blk>", "▁"


class Unit(ABC):
    """A way to write words as tokens; opened with the folder that has its files.

    `▁` begins each word, unless words are single characters or tokens are phones. Only the standard library is imported
    before a unit is used, since decoding, in the environment of k2, reads tokens back and needs nothing else.
    """

    files: ClassVar[Sequence[str]] = ()
    """Files that the unit needs beside tokens.txt; the first is there in any case, and no other unit's."""
    kind: ClassVar[str] = "token"
    """What alignments of these tokens are called in Lhotse's supervisions."""
    measures: ClassVar[Mapping[str, Callable[[str], list[str]]]] = {"wer": str.split, "cer": list}
    """The error rates of text in this unit, and what they count in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @abstractmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int,
        lexicon: str = "",
    ) -> Unit:  # fmt: skip
        """Make the unit's files in a folder, from text and the words of the vocabulary.

        `size` is the number of tokens wanted, `lexicon` what `read_pronunciations` reads, where a unit needs them.
        """

    @property
    @abstractmethod
    def tokens(self) -> list[str]:
        """All tokens, `<blk>` first; of a unit that was just made."""

    @abstractmethod
    def spell(self, words: Iterable[str]) -> list[str]:
        """Return the tokens of some words."""

    def pronunciations(self, word: str) -> list[list[str]]:
        """Return all ways to write a word as tokens, the usual one first."""
        return [self.spell([word])]

    def unpronounced(self, words: Iterable[str]) -> list[str]:
        """Return the words of which nobody can say how they are spelled."""
        return []

    def reference(self, words: Iterable[str]) -> str:
        """Return what `read` should give for speech that says these words."""
        return " ".join(words)

    def read(self, tokens: Iterable[str]) -> str:
        """Return the text of tokens; blanks and repeats are already removed."""
        return " ".join("".join(tokens).replace(BOUNDARY, " ").split())
