"""How transcripts and text for language models are written: one form for both, said in conf/corpus.yaml."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal


@dataclass
class TextConfig:
    """The form that all text of a corpus is brought into."""

    case: Literal["keep", "upper", "lower"] = "keep"
    """Case of all letters: `upper`, `lower`, or as it comes."""
    punctuation: Literal["keep", "remove"] = "keep"
    """Whether punctuation stays; an apostrophe or hyphen inside a word always does."""
    words: Literal["spaces", "characters"] = "spaces"
    """What a word is: what stands between spaces, or each character, as in Chinese."""

    def normalise(self, text: str) -> str:
        """Return the text in that form and in Unicode's NFC, its words one space apart."""
        return " ".join(unicodedata.normalize("NFC", text).split())
