"""A data directory of Kaldi: wav.scp and, where they are there, segments, text, utt2spk, spk2gender and utt2dur."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mt4ssl.data.layouts.base import Layout, Utterance, read_map
from mt4ssl.data.problems import Problems


@dataclass(kw_only=True)
class Kaldi(Layout):
    """A data directory of Kaldi."""

    kaldi: str
    """The directory."""

    def sources(self) -> list[Path]:
        return [Path(self.kaldi)]

    def read(self, problems: Problems) -> Iterator[Utterance]:
        folder = Path(self.kaldi)

        def optional(name: str) -> dict[str, str]:
            known = (folder / name).exists()
            return read_map(folder / name, "", problems, of_audio=name == "segments") if known else {}

        recordings = read_map(folder / "wav.scp", "a Kaldi directory has one", problems, of_audio=True)
        segments, texts, speakers = optional("segments"), optional("text"), optional("utt2spk")
        genders, durations = optional("spk2gender"), optional("utt2dur")
        if not (folder / "segments").exists():
            segments = {name: name for name in recordings}
        for name, segment in segments.items():
            text = texts.pop(name, None)
            try:
                recording, start, end = parse_segment(segment)
            except ValueError:
                problems.rejected(name, folder / "segments", "no recording with a start and an end", segment)
                continue
            if recording not in recordings:
                problems.rejected(name, folder / "segments", "recording is not in wav.scp", recording)
                continue
            audio = recordings[recording]
            utterance = Utterance(name, audio if audio.endswith("|") else self.locate(audio), recording, start, end)
            utterance.text, utterance.speaker = text, speakers.get(name)
            utterance.gender = genders.get(utterance.speaker or "")
            utterance.seconds = parse_duration(durations.get(name))
            yield utterance
        for name in texts:
            problems.rejected(name, folder / "text", "text without audio")


def parse_segment(segment: str) -> tuple[str, float, float | None]:
    """Return the recording, start and end of `REC START END`, or of `REC`, which is all of it."""
    if len(segment.split()) == 1:
        return segment, 0.0, None
    recording, start, end = segment.split()
    if not (math.isfinite(float(start)) and math.isfinite(float(end))):
        raise ValueError(segment)
    return recording, float(start), None if float(end) == -1 else float(end)  # -1: to the end, as in Kaldi


def parse_duration(duration: str | None) -> float | None:
    """Return the seconds that utt2dur says, if it does."""
    try:
        return float(duration) if duration else None
    except ValueError:
        return None
