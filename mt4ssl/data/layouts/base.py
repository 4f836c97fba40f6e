"""What all layouts of corpora have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mt4ssl.data.problems import Problems


@dataclass
class Utterance:
    """A stretch of audio, as a corpus lists it; nothing is checked yet."""

    id: str
    audio: str
    """File, or a command that writes a WAV file to its output, as in Kaldi's wav.scp: it ends in `|`."""
    recording: str
    """Id of the recording."""
    start: float = 0.0
    """Seconds."""
    end: float | None = None
    """Seconds; None is the end of the recording."""
    text: str | None = None
    speaker: str | None = None
    gender: str | None = None


@dataclass(kw_only=True)
class Layout:
    """Base of the layouts, which add the path of the corpus under the key that names them in corpus.yaml."""

    channel: int | None = None
    """Channel to take of audio that has several, counted from 0; without it they are mixed down."""
    prefix: str = ""
    """Text put before each id, for ids that another split has too."""
    phones: str | None = None
    """CTM file with the times of phones, to measure labels with."""
    vad: bool = False
    """Whether windows of long recordings begin and end at pauses, which silero-vad finds."""

    def sources(self) -> list[Path]:
        """Return the files and folders that the split is made of; stage 1 runs again when they change."""
        raise NotImplementedError

    def read(self, problems: Problems) -> Iterator[Utterance]:
        """Yield the utterances as the corpus lists them; lines that cannot be understood go to `problems`."""
        raise NotImplementedError
