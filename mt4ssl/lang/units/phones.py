"""Phones as units: words are spelled as a pronunciation lexicon says, or a G2P model of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mt4ssl.errors import UserError
from mt4ssl.files import write_lines
from mt4ssl.lang.pronunciations import Pronunciations, entry_of, gather, read_entries, read_pronunciations
from mt4ssl.lang.units.base import BLANK, Unit

if TYPE_CHECKING:
    from mt4ssl.lang.g2p import G2P

LEXICON, MODEL = "pronunciations.txt", "g2p.txt"
SPOKEN_NOISE = "SPN"  # what a word is spelled with that nobody can pronounce; Kaldi's name


class Phones(Unit):
    """Phones, from `pronunciations.txt`, or `g2p.txt` for words that are not in it."""

    files = (LEXICON, MODEL)
    kind = "phone"
    measures: ClassVar[Mapping[str, Callable[[str], list[str]]]] = {"per": str.split}

    @classmethod
    def make(
        cls, folder: Path, transcripts: Sequence[str], lm_text: Iterable[str], words: Sequence[str], size: int,
        lexicon: str = "",
    ) -> Phones:  # fmt: skip
        """Write all of the lexicon, and what its G2P model says of the words that it lacks."""
        if not lexicon:
            raise UserError("phones need a lexicon: give --lexicon FILE, or --lexicon cmudict for English")
        known = read_pronunciations(lexicon)
        spoken = {word for text in transcripts for word in text.split()}
        lacking = sorted({entry_of(word) for word in (*spoken, *words)} - known.keys())
        (folder / MODEL).unlink(missing_ok=True)
        if lacking:
            known.update(pronounce(known, lacking, folder / MODEL))
        ways = ((word, phones) for word in sorted(known) for phones in known[word])
        write_lines(folder / LEXICON, (f"{word} {' '.join(phones)}" for word, phones in ways))
        return cls(folder)

    @cached_property
    def known(self) -> Pronunciations:
        """All pronunciations of pronunciations.txt, and of each word that was spelled since."""
        path = self.folder / LEXICON  # which also has how words of transcripts are spelled that lexicons have for noise
        return gather(read_entries(path, "phones", "python -m mt4ssl.bin.prepare_lang makes it"), str(path))

    @cached_property
    def g2p(self) -> G2P | None:
        """The model for other words, if the lexicon lacked any."""
        from mt4ssl.lang.g2p import G2P

        return G2P(self.folder / MODEL) if (self.folder / MODEL).exists() else None

    @property
    def tokens(self) -> list[str]:
        return [BLANK, *sorted({phone for ways in self.known.values() for phones in ways for phone in phones})]

    def pronunciations(self, word: str) -> list[list[str]]:
        word = entry_of(word)
        if word not in self.known:
            found = self.g2p.pronounce([word]) if self.g2p else {}
            self.known[word] = [found.get(word, [SPOKEN_NOISE])]
        return self.known[word]

    def spell(self, words: Iterable[str]) -> list[str]:
        return [phone for word in words for phone in self.pronunciations(word)[0]]

    def unpronounced(self, words: Iterable[str]) -> list[str]:
        return [word for word in words if self.pronunciations(word) == [[SPOKEN_NOISE]]]

    def reference(self, words: Iterable[str]) -> str:
        return " ".join(self.spell(words))

    def read(self, tokens: Iterable[str]) -> str:
        return " ".join(tokens)


def pronounce(known: Pronunciations, lacking: Sequence[str], model: Path) -> Pronunciations:
    """Train a G2P model on a lexicon and return what it says of other words: spoken noise, where it says nothing."""
    from mt4ssl.lang.g2p import G2P

    g2p = G2P.train([(word, phones) for word, ways in known.items() for phones in ways], model)
    found = g2p.pronounce(lacking)
    return {word: [found.get(word, [SPOKEN_NOISE])] for word in lacking}
