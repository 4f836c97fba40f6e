"""The layout of LibriSpeech: SPEAKER/CHAPTER/*.flac and *.trans.txt, checked down to the last audio sample."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet, validate_recordings_and_supervisions
from lhotse.recipes.librispeech import parse_utterance
from tqdm import tqdm

from mt4ssl.data.audio import check_audio
from mt4ssl.errors import UserError
from mt4ssl.files import require


def audio_path(split_dir: Path, utterance: str) -> Path:
    """Return where the audio of SPEAKER-CHAPTER-NUMBER is."""
    return split_dir / Path(utterance.replace("-", "/")).parent / f"{utterance}.flac"


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
    expected = {audio_path(split_dir, name) for name in transcripts}
    for path in sorted(expected - audio):
        raise UserError(f"{path} is missing: its transcript is there; restore the file or remove the line")
    for path in sorted(audio - expected):
        raise UserError(f"{path} has no transcript in its *.trans.txt: add one or remove the file")


def read_utterance(split_dir: Path, line: str) -> tuple[Recording, SupervisionSegment]:
    """Return the manifests of one checked utterance, as Lhotse's recipe makes them."""
    check_audio(audio_path(split_dir, line.split(maxsplit=1)[0]))
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
        read = pool.map(partial(read_utterance, split_dir), transcripts.values())
        pairs = list(tqdm(read, desc=f"reading {split}", total=len(transcripts), disable=None))
    recordings = RecordingSet.from_recordings(recording for recording, _ in pairs)
    supervisions = SupervisionSet.from_segments(segment for _, segment in pairs)
    ctm = corpus_dir / f"phones_{split}.ctm"
    if ctm.exists():
        supervisions = add_phones(supervisions, ctm)
    validate_recordings_and_supervisions(recordings, supervisions)
    return recordings, supervisions
