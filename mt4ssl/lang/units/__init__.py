"""Output units: each spells words as tokens and reads tokens back; one module and one entry of UNITS each."""

from __future__ import annotations

from pathlib import Path

from mt4ssl.lang.units.base import Unit
from mt4ssl.lang.units.characters import Characters
from mt4ssl.lang.units.sentencepiece import SentencePieces

UNITS: dict[str, type[Unit]] = {"char": Characters, "bpe": SentencePieces}


def unit_of(folder: Path) -> Unit:
    """Open the unit of a lang dir or of a model: the one whose files are there, or else characters."""
    for kind in UNITS.values():
        if kind.files and all((folder / name).exists() for name in kind.files):
            return kind(folder)
    return Characters(folder)
