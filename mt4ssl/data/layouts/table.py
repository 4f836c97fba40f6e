"""A table with a line for each utterance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mt4ssl.data.layouts.base import Layout, Utterance, read_table
from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError
from mt4ssl.files import require

COLUMNS = ("audio", "id", "text", "speaker", "gender", "start", "end")


@dataclass(kw_only=True)
class Table(Layout):
    """A table with a header and the columns audio, text, speaker, gender, start, end, id; all but audio may lack."""

    table: str
    """File: *.csv with commas, or *.tsv with tabs and without quotes."""
    where: dict[str, str] = field(default_factory=dict)
    """Columns with the value that a line must have to belong to the split."""
    columns: dict[str, str] = field(default_factory=dict)
    """Names of columns where the table has others: `{audio: path, text: sentence, speaker: client_id}`."""

    def sources(self) -> list[Path]:
        return [Path(self.table)]

    def read(self, problems: Problems) -> Iterator[Utterance]:
        path = require(self.table, "the split's table")
        if unknown := self.columns.keys() - set(COLUMNS):
            raise UserError(f"columns: {min(unknown)} is none of {', '.join(COLUMNS)}")
        names = {column: self.columns.get(column, column) for column in COLUMNS}
        for number, row in enumerate(read_table(path, "," if ".csv" in path.suffixes else "\t"), 1):
            if number == 1:
                self.check_header(path, [name for name in row if name])
            place = f"row-{number:06d}"
            if None in row.values() or "" in row:
                problems.rejected(place, path, "more or fewer fields than the header has")
            elif all(row[column] == value for column, value in self.where.items()):
                values = {column: (row.get(name) or "").strip() or None for column, name in names.items()}
                try:
                    yield self.utterance(values, place)
                except ValueError as error:
                    problems.rejected(values["id"] or place, path, str(error))

    def check_header(self, path: Path, header: list[str]) -> None:
        """Raise UserError where a column is missing that corpus.yaml or the layout needs."""
        for column in [self.columns.get("audio", "audio"), *self.columns.values(), *self.where]:
            if column not in header:
                raise UserError(
                    f"{path} has no column {column!r}, its first line is {', '.join(header)!r}: "
                    "give it a header, or name its columns under `columns:` in corpus.yaml"
                )

    def utterance(self, values: dict[str, str | None], place: str) -> Utterance:
        """Return the utterance of a row; ValueError says what is wrong with it."""
        audio = values["audio"]
        if audio is None:
            raise ValueError("no audio is named")
        start, end = (parse_seconds(values[column], column) for column in ("start", "end"))
        whole = start is None and end is None
        file = self.locate(audio)
        name = values["id"] or (Path(audio).stem if whole else f"{Path(audio).stem}-{place}")
        return Utterance(
            name, file, name if whole else file, start or 0.0, end, values["text"], values["speaker"], values["gender"]
        )


def parse_seconds(value: str | None, column: str) -> float | None:
    """Return a time; ValueError where it is none."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError(f"{column} {value!r} is no number of seconds") from None
    if not math.isfinite(seconds):
        raise ValueError(f"{column} {value!r} is no number of seconds")
    return seconds
