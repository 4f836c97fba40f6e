"""Lhotse manifests of a split: written, read back, joined, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from lhotse import RecordingSet, SupervisionSet, load_manifest

from mt4ssl.data.layouts import Part
from mt4ssl.data.layouts.base import filled_lines
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require


@dataclass
class Manifests:
    """What Lhotse knows of a split."""

    recordings: RecordingSet
    supervisions: SupervisionSet

    @classmethod
    def read(cls, folder: Path, corpus: str, split: str) -> Manifests:
        """Read what `write` wrote."""
        return cls(
            *(
                load_manifest(require(folder / f"{corpus}_{kind}_{split}.jsonl.gz", "made by stage 1 (manifests)"))
                for kind in ("recordings", "supervisions")
            )
        )

    def write(self, folder: Path, corpus: str, split: str) -> None:
        """Write <folder>/<corpus>_{recordings,supervisions}_<split>.jsonl.gz."""
        for kind, items in (("recordings", self.recordings), ("supervisions", self.supervisions)):
            with atomic_path(folder / f"{corpus}_{kind}_{split}.jsonl.gz") as path:
                items.to_file(path)

    def take(self, part: Part) -> Manifests:
        """Return the utterances that the part lists; UserError names one that is not there."""
        names = part.names()
        supervisions = [segment for segment in self.supervisions if segment.id in names]
        missing = names - {segment.id for segment in supervisions}
        if missing:
            raise UserError(
                f"{part.ids}: utterance {min(missing)} is not in {part.part_of}, or was rejected: correct the list"
            )
        used = {segment.recording_id for segment in supervisions}
        return Manifests(
            RecordingSet.from_recordings(recording for recording in self.recordings if recording.id in used),
            SupervisionSet.from_segments(supervisions),
        )


def join(parts: list[Manifests]) -> Manifests:
    """Return the union of manifests whose ids all differ."""
    return Manifests(
        RecordingSet.from_recordings(chain.from_iterable(part.recordings for part in parts)),
        SupervisionSet.from_segments(chain.from_iterable(part.supervisions for part in parts)),
    )


def check_apart(split: str, made: Manifests, other: str, others: Manifests) -> list[str]:
    """Return warnings of speakers and files that two splits share; UserError when they share an id."""
    for kind, attribute in (("utterance", "id"), ("recording", "recording_id")):
        if shared := values(made.supervisions, attribute) & values(others.supervisions, attribute):
            raise UserError(
                f"{kind} {min(shared)} is in {split} and in {other}: keep it in one, "
                "or give one of the splits a `prefix:` in corpus.yaml"
            )
    speakers = values(made.supervisions, "speaker") & values(others.supervisions, "speaker") - {None}
    files = audio_of(made.recordings) & audio_of(others.recordings)
    return [
        f"warning: {len(shared)} {kind} are in {other} and in {split}, such as {min(shared)}"
        for kind, shared in (("speakers", speakers), ("audio files", files))
        if shared
    ]


def values(supervisions: SupervisionSet, attribute: str) -> set[Any]:
    """Return what the supervisions have of an attribute."""
    return {getattr(segment, attribute) for segment in supervisions}


def audio_of(recordings: RecordingSet) -> set[str]:
    """Return the files, or commands, that the recordings are read from."""
    return {str(source.source) for recording in recordings for source in recording.sources}


def add_phones(supervisions: SupervisionSet, ctm: Path) -> SupervisionSet:
    """Return the supervisions with an alignment "phone" from a CTM file; raise UserError unless they fit."""
    lines = sum(1 for _ in filled_lines(require(ctm, "`phones:` of corpus.yaml names it")))
    aligned = sorted(supervisions.with_alignment_from_ctm(ctm, type="phone"), key=lambda segment: segment.id)
    for segment in aligned:
        if not segment.alignment["phone"]:
            raise UserError(f"{ctm} lacks utterance {segment.id}: make it again from the same audio")
    if sum(len(segment.alignment["phone"]) for segment in aligned) != lines:
        raise UserError(f"{ctm} has phones outside of the recordings: make it again from the same audio")
    return SupervisionSet.from_segments(aligned)
