"""What a manifest has, one item at a time: a process keeps little of it, however large the corpus."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from lhotse.cut import Cut
from lhotse.serialization import deserialize_item

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path

ROW = np.dtype([("seconds", "f8"), ("start", "i8"), ("size", "i8")])
"""Of a cut: its duration, and the place of its line in bytes."""
# Lhotse writes these keys first; parsing a whole line for its duration would take ten times as long.
STRING = rb'"(?:[^"\\]|\\.)*"'
DURATION = re.compile(
    rb'{"id": ?%b, ?(?:"recording_id": ?%b, ?)?"start": ?[^,]*, ?"duration": ?([^,]*),' % (STRING, STRING)
)


class Cuts:
    """Cuts, or supervisions, in the order of their manifest, each made from its line whenever it is asked for.

    A process keeps 24 bytes of each. The lines are an unnamed copy in $TMPDIR, uncompressed, that ends with its last
    reader: nothing to clean up or to share, and a manifest that is rewritten meanwhile does not change a running
    training.
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
        except ValueError as error:
            raise broken(path, error) from error
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
        return read_item(self.line(index))

    def line(self, index: int) -> bytes:
        """Return the line of a cut, as it is in the manifest."""
        _, start, size = self.rows[index]
        return os.pread(self.lines.fileno(), size, start)

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
    for line in read_lines(path):
        found = DURATION.match(line)
        seconds = float(found[1]) if found else read_item(line).duration
        copy.write(line)
        yield seconds, start, len(line)
        start += len(line)


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a .jsonl or .jsonl.gz; UserError if it is broken."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as manifest:
            yield from manifest
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise broken(path, error) from error


def digest(*paths: Path) -> str:
    """Return a digest of what manifests say: the same for one that is written anew with the same lines."""
    found = hashlib.sha256()
    for path in paths:
        for line in read_lines(path):
            found.update(line)
    return found.hexdigest()


def read_item(line: bytes) -> Any:
    """Return the cut, or supervision, of a line."""
    return deserialize_item(json.loads(line))


def read_fields(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what each line of a manifest says, without making a cut of it, which takes several times as long."""
    try:
        yield from map(json.loads, read_lines(path))
    except ValueError as error:
        raise broken(path, error) from error


def broken(path: Path, error: Exception) -> UserError:
    """Return the error of a manifest that cannot be understood to its end."""
    return UserError(f"{path} is broken ({error}): remove it, and make it again")


def write_manifest(path: Path, lines: Iterable[bytes]) -> None:
    """Write a .jsonl or .jsonl.gz, whole or not at all."""
    with (
        atomic_path(path) as temporary,
        gzip.open(temporary, "wb") if path.suffix == ".gz" else temporary.open("wb") as file,
    ):
        file.writelines(lines)
