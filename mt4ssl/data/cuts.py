"""The cuts of a manifest, one at a time: a process keeps 24 bytes of each, however large the corpus."""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from lhotse.cut import Cut
from lhotse.serialization import deserialize_item

from mt4ssl.errors import UserError

ROW = np.dtype([("seconds", "f8"), ("start", "i8"), ("size", "i8")])
"""Of a cut: its duration, and the place of its line in bytes."""
# Lhotse writes these keys first; parsing a whole line for its duration would take ten times as long.
STRING = rb'"(?:[^"\\]|\\.)*"'
DURATION = re.compile(
    rb'{"id": ?%b, ?(?:"recording_id": ?%b, ?)?"start": ?[^,]*, ?"duration": ?([^,]*),' % (STRING, STRING)
)


class Cuts:
    """Cuts in the order of their manifest, each made from its line of JSON whenever it is asked for.

    The lines are an unnamed copy in $TMPDIR, uncompressed, that ends with its last reader: nothing to clean up or to
    share, and a manifest that is rewritten meanwhile does not change a running training.
    """

    def __init__(self, rows: np.ndarray, lines: BinaryIO) -> None:
        self.rows, self.lines = rows, lines

    @classmethod
    def read(cls, path: Path) -> Cuts:
        """Pass over a .jsonl or .jsonl.gz once; UserError if it is broken, or does not fit into $TMPDIR."""
        lines = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the cuts)
        try:
            rows = np.fromiter(copy_lines(path, lines), ROW)
            lines.flush()
        except (EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path} is broken ({error}): remove it, and make it again") from error
        except OSError as error:
            raise UserError(
                f"cannot copy {path} to {tempfile.gettempdir()} ({error}): make room, or set TMPDIR"
            ) from error
        return cls(rows, lines)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Cut]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Cut:
        _, start, size = self.rows[index]
        return deserialize_item(json.loads(os.pread(self.lines.fileno(), size, start)))

    @property
    def durations(self) -> np.ndarray:
        """Seconds of each cut (N,)."""
        return self.rows["seconds"]

    def take(self, indices: Sequence[int] | np.ndarray) -> Cuts:
        """Some of the cuts, in the order of their indices."""
        return Cuts(self.rows[indices], self.lines)

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forked: they get the open file, as it has no name to be opened by."""
        return {"rows": self.rows, "lines": reduction.DupFd(self.lines.fileno())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.rows, self.lines = state["rows"], os.fdopen(state["lines"].detach(), "rb")


def copy_lines(path: Path, copy: BinaryIO) -> Iterator[tuple[float, int, int]]:
    """Write the lines of a manifest to `copy`; yield a ROW of each."""
    start = 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as manifest:
        for line in manifest:
            found = DURATION.match(line)
            seconds = float(found[1]) if found else deserialize_item(json.loads(line)).duration
            copy.write(line)
            yield seconds, start, len(line)
            start += len(line)
