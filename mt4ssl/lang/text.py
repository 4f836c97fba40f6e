"""How transcripts and text for language models are written: one form for both, said in conf/corpus.yaml."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

JOINERS = re.compile("[\u200c\u200d]")  # ZWNJ and ZWJ: inside a word of Hindi or Persian, they are spelling
APOSTROPHES = {"\u2019": "'", "\u02bc": "'", "\uff07": "'"}
HYPHENS = {"\u2010": "-", "\u2011": "-"}
ANYWHERE = re.compile("['-]")
AT_AN_EDGE = re.compile(r"(?<![^\s'-])['-]|['-](?![^\s'-])")  # not inside a word


class Replacements(dict[int, str]):
    """A table for str.translate that asks `replace` once for each character, and remembers: text may have gigabytes."""

    def __init__(self, replace: Callable[[str], str]) -> None:
        super().__init__()
        self.replace = replace

    def __missing__(self, code: int) -> str:
        self[code] = new = self.replace(chr(code))
        return new


def _visible(character: str) -> str:
    """Return white space as a space; nothing for controls, byte order marks, half surrogates and enclosing marks."""
    if character.isspace():
        return " "
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Me") or "\ufe00" <= character <= "\ufe0f"
    return "" if hidden and not JOINERS.match(character) else character


def _spoken(character: str) -> str:
    """Return a space for punctuation and symbols, but for apostrophe and hyphen, each in one form."""
    character = {**APOSTROPHES, **HYPHENS}.get(character, character)
    return " " if character not in "'-" and unicodedata.category(character)[0] in "PS" else character


VISIBLE, SPOKEN = Replacements(_visible), Replacements(_spoken)


@dataclass
class TextConfig:
    """The form that all text of a corpus is brought into."""

    case: Literal["keep", "upper", "lower"] = "keep"
    """Case of all letters: `upper`, `lower`, or as it comes."""
    punctuation: Literal["keep", "remove"] = "keep"
    """Whether punctuation and symbols stay; an apostrophe or hyphen inside a word always does."""
    words: Literal["spaces", "characters"] = "spaces"
    """What a word is: what stands between spaces, or each character, as in Chinese."""

    def normalise(self, text: str) -> str:
        """Return the text in that form and in Unicode's NFC, its words one space apart; what is invisible goes.

        Text that has the form already stays as it is.
        """
        text = unicodedata.normalize("NFC", text.translate(VISIBLE))
        if self.case != "keep":
            text = text.upper() if self.case == "upper" else text.lower()
        text = unicodedata.normalize("NFC", JOINERS.sub(self._joiner, text))
        if self.punctuation == "remove":
            text = text.translate(SPOKEN)
            text = (ANYWHERE if self.words == "characters" else AT_AN_EDGE).sub(" ", text)
        return " ".join(graphemes(text) if self.words == "characters" else text.split())

    def _joiner(self, match: re.Match[str]) -> str:
        """Keep a joiner between letters of a script without case: others have no use for it."""
        around = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
        joins = all(side and unicodedata.category(side) in ("Lo", "Mn", "Mc") for side in around)
        return match[0] if joins and self.words == "spaces" else ""


def graphemes(text: str) -> list[str]:
    """Return the characters that a reader sees, without white space: each letter with its combining marks."""
    found: list[str] = []
    for word in text.split():
        for position, character in enumerate(word):
            if position and unicodedata.category(character)[0] == "M":
                found[-1] += character
            else:
                found.append(character)
    return found
