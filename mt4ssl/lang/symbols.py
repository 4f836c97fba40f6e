"""Symbol tables (`tokens.txt`, `words.txt`) and Kaldi text files, in the standard library alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import require, write_lines
from mt4ssl.lang.lines import read_lines

EPSILON, UNKNOWN, BACKOFF, BEGIN, END = "<eps>", "<UNK>", "#0", "<s>", "</s>"


def is_disambiguation(token: str) -> bool:
    """True for `#0`, `#1`, …: symbols that only graph compilation sees; a model never emits them."""
    return token[:1] == "#" and token[1:].isascii() and token[1:].isdecimal()


def read_symbols(path: str | Path) -> dict[str, int]:
    """Return {symbol: id} of a file with one `symbol id` per line."""
    path = require(path, "python -m mt4ssl.bin.prepare_lang makes it")
    table = {}
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split()
        if len(fields) != 2 or not fields[1].isdecimal() or fields[0] in table:
            raise UserError(f"{path} line {number}: expected a new symbol and its id, found {line!r}")
        table[fields[0]] = int(fields[1])
    return table


def write_symbols(path: str | Path, symbols: Iterable[str]) -> None:
    """Write one `symbol id` per line; ids count from 0 in the order given."""
    write_lines(path, (f"{symbol} {number}" for number, symbol in enumerate(symbols)))


def read_text(path: str | Path) -> dict[str, list[str]]:
    """Return {utterance id: words} of a Kaldi text file; an id alone is an utterance without words."""
    path = require(path, "the stage before this one writes it")
    text: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        utterance, *words = line.split()
        if utterance in text:
            raise UserError(f"{path} line {number}: utterance {utterance} is there twice")
        text[utterance] = words
    return text


def write_text(path: str | Path, text: Mapping[str, list[str]]) -> None:
    """Write a Kaldi text file: one `id word word …` per line, sorted by id."""
    write_lines(path, (" ".join([utterance, *text[utterance]]) for utterance in sorted(text)))
