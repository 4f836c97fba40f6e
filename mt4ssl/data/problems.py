"""What stage 1 found wrong with a corpus: one line per utterance that is not taken as it is."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path

HEADER = ("split", "id", "file", "reason", "done")


@dataclass
class Problems:
    """The problems of one split."""

    split: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Id, file, reason, and what was done."""

    def repaired(self, name: str, file: str | Path, reason: str, done: str) -> None:
        """Note an utterance that is taken, but not as it is."""
        self.rows.append((name, str(file), reason, done))

    def rejected(self, name: str, file: str | Path, reason: str) -> None:
        """Note an utterance that is left out."""
        self.rows.append((name, str(file), reason, "rejected"))
