"""Manifests of small corpora in the layout of LibriSpeech, whole and broken in every way that occurs."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from lhotse import RecordingSet, SupervisionSet
from lhotse.recipes import prepare_librispeech
from lhotse.utils import fastcopy

from mt4ssl.data.layouts.librispeech import prepare_split
from mt4ssl.data.manifests import check_apart, take_subset
from mt4ssl.errors import UserError


def write_flac(path, seconds=1.0, rate=16000, channels=1):
    noise = np.random.default_rng(0).normal(scale=0.1, size=(int(seconds * rate), channels))
    soundfile.write(path, noise, rate)


@pytest.fixture
def corpus(tmp_path):
    """Two splits: train with two speakers, dev with one; two utterances each, phones for train only."""
    root = tmp_path / "a corpus"
    ctm = []
    for split, speaker in (("train", "1"), ("train", "2"), ("dev", "3")):
        chapter = root / split / speaker / "7"
        chapter.mkdir(parents=True)
        names = [f"{speaker}-7-000{number}" for number in range(2)]
        for number, name in enumerate(names):
            write_flac(chapter / f"{name}.flac", seconds=1 + number)
            if split == "train":
                ctm += [f"{name} 1 0.000 0.300 sil\n", f"{name} 1 0.300 {0.7 + number:.3f} ʃ\n"]
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{name} SOME WORDS\n" for name in names))
    (root / "phones_train.ctm").write_text("".join(ctm), encoding="utf-8")
    (root / "train_labelled.txt").write_text("2-7-0001\n1-7-0000\n")
    return root


def prepare(corpus, *splits):
    return {split: prepare_split(corpus, split, jobs=2) for split in splits}


def error_of(corpus, *splits):
    with pytest.raises(UserError) as caught:
        prepare(corpus, *(splits or ("train", "dev")))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def run(corpus, out, *options):
    command = [sys.executable, "-m", "mt4ssl.bin.prepare_manifests", "--corpus", "tiny", "--corpus-dir", corpus]
    return subprocess.run([*command, "--out", out, *options], capture_output=True, text=True)


def test_manifests_are_those_of_lhotse(corpus):
    expected = prepare_librispeech(corpus, dataset_parts=["train", "dev"])
    manifests = prepare(corpus, "train", "dev")
    for split, (recordings, supervisions) in manifests.items():
        assert list(recordings) == sorted(expected[split]["recordings"], key=lambda item: item.id)
        wanted = sorted(expected[split]["supervisions"], key=lambda item: item.id)
        assert [fastcopy(item, alignment=None) for item in supervisions] == wanted


def test_phones_become_alignments(corpus):
    manifests = prepare(corpus, "train", "dev")
    for segment in manifests["train"][1]:
        assert [item.symbol for item in segment.alignment["phone"]] == ["sil", "ʃ"]
        assert segment.alignment["phone"][-1].end == pytest.approx(segment.end)
    assert all(segment.alignment is None for segment in manifests["dev"][1])


def test_subset_is_a_part_of_both_manifests(corpus):
    recordings, supervisions = take_subset(corpus / "train_labelled.txt", *prepare_split(corpus, "train", jobs=2))
    assert [item.id for item in recordings] == [item.id for item in supervisions] == ["1-7-0000", "2-7-0001"]


def test_command_writes_the_manifests_and_prints_the_table(corpus, tmp_path):
    out = tmp_path / "out"
    results = [
        run(corpus, out, "--split", "train"),
        run(corpus, out, "--split", "dev", "--apart-from", "train"),
        run(corpus, out, "--split", "train_labelled", "--subset-of", "train"),
    ]
    assert not any(result.returncode for result in results), results
    rows = [line.split() for result in results for line in result.stdout.splitlines() if line.strip()]
    assert ["train", "2", "4", "4", "0", "0.00"] in rows
    for name, count in (("train", 4), ("dev", 2), ("train_labelled", 2)):
        recordings = RecordingSet.from_file(out / f"tiny_recordings_{name}.jsonl.gz")
        supervisions = SupervisionSet.from_file(out / f"tiny_supervisions_{name}.jsonl.gz")
        assert len(recordings) == len(supervisions) == count
    assert len(list(out.iterdir())) == 6


def test_command_fails_in_one_line_and_writes_nothing(corpus, tmp_path):
    (corpus / "dev/3/7/3-7-0001.flac").write_bytes(b"")
    result = run(corpus, tmp_path / "out", "--split", "dev")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "3-7-0001.flac" in result.stderr
    assert not (tmp_path / "out").exists()


def empty(path):
    path.write_bytes(b"")


def without_samples(path):
    write_flac(path, seconds=0)


def of_text(path):
    path.write_text("this is no audio\n" * 1000)


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwritten_in_the_middle(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [empty, without_samples, of_text, truncated, overwritten_in_the_middle])
def test_unreadable_audio_is_named(corpus, damage):
    damage(corpus / "train/2/7/2-7-0001.flac")
    assert "2-7-0001.flac" in error_of(corpus)


def test_other_sampling_rate_or_channels_say_what_to_do(corpus):
    path = corpus / "train/1/7/1-7-0000.flac"
    write_flac(path, rate=8000)
    assert "1-7-0000.flac has 8000 Hz" in error_of(corpus) and "sox" in error_of(corpus)
    write_flac(path, channels=2)
    assert "2 channel(s)" in error_of(corpus)


def test_audio_without_transcript_is_named(corpus):
    write_flac(corpus / "dev/3/7/3-7-0009.flac")
    assert "3-7-0009.flac has no transcript" in error_of(corpus)


def test_transcript_without_audio_is_named(corpus):
    (corpus / "dev/3/7/3-7-0000.flac").unlink()
    assert "3-7-0000.flac is missing" in error_of(corpus)


@pytest.mark.parametrize(
    "lines, message",
    [
        ("3-7-0000 A\n3-7-0001\n", "3-7-0001 has no text"),
        ("3-7-0000 A\n3-7-0001 B\n3-7-0000 A\n", "3-7-0000 is transcribed twice"),
        ("3-7-0000 A\n\n3-7-0001 B\n", "line 2 is empty"),
    ],
)
def test_faulty_transcripts_are_named(corpus, lines, message):
    (corpus / "dev/3/7/3-7.trans.txt").write_text(lines)
    assert message in error_of(corpus)


def test_utterance_in_two_splits_is_named(corpus):
    (corpus / "test").symlink_to(corpus / "dev")
    manifests = prepare(corpus, "train", "dev", "test")
    check_apart(manifests["dev"][1], "dev", manifests["train"][1], "train")
    with pytest.raises(UserError, match="utterance 3-7-0000 is in test and in dev: keep it in one"):
        check_apart(manifests["test"][1], "test", manifests["dev"][1], "dev")


def test_missing_split_and_split_without_transcripts_are_named(corpus):
    assert "nothing is missing" in error_of(corpus, "nothing")
    (corpus / "hollow").mkdir()
    assert "hollow holds no *.trans.txt" in error_of(corpus, "hollow")


@pytest.mark.parametrize(
    "ids, message",
    [("9-9-9\n", "9-9-9 is not in the split"), ("1-7-0000\n1-7-0000\n", "listed 2 times"), ("", "no utterance")],
)
def test_faulty_subsets_are_named(corpus, ids, message):
    (corpus / "train_labelled.txt").write_text(ids)
    with pytest.raises(UserError, match=message):
        take_subset(corpus / "train_labelled.txt", *prepare_split(corpus, "train", jobs=2))


def test_phones_that_do_not_fit_are_refused(corpus):
    ctm = corpus / "phones_train.ctm"
    lines = ctm.read_text(encoding="utf-8")
    ctm.write_text(lines.replace("1-7-0000", "8-8-8888"), encoding="utf-8")
    assert "lacks utterance 1-7-0000" in error_of(corpus)
    ctm.write_text(lines + "2-7-0001 1 5.000 0.200 ʃ\n", encoding="utf-8")
    assert "outside of the recordings" in error_of(corpus)
