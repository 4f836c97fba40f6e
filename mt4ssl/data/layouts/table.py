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
    where: dict[str, str | int] = field(default_factory=dict)
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
        rows = read_table(path, "," if ".csv" in path.suffixes else "\t")
        header = next(rows, [])
        files: dict[str, str] = {}
        self.check_header(path, header)
        for number, fields in enumerate(rows, 1):
            row, place = dict(zip(header, fields)), f"row-{number:06d}"
            if len(fields) != len(header):
                problems.rejected(place, path, "more or fewer fields than the header has", f"{len(fields)}")
            elif all(row[column] == str(value) for column, value in self.where.items()):
                values = {column: (row.get(name) or "").strip() or None for column, name in names.items()}
                try:
                    yield self.utterance(values, place, files)
                except ValueError as error:
                    problems.rejected(values["id"] or place, path, *error.args)

    def check_header(self, path: Path, header: list[str]) -> None:
        """Raise UserError where a column is missing that corpus.yaml or the layout needs."""
        for column in [self.columns.get("audio", "audio"), *self.columns.values(), *self.where]:
            if column not in header:
                raise UserError(
                    f"{path} has no column {column!r}, its first line is {', '.join(header)!r}: "
                    "give it a header, or name its columns under `columns:` in corpus.yaml"
                )

    def utterance(self, values: dict[str, str | None], place: str, files: dict[str, str]) -> Utterance:
        """Return the utterance of a row; ValueError says what is wrong with it.

        Without an id it is called after its file, unless another one of `files` (name -> file) is called so.
        """
        if values["audio"] is None:
            raise ValueError("no audio is named")
        file, stem = self.locate(values["audio"]), Path(values["audio"]).stem
        start, end = parse_seconds(values["start"]), parse_seconds(values["end"])
        whole = start is None and end is None
        name = values["id"] or (stem if whole and files.setdefault(stem, file) == file else f"{stem}-{place}")
        return Utterance(
            name, file, name if whole else file, start or 0.0, end, values["text"], values["speaker"], values["gender"]
        )


def parse_seconds(value: str | None) -> float | None:
    """Return a time; ValueError where it is none."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError("start or end is no number of seconds", value)
    return seconds
