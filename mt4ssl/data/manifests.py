"""Lhotse manifests of a corpus in the layout of LibriSpeech, checked down to the last audio sample."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import soundfile
from lhotse import (
    Recording,
    RecordingSet,
    SupervisionSegment,
    SupervisionSet,
    load_manifest,
    validate_recordings_and_supervisions,
)
from lhotse.recipes.librispeech import parse_utterance
from tqdm import tqdm

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require

SAMPLING_RATE = 16000
KINDS = ("recordings", "supervisions")


def read_transcripts(split_dir: Path) -> dict[str, str]:
    """Return utterance id -> transcript line of all SPK/CHAP/SPK-CHAP.trans.txt, in the order of the ids."""
    lines: dict[str, str] = {}
    for path in sorted(split_dir.rglob("*.trans.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                raise UserError(f"{path}: line {number} is empty: remove it")
            utterance, *words = line.split()
            if not words:
                raise UserError(f"{path}: utterance {utterance} has no text: transcribe it, or remove it and its audio")
            if utterance in lines:
                raise UserError(f"{path}: utterance {utterance} is transcribed twice: keep one")
            lines[utterance] = line
    if not lines:
        raise UserError(f"{split_dir} holds no *.trans.txt: run stage 0, or check the folder of the corpus")
    return dict(sorted(lines.items()))


def check_pairs(split_dir: Path, transcripts: dict[str, str]) -> None:
    """Raise UserError when an audio file has no transcript, or a transcript no audio file in its place."""
    audio = set(split_dir.rglob("*.flac"))
    expected = {split_dir / Path(name.replace("-", "/")).parent / f"{name}.flac" for name in transcripts}
    for path in sorted(expected - audio):
        raise UserError(f"{path} is missing: its transcript is there; restore the file or remove the line")
    for path in sorted(audio - expected):
        raise UserError(f"{path} has no transcript in its *.trans.txt: add one or remove the file")


def check_audio(path: Path) -> None:
    """Decode the whole file; raise UserError unless every sample is there, at 16 kHz, in one channel."""
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, promised = file.samplerate, file.channels, file.frames
            decoded = len(file.read(dtype="int16"))
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be read ({error.error_string}): restore it from the corpus") from error
    if decoded == 0:
        raise UserError(f"{path} holds no audio: restore it, or remove it and its transcript")
    if decoded != promised:
        raise UserError(f"{path} breaks off after {decoded} of {promised} samples: restore it from the corpus")
    if rate != SAMPLING_RATE or channels != 1:
        raise UserError(
            f"{path} has {rate} Hz and {channels} channel(s), but the recipes need 16000 Hz and one:"
            f" sox IN.flac -r {SAMPLING_RATE} -c 1 OUT.flac converts it"
        )


def read_utterance(split_dir: Path, line: str) -> tuple[Recording, SupervisionSegment]:
    """Return the manifests of one checked utterance, as Lhotse's recipe makes them."""
    name = line.split()[0]
    check_audio(split_dir / Path(name.replace("-", "/")).parent / f"{name}.flac")
    return parse_utterance(split_dir, line, {})


def add_phones(supervisions: SupervisionSet, ctm: Path) -> SupervisionSet:
    """Return the supervisions with an alignment "phone" from a CTM file; raise UserError unless they fit."""
    with open(ctm, encoding="utf-8") as file:
        lines = sum(1 for _ in file)
    aligned = sorted(supervisions.with_alignment_from_ctm(ctm, type="phone"), key=lambda segment: segment.id)
    for segment in aligned:
        if not segment.alignment["phone"]:
            raise UserError(f"{ctm} lacks utterance {segment.id}: make it again from the same audio")
    if sum(len(segment.alignment["phone"]) for segment in aligned) != lines:
        raise UserError(f"{ctm} has phones outside of the recordings: make it again from the same audio")
    return SupervisionSet.from_segments(aligned)


def prepare_split(corpus_dir: Path, split: str, jobs: int) -> tuple[RecordingSet, SupervisionSet]:
    """Return the manifests of one split, sorted by id, with phones if phones_<split>.ctm is there."""
    split_dir = require(corpus_dir / split, "run stage 0, or check --corpus-dir and --splits")
    transcripts = read_transcripts(split_dir)
    check_pairs(split_dir, transcripts)
    with ThreadPoolExecutor(jobs) as pool:  # decoding happens outside of Python's lock
        pairs = pool.map(partial(read_utterance, split_dir), transcripts.values())
        pairs = list(tqdm(pairs, desc=f"reading {split}", total=len(transcripts), disable=None))
    recordings = RecordingSet.from_recordings(recording for recording, _ in pairs)
    supervisions = SupervisionSet.from_segments(segment for _, segment in pairs)
    ctm = corpus_dir / f"phones_{split}.ctm"
    if ctm.exists():
        supervisions = add_phones(supervisions, ctm)
    validate_recordings_and_supervisions(recordings, supervisions)
    return recordings, supervisions


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
