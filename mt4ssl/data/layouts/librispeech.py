"""The layout of LibriSpeech: SPEAKER/CHAPTER/*.flac and *.trans.txt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mt4ssl.data.layouts.base import Layout, Utterance, filled_lines
from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError
from mt4ssl.files import require


@dataclass(kw_only=True)
class LibriSpeech(Layout):
    """Folders in the layout of LibriSpeech."""

    librispeech: str | list[str]
    """The folder of the split, or several that make it up."""
    speakers: list[str | int] = field(default_factory=list)
    """The speakers that belong to the split, if not all."""
    except_speakers: list[str | int] = field(default_factory=list)
    """Speakers that do not belong to it."""

    def sources(self) -> list[Path]:
        folders = [self.librispeech] if isinstance(self.librispeech, str) else self.librispeech
        return [Path(folder) / str(speaker) for folder in folders for speaker in self.speakers or [""]]

    def read(self, problems: Problems) -> Iterator[Utterance]:
        for folder in self.sources():
            texts = read_transcripts(require(folder, "run stage 0, or correct conf/corpus.yaml"), problems)
            audio = {path.stem: path for path in sorted(folder.rglob("*.flac"))}
            for name in sorted(texts.keys() | audio.keys()):
                speaker, chapter, *_ = [*name.split("-"), ""]
                if speaker not in map(str, self.except_speakers):
                    root = folder.parent if self.speakers else folder
                    path = audio.get(name, root / speaker / chapter / f"{name}.flac")
                    yield Utterance(name, str(path), name, text=texts.get(name), speaker=speaker)


def read_transcripts(folder: Path, problems: Problems) -> dict[str, str]:
    """Return utterance id -> text of all SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt."""
    texts: dict[str, str] = {}
    for path in sorted(folder.rglob("*.trans.txt")):
        for line in filled_lines(path):
            utterance, _, text = line.strip().partition(" ")
            if utterance in texts:
                problems.rejected(utterance, path, "id stands twice: the first is taken")
            else:
                texts[utterance] = text
    if not texts:
        raise UserError(f"{folder} holds no *.trans.txt: run stage 0, or check the folder of the corpus")
    return texts
