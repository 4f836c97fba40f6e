"""What all layouts of corpora have in common."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.lines import read_lines

NOT_IN_IDS = re.compile(r"[^\w.,+=@-]")
"""What file systems, Kaldi's lists or shells take for something else."""
URL = re.compile(r"[a-z][a-z0-9+.-]*://")
"""How the name of an object in a store, or of a file on a server, begins: s3://, gs://, https://."""
LONGEST_ID = 180
"""Bytes in UTF-8: with what is added to it, it is still the name of a file."""


def safe_id(name: str) -> str:
    """Return an id without spaces, slashes, quotes and the like, that is no option either, and not too long."""
    safe = NOT_IN_IDS.sub("_", unicodedata.normalize("NFC", name)) or "_"
    safe = f"_{safe}" if safe[0] in ".-" else safe
    return safe.encode()[-LONGEST_ID:].decode(errors="ignore")


@dataclass(slots=True)
class Utterance:
    """A stretch of audio, as a corpus lists it; nothing is checked yet."""

    id: str
    audio: str
    """A file, a URL; or, where it ends in `|`, a command that writes WAV to its output, as in Kaldi's wav.scp."""
    recording: str
    """Id of the recording."""
    start: float = 0.0
    """Seconds."""
    end: float | None = None
    """Seconds; None is the end of the recording."""
    text: str | None = None
    speaker: str | None = None
    gender: str | None = None
    seconds: float | None = None
    """Duration, where the corpus says it."""
    channel: int | None = None
    """Channel of the audio, counted from 0; without it all are mixed down."""


@dataclass(kw_only=True)
class Layout:
    """Base of the layouts, which add the path of the corpus under the key that names them in corpus.yaml."""

    channel: int | None = None
    """Channel to take of audio that has several, counted from 0; without it they are mixed down."""
    prefix: str = ""
    """Text put before each id, for ids that another split has too."""
    relative_to: str | None = None
    """Folder, or URL, that paths of audio start at; absolute paths that have moved are found below a folder by their
    last parts.

    Without it relative paths start in the current folder or, if they are not there, in that of the list or one above.
    """
    phones: str | None = None
    """CTM file with the times of phones, to measure labels with."""
    commands: bool = False
    """Whether commands that the corpus has in place of audio files (`sph2pipe ... |`) may be run."""
    vad: bool = False
    """Whether windows of long recordings begin and end at pauses, which silero-vad finds."""

    def sources(self) -> list[Path]:
        """Return the files and folders that the split is made of; stage 1 runs again when they change."""
        raise NotImplementedError

    def read(self, problems: Problems) -> Iterator[Utterance]:
        """Yield the utterances as the corpus lists them; lines that cannot be understood go to `problems`."""
        raise NotImplementedError

    def locate(self, path: str) -> str:
        """Return where audio is that the corpus says is at `path`; `path`, if it is a URL or is found nowhere."""
        if URL.match(path):
            return path
        if self.relative_to and URL.match(self.relative_to):
            return f"{self.relative_to.rstrip('/')}/{path.lstrip('/')}"
        if self.relative_to is None:
            source = self.sources()[0]
            places = (folder / path for folder in (Path(), source, *source.parents))
        elif Path(path).is_absolute():
            parts = Path(path).parts
            places = (Path(self.relative_to, *parts[first:]) for first in range(1, len(parts)))
        else:
            return str(Path(self.relative_to, path))
        # Not Path.exists: it raises an error where a name is too long.
        return next((str(place) for place in places if os.path.exists(place)), path)  # noqa: PTH110


def filled_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, perhaps of a .gz, that are not empty; UserError where it cannot be read."""
    return (line for line in read_lines(path) if line.strip())


def read_map(path: Path, hint: str, problems: Problems, of_audio: bool = False) -> dict[str, str]:
    """Read lines of a key and its value, as Kaldi's files have them; of a key that stands twice the first counts.

    Where lines are `of_audio`, the other one is an utterance that is left out.
    """
    values: dict[str, str] = {}
    for line in filled_lines(require(path, hint)):
        key, *value = line.split(maxsplit=1)
        if key in values:
            if of_audio:
                problems.rejected(key, path, "id stands twice: the first is taken")
            else:
                problems.repaired(key, path, "id stands twice", "the first is taken")
        else:
            values[key] = "".join(value).strip()
    return values


def read_table(path: Path, delimiter: str) -> Iterator[list[str]]:
    """Yield the lines of a table, the header first; a tab-separated one has no quotes."""
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = (f"{line}\n" for line in filled_lines(path))
    rows = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        yield from rows
    except csv.Error as error:
        raise UserError(
            f"{path} is no table up to line {rows.line_num} ({error}): look for a quotation mark without its pair"
        ) from error
