"""Lines of text files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mt4ssl.errors import UserError


def read_lines(path: Path) -> Iterator[str]:
    r"""Yield the lines of a file in UTF-8, or of a .gz of one, without their ends; UserError names file and line.

    Only `\n` ends a line, not all that str.splitlines takes for an end: text has U+2028 and U+0085 inside of sentences.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                number += 1
                yield line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UserError(f"{path} line {number}: byte {wrong:#x} is not UTF-8: convert the file to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read after line {number} ({error}): copy or make it again") from error
