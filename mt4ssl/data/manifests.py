"""Lhotse manifests of a split: written, read back, and parts of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from lhotse import RecordingSet, SupervisionSet, load_manifest

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require

KINDS = ("recordings", "supervisions")


def take_subset(
    id_list: Path, recordings: RecordingSet, supervisions: SupervisionSet
) -> tuple[RecordingSet, SupervisionSet]:
    """Return the part of the manifests that a file with one utterance id a line names."""
    names = Counter(require(id_list, "it lists the utterances of the subset, one id a line").read_text().split())
    known = {segment.id for segment in supervisions}
    for name, count in names.items():
        if name not in known:
            raise UserError(f"{id_list}: utterance {name} is not in the split it is taken from: correct the list")
        if count > 1:
            raise UserError(f"{id_list}: utterance {name} is listed {count} times: keep one")
    if not names:
        raise UserError(f"{id_list} lists no utterance")
    return recordings.filter(lambda item: item.id in names), supervisions.filter(lambda item: item.id in names)


def check_apart(supervisions: SupervisionSet, split: str, other: SupervisionSet, other_split: str) -> None:
    """Raise UserError when an utterance is in both splits."""
    both = {segment.id for segment in supervisions} & {segment.id for segment in other}
    if both:
        raise UserError(f"utterance {min(both)} is in {split} and in {other_split}: keep it in one")


def read_manifest(out: Path, corpus: str, kind: str, name: str) -> RecordingSet | SupervisionSet:
    """Read one of what `write_manifests` wrote."""
    return load_manifest(require(out / f"{corpus}_{kind}_{name}.jsonl.gz", "made by stage 1 (manifests)"))


def write_manifests(recordings: RecordingSet, supervisions: SupervisionSet, out: Path, corpus: str, name: str) -> None:
    """Write <out>/<corpus>_{recordings,supervisions}_<name>.jsonl.gz."""
    for kind, items in zip(KINDS, (recordings, supervisions)):
        with atomic_path(out / f"{corpus}_{kind}_{name}.jsonl.gz") as path:
            items.to_file(path)
