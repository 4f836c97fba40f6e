"""Output units: each spells words as tokens and reads tokens back; one module and one entry of UNITS each."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mt4ssl.lang.units.base import BOUNDARY, Unit
from mt4ssl.lang.units.characters import Characters, CharacterWords
from mt4ssl.lang.units.phones import Phones
from mt4ssl.lang.units.sentencepiece import SentencePieces

UNITS: dict[str, type[Unit]] = {"char": Characters, "bpe": SentencePieces, "phone": Phones}


def unit_of(folder: Path, tokens: Collection[str]) -> Unit:
    """Open the unit of a lang dir or of a model: the one whose first file is there, or else characters.

    Tokens without a boundary of words are words themselves.
    """
    for kind in UNITS.values():
        if kind.files and (folder / kind.files[0]).exists():
            return kind(folder)
    return Characters(folder) if BOUNDARY in tokens else CharacterWords(folder)
