"""Lhotse manifests of a split: written, read back, joined, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

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


def check_apart(split: str, supervisions: SupervisionSet, other: str, others: SupervisionSet) -> set[str]:
    """Return the speakers that are in both splits; UserError when an utterance or a recording is."""
    shared: set[str] = set()
    for kind, attribute in (("utterance", "id"), ("recording", "recording_id"), ("speaker", "speaker")):
        shared = {getattr(segment, attribute) for segment in supervisions}
        shared &= {getattr(segment, attribute) for segment in others}
        if shared and kind != "speaker":
            raise UserError(
                f"{kind} {min(shared)} is in {split} and in {other}: keep it in one, "
                "or give one of the splits a `prefix:` in corpus.yaml"
            )
    return shared - {None}


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
