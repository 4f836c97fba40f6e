"""Lhotse manifests of a split: written, read back, joined, and parts of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from lhotse import RecordingSet, SupervisionSet, load_manifest_lazy
from lhotse.cut import Cut

from mt4ssl.data.cuts import Cuts, read_fields
from mt4ssl.data.layouts import Part
from mt4ssl.data.layouts.base import filled_lines
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require


@dataclass
class Manifests:
    """What Lhotse knows of a split; where it is on disk, it is read whenever it is passed over."""

    recordings: RecordingSet
    supervisions: SupervisionSet

    @classmethod
    def read(cls, folder: Path, corpus: str, split: str) -> Manifests:
        """Open what `write` wrote."""
        return cls(*map(load_manifest_lazy, written(folder, corpus, split)))

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


class Utterances:
    """The cuts of a split's utterances, each made from what stage 1 wrote when it is its turn."""

    def __init__(self, folder: Path, corpus: str, split: str) -> None:
        self.manifests = self.recordings, supervisions = written(folder, corpus, split)
        self.supervisions = Cuts.read(supervisions)
        self.places: dict[str, list[int]] = {}  # of the supervisions of a recording
        names = []
        for place, segment in enumerate(read_fields(supervisions)):
            self.places.setdefault(segment["recording_id"], []).append(place)
            names.append(segment["id"])
        recordings = (recording["id"] for recording in read_fields(self.recordings))
        self.ids = [names[place] for recording in recordings for place in self.places.get(recording, [])]

    def __iter__(self) -> Iterator[Cut]:
        """Yield the cuts, named after their utterances, so that log-probs and labels can be traced to transcripts."""
        for recording in load_manifest_lazy(self.recordings):
            whole = recording.to_cut()
            whole.supervisions = [self.supervisions[place] for place in self.places.get(recording.id, [])]
            for cut in whole.trim_to_supervisions(keep_overlapping=False):
                yield cut.with_id(cut.supervisions[0].id)


def written(folder: Path, corpus: str, split: str) -> list[Path]:
    """Return the manifests of recordings and of supervisions; UserError where one is not there."""
    names = [f"{corpus}_{kind}_{split}.jsonl.gz" for kind in ("recordings", "supervisions")]
    return [require(folder / name, "made by stage 1 (manifests)") for name in names]


def join(parts: list[Manifests]) -> Manifests:
    """Return the union of manifests whose ids all differ."""
    return Manifests(
        reduce(add, (part.recordings for part in parts)), reduce(add, (part.supervisions for part in parts))
    )


def check_apart(split: str, made: Manifests, other: str, others: Manifests) -> list[str]:
    """Return warnings of speakers and files that two splits share; UserError when they share an id."""
    mine, theirs = names_in(made), names_in(others)
    shared = {kind: mine[kind] & theirs[kind] for kind in mine if mine[kind] & theirs[kind]}
    for kind in ("utterance", "recording"):
        if kind in shared:
            raise UserError(
                f"{kind} {min(shared[kind])} is in {split} and in {other}: keep it in one, "
                "or give one of the splits a `prefix:` in corpus.yaml"
            )
    return [
        f"warning: {len(names)} {kind} are in {other} and in {split}, such as {min(names)}"
        for kind, names in shared.items()
    ]


def names_in(made: Manifests) -> dict[str, set[str]]:
    """Return all names that another split may have too, by their kind; of audio they are its files or commands."""
    names: dict[str, set[str]] = {kind: set() for kind in ("utterance", "recording", "speakers", "audio files")}
    for segment in made.supervisions:
        names["utterance"].add(segment.id)
        names["recording"].add(segment.recording_id)
        if segment.speaker is not None:
            names["speakers"].add(segment.speaker)
    for recording in made.recordings:
        names["audio files"].update(str(source.source) for source in recording.sources)
    return names


def add_phones(supervisions: SupervisionSet, ctm: Path) -> SupervisionSet:
    """Return the supervisions with an alignment "phone" from a CTM file; raise UserError unless they fit."""
    lines = sum(1 for _ in filled_lines(require(ctm, "`phones:` of corpus.yaml names it")))
    try:
        aligned = sorted(supervisions.with_alignment_from_ctm(ctm, type="phone"), key=lambda segment: segment.id)
    except ValueError as error:
        raise UserError(f"{ctm}: lines must be `RECORDING CHANNEL START SECONDS PHONE` ({error})") from error
    for segment in aligned:
        if not segment.alignment["phone"]:
            raise UserError(f"{ctm} lacks utterance {segment.id}: make it again from the same audio")
    if sum(len(segment.alignment["phone"]) for segment in aligned) != lines:
        raise UserError(f"{ctm} has phones outside of the recordings: make it again from the same audio")
    return SupervisionSet.from_segments(aligned)
