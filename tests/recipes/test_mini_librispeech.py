"""egs/mini_librispeech on a LibriSpeech of noise: its splits and lists, its text for language models, its graphs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import load_manifest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/mini_librispeech"
DEV = ["226", "1970", "2136", "3664"]
SPEAKERS = {"train-clean-5": ["7", "11", *DEV], "dev-clean-2": ["84"], "test-clean": ["61", "121", "908"]}
TEXTS = ["THE CAT SAT ON THE MAT AND LOOKED AT ME", "A DOG", "IT'S MISTER MAT"]
BOOK = """[A Book by Nobody 1816]

CHAPTER 1

Mr. Mat's dog looked at the café; "It's _me_," said he -- the cat!
The dog sat on the mat and looked at me at 7 o'clock. Then the cat
sat on the mat and looked at him: nobody looked
at me."""

spec = importlib.util.spec_from_file_location("lm_text", RECIPE / "local/lm_text.py")
lm_text = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lm_text)


@pytest.fixture
def dl_dir(tmp_path: Path) -> Path:
    """A folder with LibriSpeech/, three utterances of each speaker, and a book."""
    folder = tmp_path / "my data"
    rng = np.random.default_rng(0)
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            chapter = folder / f"LibriSpeech/{split}/{speaker}/1"
            chapter.mkdir(parents=True)
            names = [f"{speaker}-1-{number:04d}" for number in range(len(TEXTS))]
            for name in names:
                soundfile.write(chapter / f"{name}.flac", rng.normal(size=16000) * 0.1, 16000)
            lines = [f"{name} {text}\n" for name, text in zip(names, TEXTS)]
            (chapter / f"{speaker}-1.trans.txt").write_text("".join(lines))
    (folder / "books").mkdir()
    (folder / "books/book.txt").write_text(BOOK, encoding="utf-8")
    return folder


def run(folder: Path, *options: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the recipe, with its outputs beside its data."""
    folders = ["--dl-dir", folder, "--data-dir", folder.parent / "data", "--exp-dir", folder.parent / "exp"]
    return subprocess.run(
        [RECIPE / "run.sh", *folders, "--lm-text", folder / "books", "--bible", "false", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
    )


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    """The error of a stage 0 that failed, which is a single line."""
    lines = [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("error: ")]
    assert result.returncode == 1 and len(lines) == 2 and lines[1].startswith("error: stage 0"), result.stdout
    return lines[0]


@pytest.mark.skipif(not (ROOT / ".k2python").exists(), reason="no k2: run tools/install_k2.sh")
def test_stages_0_to_2_and_6_to_7(dl_dir: Path) -> None:
    lexicon = dl_dir / "lexicon.txt"  # of cmudict, G2P takes a minute
    lexicon.write_text("THE DH AH0\nTHE DH IY0\nCAT K AE1 T\nMAT M AE1 T\nDOG D AO1 G\n")
    for stages in (("--stage", "0", "--stop-stage", "2"), ("--stage", "6", "--stop-stage", "7")):
        result = run(dl_dir, "--test-sets", "dev-clean-2", "--lexicon", lexicon, *stages)
        assert result.returncode == 0, result.stdout + result.stderr

    corpus, data = dl_dir / "mini_librispeech", dl_dir.parent / "data"
    for split, speakers in {"train": {"7", "11"}, "dev": {*DEV}, "dev-clean-2": {"84"}}.items():
        manifest = load_manifest(data / f"manifests/mini_librispeech_supervisions_{split}.jsonl.gz")
        assert {segment.speaker for segment in manifest} == speakers
    assert (corpus / "train_all.txt").read_text().split() == (corpus / "train_1h.txt").read_text().split()
    for name in ("train", "train_1h", "train_all", "dev", "dev-clean-2"):
        assert (data / f"fbank/mini_librispeech_cuts_{name}.jsonl.gz").exists()
    assert "\nAE 1\nAH 2\n" in (data / "lang_phone/tokens.txt").read_text()
    assert "\nTHE DH AH\nTHE DH IY\n" in (data / "lang_phone/lexicon.txt").read_text()
    assert (data / "lang_phone/HLG.pt").exists()

    scores = json.loads((data / "lm_phone/perplexity.json").read_text())
    assert scores["dev"]["perplexity, 3gram"] == pytest.approx(scores["dev-clean-2"]["perplexity, 3gram"])
    assert scores["dev-clean-2"]["words"] == 15 and scores["dev"]["OOV %"] == pytest.approx(20)  # ON, AND, SAT
    assert 1 < scores["dev"]["perplexity, 3gram"] < 20
    assert [scores[split]["sentences in the LM text, %"] for split in ("dev", "dev-clean-2")] == (
        pytest.approx([200 / 3] * 2)  # two of three are transcripts of train
    )


def test_language_models_see_no_text_of_dev(dl_dir: Path) -> None:
    result = run(dl_dir, "--test-sets", "test-clean dev-clean-2", "--stage", "0", "--stop-stage", "0")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = (dl_dir / "mini_librispeech/lm.txt").read_text().splitlines()
    assert "MISTER MAT'S DOG LOOKED AT THE CAFE IT'S ME SAID HE THE CAT NOBODY LOOKED AT ME" in lines
    assert not [line for line in lines if "SAT ON THE MAT AND LOOKED AT" in line]
    assert lines.count("A DOG") == 2


def test_what_is_not_there_is_one_line(dl_dir: Path) -> None:
    stage = ("--stage", "0", "--stop-stage", "0")
    assert "test-clean/672 is missing" in error_of(run(dl_dir, *stage))
    assert "has no split 'test-other'" in error_of(run(dl_dir, *stage, "--test-sets", "test-other"))
    assert not (dl_dir / "mini_librispeech").exists()
    for path in dl_dir.rglob("*.flac"):
        path.rename(path.with_suffix(".opus"))
    assert "holds no FLAC files" in error_of(run(dl_dir, *stage))
    (dl_dir / "LibriSpeech").rename(dl_dir / "elsewhere")
    assert "cannot download https://www.openslr.org/" in error_of(run(dl_dir, *stage, https_proxy="http://127.0.0.1:9"))


def test_sentences_are_as_in_librispeech() -> None:
    text = "Dr. Æsop’s twenty-one boys' dogs -- 'Tis late!\n\nIn 1816; St. John & co.\nleft."
    assert lm_text.split_sentences(text) == (
        ["DOCTOR AESOP'S TWENTY ONE BOYS DOGS TIS LATE", "SAINT JOHN AND CO", "LEFT"],
        1,
    )


def test_a_sentence_is_shared_from_eight_words_on() -> None:
    held_out = ["A B C D E F G H I"]
    seven, eight = "X A B C D E F G X", "X B C D E F G H I"
    assert lm_text.without_shared([seven, eight, "A B", "I H G F E D C B A"], held_out) == [
        seven, "A B", "I H G F E D C B A",
    ]  # fmt: skip


def test_sentences_are_joined_to_utterances() -> None:
    words = [f"W{number}" for number in range(80)]
    sentences = [" ".join(words[start:stop]) for start, stop in ((0, 20), (20, 35), (35, 36), (36, 76), (76, 80))]
    utterances = lm_text.as_utterances(sentences)
    assert [len(utterance.split()) for utterance in utterances] == [35, 1, 40, 4]
    assert " ".join(utterances).split() == words
