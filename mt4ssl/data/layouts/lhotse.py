"""Manifests of Lhotse, as `lhotse prepare CORPUS` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt4ssl.data.layouts.base import Layout, Utterance
from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError
from mt4ssl.files import require

if TYPE_CHECKING:
    from lhotse import Recording

SOURCES = ("file", "url", "command")
MANIFEST = re.compile(r"(?:(.*?)[_-])?(recordings|supervisions|cuts)[_-](.*?)\.jsonl(?:\.gz)?")


@dataclass(kw_only=True)
class LhotseManifests(Layout):
    """Manifests of Lhotse: recordings and perhaps supervisions, or cuts."""

    lhotse: str
    """Their folder."""
    name: str
    """What names the split in their file names: `train` or `cv_train` for cv_recordings_train.jsonl.gz."""

    def sources(self) -> list[Path]:
        return [Path(self.lhotse)]

    def files(self) -> dict[str, Path]:
        """Return the manifests of the split by kind; UserError where there are none, or two of a kind."""
        folder = require(self.lhotse, "the split's folder of Lhotse manifests")
        found: dict[str, Path] = {}
        for path in sorted(folder.glob("*")):
            match = MANIFEST.fullmatch(path.name)
            if match and self.name in (match[3], f"{match[1]}_{match[3]}", f"{match[1]}-{match[3]}"):
                if match[2] in found:
                    raise UserError(f"{found[match[2]]} and {path} are both called {self.name}: say more in `name:`")
                found[match[2]] = path
        if not found.keys() & {"recordings", "cuts"}:
            raise UserError(f"{folder} has neither *recordings_{self.name}.jsonl.gz nor *cuts_{self.name}.jsonl.gz")
        return found

    def read(self, problems: Problems) -> Iterator[Utterance]:
        files = self.files()
        if "cuts" in files:
            for cut in read_items(files["cuts"], "Cut"):
                texts = [segment.text for segment in cut.supervisions if segment.text]
                speakers = [segment.speaker for segment in cut.supervisions if segment.speaker]
                yield from self.utterance(
                    problems, cut.id, getattr(cut, "recording", None), start=cut.start, end=cut.end,
                    text=" ".join(texts) or None, speaker=next(iter(speakers), None),
                    channel=single(getattr(cut, "channel", None)),
                )  # fmt: skip
            return
        recordings = {recording.id: recording for recording in read_items(files["recordings"], "Recording")}
        if "supervisions" not in files:
            for name, recording in recordings.items():
                yield from self.utterance(problems, name, recording)
            return
        for segment in read_items(files["supervisions"], "SupervisionSegment"):
            if segment.recording_id not in recordings:
                problems.rejected(segment.id, files["supervisions"], "recording is not there", segment.recording_id)
                continue
            recording = recordings[segment.recording_id]
            whole = segment.start == 0 and abs(segment.duration - recording.duration) < 1e-3
            yield from self.utterance(
                problems, segment.id, recording, start=segment.start, end=None if whole else segment.end,
                text=segment.text, speaker=segment.speaker, gender=segment.gender, channel=single(segment.channel),
            )  # fmt: skip

    def utterance(
        self, problems: Problems, name: str, recording: Recording | None, channel: int | None = None, **others: Any
    ) -> Iterator[Utterance]:
        """Yield the utterance, if its recording is a plain file or command, and it is of the channel that is wanted."""
        source = recording.sources[0] if recording and recording.sources else None
        if recording is None or source is None or len(recording.sources) > 1 or source.type not in SOURCES:
            problems.rejected(name, self.lhotse, "its recording is no single file, URL or command")
        elif recording.transforms:
            problems.rejected(name, self.lhotse, "its recording has transforms: take the manifests of the plain audio")
        elif None not in (channel, self.channel) and channel != self.channel:
            problems.ignored(f"{self.lhotse}: {name}", "of another channel than the one that is wanted")
        else:
            audio = f"{source.source} |" if source.type == "command" else self.locate(source.source)
            yield Utterance(name, audio, recording.id, channel=channel, **others)


def single(channel: int | list[int] | None) -> int | None:
    """Return a channel; None, which mixes down, where there are several."""
    return channel if isinstance(channel, int) else None


def read_items(path: Path, kind: str) -> Iterator[Any]:
    """Yield the items of a manifest; UserError where it breaks off, or a line is no item of its kind."""
    from lhotse import load_manifest_lazy  # slow to import, and reading conf/corpus.yaml needs none of it

    number = 0
    try:
        for item in load_manifest_lazy(path):
            if not type(item).__name__.endswith(kind):  # MonoCut is a Cut
                raise TypeError(f"{type(item).__name__} instead of {kind}")
            number += 1
            yield item
    except Exception as error:  # gzip, JSON and lhotse raise many types, all about this file
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is broken after line {number} ({reason}): restore it") from error
