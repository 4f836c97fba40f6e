"""A part of another split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mt4ssl.data.layouts.base import Layout, filled_lines
from mt4ssl.errors import UserError
from mt4ssl.files import require


@dataclass(kw_only=True)
class Part(Layout):
    """A part of another split, such as the hour of it that is fine-tuned on."""

    part_of: str
    """The other split."""
    ids: str | list[str]
    """File with the ids of the utterances, one a line; or folders whose FLAC files are called after them."""

    def __post_init__(self) -> None:
        taken = {"channel": self.channel, "prefix": self.prefix, "relative_to": self.relative_to, "vad": self.vad}
        if given := [key for key, value in taken.items() if value not in (None, "", False)]:
            raise ValueError(f"{given[0]} says nothing of a part: put it at {self.part_of}, which it is a part of")

    def sources(self) -> list[Path]:
        return [Path(path) for path in ([self.ids] if isinstance(self.ids, str) else self.ids)]

    def names(self) -> set[str]:
        """Return the ids of the utterances; UserError where one stands twice, or there are none."""
        counts: Counter[str] = Counter()
        for path in self.sources():
            if require(path, "it says which utterances the part has").is_dir():
                counts.update(file.stem for file in path.rglob("*.flac"))
            else:
                counts.update(line.strip() for line in filled_lines(path))
        for name, count in counts.items():
            if count > 1:
                raise UserError(f"{self.ids}: utterance {name} is listed {count} times: keep one")
        if not counts:
            raise UserError(f"{self.ids} lists no utterance")
        return set(counts)
