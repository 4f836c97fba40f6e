"""The cuts of a split's utterances, one at a time: those that Lhotse makes of all of its manifests at once."""

from __future__ import annotations

import sys
from pathlib import Path

import lhotse
import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet

from mt4ssl.bin import compute_features
from mt4ssl.data.manifests import Manifests, Utterances, check_apart, join


@pytest.fixture
def made(tmp_path: Path) -> Manifests:
    """Two recordings whose utterances take turns and overlap, with one at the very end, and one without any."""
    recordings = []
    for name in ("b", "a", "unused"):
        soundfile.write(tmp_path / f"{name}.flac", np.random.default_rng(0).normal(scale=0.1, size=32000), 16000)
        recordings.append(Recording.from_file(tmp_path / f"{name}.flac"))
    places = [("a", 0.25, 0.5), ("b", 0.0, 1.0), ("a", 0.5, 0.75), ("b", 0.75, 1.25), ("a", 0.0, 0.2501)]
    segments = [
        SupervisionSegment(f"utt-{number}", *place, text="ÉTÉ", speaker="me") for number, place in enumerate(places)
    ]
    made = Manifests(RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(segments))
    made.write(tmp_path, "c", "train")
    return made


def at_once(made: Manifests) -> list[lhotse.MonoCut]:
    trimmed = CutSet.from_manifests(made.recordings, made.supervisions).trim_to_supervisions(keep_overlapping=False)
    return [cut.with_id(cut.supervisions[0].id) for cut in trimmed]


def run_stage_2(folder: Path, split: str, *options: str | Path) -> list[lhotse.MonoCut]:
    """Run stage 2 in this process; return the cuts that it wrote."""
    arguments = ["--type", "fbank", "--corpus", "c", "--split", split, "--manifests", folder, "--out", folder / "fbank"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["", *map(str, arguments), "--nj", "1", *map(str, options)])
        compute_features.main()
    return list(lhotse.load_manifest(folder / f"fbank/c_cuts_{split}.jsonl.gz"))


def test_utterances_are_those_of_lhotse(made: Manifests, tmp_path: Path) -> None:
    utterances = Utterances(tmp_path, "c", "train")
    assert list(utterances) == at_once(made)
    assert utterances.ids == [f"utt-{number}" for number in (1, 3, 0, 2, 4)]


def test_cuts_without_features_are_written_as_lhotse_writes_them(made: Manifests, tmp_path: Path) -> None:
    assert run_stage_2(tmp_path, "train", "--on-the-fly") == at_once(made)
    lines = lhotse.serialization.open_best(tmp_path / "fbank/c_cuts_train.jsonl.gz").read()
    CutSet.from_cuts(at_once(made)).to_file(tmp_path / "expected.jsonl")
    assert lines == (tmp_path / "expected.jsonl").read_text(encoding="utf-8")


def test_features_that_are_stored_are_taken_and_others_computed(made: Manifests, tmp_path: Path) -> None:
    part = [segment for segment in made.supervisions if segment.id in ("utt-1", "utt-2")]
    Manifests(made.recordings, SupervisionSet.from_segments(part)).write(tmp_path, "c", "part")
    run_stage_2(tmp_path, "part")
    cuts = run_stage_2(tmp_path, "train", "--stored", tmp_path / "fbank/c_cuts_part.jsonl.gz")
    assert [cut.id for cut in cuts] == [f"utt-{number}" for number in (1, 3, 0, 2, 4)]
    folders = [Path(cut.features.storage_path).parent.name for cut in cuts]
    assert folders == ["feats_part", "feats_train", "feats_train", "feats_part", "feats_train"]
    for cut, plain in zip(cuts, at_once(made)):
        assert cut.drop_features() == plain
        assert len(cut.load_features()) == round(cut.duration * 100)


def test_a_union_is_read_from_its_parts_whenever_it_is_passed_over(made: Manifests, tmp_path: Path) -> None:
    (other,) = (segment for segment in made.supervisions if segment.id == "utt-0")
    other.id, other.recording_id = "utt-9", "c"
    recording = made.recordings["b"]
    recording.id = "c"
    Manifests(RecordingSet.from_recordings([recording]), SupervisionSet.from_segments([other])).write(
        tmp_path, "c", "more"
    )
    parts = [Manifests.read(tmp_path, "c", split) for split in ("train", "more")]
    union = join(parts)
    for _ in range(2):
        assert [segment.id for segment in union.supervisions] == [f"utt-{number}" for number in (0, 1, 2, 3, 4, 9)]
        assert [recording.id for recording in union.recordings] == ["b", "a", "unused", "c"]
    assert (len(union.recordings), len(union.supervisions)) == (4, 6)
    assert check_apart("train", parts[0], "more", parts[1]) == [
        "warning: 1 speakers are in more and in train, such as me",
        f"warning: 1 audio files are in more and in train, such as {tmp_path / 'b.flac'}",
    ]
