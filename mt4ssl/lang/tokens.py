"""The tokens of a CTC model: text to token ids and back."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.symbols import is_disambiguation, read_symbols
from mt4ssl.lang.units import UNITS, unit_of
from mt4ssl.lang.units.base import BLANK, Unit

TOKEN_FILES = ("tokens.txt", *(name for kind in UNITS.values() for name in kind.files))
"""Names of the files that Tokens reads."""


class Tokens:
    """The tokens of a lang dir, or of a model's folder, and the unit that spells words with them.

    `<blk>` is 0. The length is V, the output size of a model: disambiguation symbols, last in tokens.txt, do not count.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / "tokens.txt"
        table = read_symbols(self.path)
        self.symbols = [token for token in table if not is_disambiguation(token)]
        self.ids = {token: table[token] for token in self.symbols}
        if self.ids.get(BLANK) != 0 or list(self.ids.values()) != list(range(len(self.symbols))):
            raise UserError(f"{self.path}: ids must count up from 0, {BLANK} first; run prepare_lang again")
        self.unit = unit_of(Path(folder), self.ids)

    def __len__(self) -> int:
        return len(self.symbols)

    def unknown(self, text: str) -> list[str]:
        """Return what of `text` has no token: characters, or runs of them."""
        return [piece for piece in self.unit.spell(text.split()) if piece not in self.ids]

    def encode(self, text: str, utterance: str, skip_unknown: bool = False) -> list[int]:
        """Return the token ids of `text`; a character without one is skipped, or a UserError naming the utterance."""
        pieces = self.unit.spell(text.split())
        if skip_unknown:
            return [self.ids[piece] for piece in pieces if piece in self.ids]
        return self.look_up(pieces, utterance)

    def pronunciations(self, text: str, utterance: str) -> list[list[list[int]]]:
        """Return the token ids of each pronunciation of each word; UserError as for `encode`."""
        words = [self.unit.pronunciations(word) for word in text.split()]
        return [[self.look_up(way, utterance) for way in ways] for ways in words]

    def look_up(self, pieces: list[str], utterance: str) -> list[int]:
        """Return the ids of some tokens; UserError naming the utterance for what is none."""
        unknown = sorted({piece for piece in pieces if piece not in self.ids})
        if unknown:
            raise UserError(
                f"utterance {utterance}: {' '.join(unknown)} not in {self.path}; "
                "normalise the transcript or prepare the lang dir from text that has it"
            )
        return [self.ids[piece] for piece in pieces]

    def reference(self, text: str) -> str:
        """Return what `decode` should give for speech that says `text`: the same, or its phones."""
        return self.unit.reference(text.split())

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids (blanks and repeats already removed)."""
        return self.unit.read(self.symbols[token] for token in ids)


def find_unknown(unit: Unit, transcripts: Mapping[str, str]) -> dict[str, str]:
    """Return {character that no token of the unit spells: the first utterance that has it}."""
    known = set(unit.tokens)
    found: dict[str, str] = {}
    for utterance, text in transcripts.items():
        for piece in unit.spell(text.split()):
            if piece not in known:
                found.setdefault(piece, utterance)
    return found


def copy_tokens(lang_dir: str | Path, folder: Path) -> None:
    """Put the files that Tokens reads into another folder, so that it needs the lang dir no more."""
    for name in TOKEN_FILES:
        if (Path(lang_dir) / name).exists():
            with atomic_path(folder / name) as temporary:
                shutil.copy(Path(lang_dir) / name, temporary)
