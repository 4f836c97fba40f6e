"""A folder of recordings, without text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mt4ssl.data.layouts.base import Layout, Utterance, safe_id
from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError
from mt4ssl.files import require

SUFFIXES = frozenset(
    ".aac .aif .aifc .aiff .amr .au .caf .flac .m4a .mka .mkv .mov .mp3 .mp4 .mpga .nist .oga .ogg .opus .rf64 .sph "
    ".w64 .wav .weba .webm .wma .wv".split()
)


@dataclass(kw_only=True)
class Folder(Layout):
    """A folder of recordings, and of folders of recordings, without text; what is hidden is passed over."""

    audio: str
    """The folder."""

    def sources(self) -> list[Path]:
        return [Path(self.audio)]

    def read(self, problems: Problems) -> Iterator[Utterance]:
        root = require(self.audio, "the split's folder of audio")
        used: set[str] = set()
        for path in sorted(visible_files(root, problems)):
            if path.suffix.lower() in SUFFIXES:
                name = safe_id(str(path.relative_to(root)).replace("/", "-").removesuffix(path.suffix))
                while name in used:
                    name += "_"
                used.add(name)
                yield Utterance(name, str(path), name)
            else:
                problems.ignored(path, "not named like audio")
        if not used:
            raise UserError(f"{root} holds no audio (*.wav, *.flac, *.mp3, ...)")


def visible_files(root: Path, problems: Problems) -> Iterator[Path]:
    """Yield all files of a folder and of the folders in it, links to folders included, without hidden ones."""
    known: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if os.path.realpath(folder) in known:
            problems.ignored(folder, "the folder is read under another name too")
            folders.clear()
            continue
        known.add(os.path.realpath(folder))
        yield from (Path(folder, name) for name in names if not name.startswith("."))
