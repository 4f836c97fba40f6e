"""Tokens are labels without repeats, and BPE pieces of these say the same labels."""

import sys
from itertools import groupby

import numpy as np
import pytest
from lhotse import CutSet
from lhotse.testing.dummies import dummy_cut
from sentencepiece import SentencePieceProcessor
from tones import tone_corpus

from mt4ssl.bin.make_tokens import main
from mt4ssl.clustering.tokens import FIRST
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import UserError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Cuts whose labels are random runs of 300 classes, and follow each other in pairs more often than not."""
    folder = tmp_path_factory.mktemp("labels to join")
    cuts, rng = list(CutSet.from_file(tone_corpus(folder).cuts)), np.random.default_rng(0)
    labels = []
    for cut in cuts:
        pairs = rng.integers(0, 150, 25) * 2
        sequence = np.stack([pairs, np.where(rng.random(25) < 0.8, pairs + 1, pairs)], 1).ravel()
        labels.append((cut, np.repeat(sequence, rng.integers(1, 5, 50))[: round(cut.duration * 100)].astype(np.int16)))
    CutSet.from_cuts(store_arrays(folder / "runs", "runs", 0.01, labels)).to_file(folder / "runs.jsonl.gz")
    return folder


@pytest.fixture
def make(corpus, monkeypatch):
    def call(*arguments, labelled="runs.jsonl.gz"):
        options = ["--labelled", corpus / labelled, "--labels", "runs", *arguments]
        monkeypatch.setattr(sys, "argv", ["make_tokens", *map(str, options)])
        main()

    return call


def without_repeats(cuts):
    return {cut.id: [label for label, _ in groupby(cut.load_custom("runs").tolist())] for cut in cuts}


def tokens(path):
    return {cut.id: cut.load_custom("tokens").tolist() for cut in read_cuts(str(path))[0]}


def test_repeats_are_dropped(corpus, make, tmp_path, capsys):
    make("--out", tmp_path / "out.jsonl.gz")
    expected = without_repeats(CutSet.from_file(corpus / "runs.jsonl.gz"))
    assert tokens(tmp_path / "out.jsonl.gz") == expected
    greatest = max(map(max, expected.values()))
    assert capsys.readouterr().out.splitlines()[-2].split()[-2:] == [str(greatest + 1), "0"]


def test_pieces_say_the_labels(corpus, make, tmp_path, capsys):
    bpe, out = tmp_path / "bpe.model", tmp_path / "out.jsonl.gz"
    make("--bpe", bpe, "--bpe-size", 350, "--out", out)
    made, expected = tokens(out), without_repeats(CutSet.from_file(corpus / "runs.jsonl.gz"))
    model = SentencePieceProcessor(model_file=str(bpe))
    for name, labels in expected.items():
        assert "".join(model.id_to_piece(made[name])) == "".join(chr(FIRST + label) for label in labels)
    assert sum(map(len, made.values())) < 0.9 * sum(map(len, expected.values()))
    assert capsys.readouterr().out.splitlines()[-2].split()[-2:] == ["350", "0"]

    whole = list(CutSet.from_file(corpus / "runs.jsonl.gz"))
    CutSet.from_cuts(whole[5:7]).to_file(tmp_path / "part.jsonl.gz")
    make("--cuts", tmp_path / "part.jsonl.gz", "--bpe", bpe, "--out", out)
    assert tokens(out) == {cut.id: made[cut.id] for cut in whole[5:7]}


def test_labels_that_the_model_lacks_are_counted(corpus, make, tmp_path, capsys):
    first = list(CutSet.from_file(corpus / "runs.jsonl.gz"))[:1]
    CutSet.from_cuts(first).to_file(tmp_path / "first.jsonl.gz")
    known = {label for labels in without_repeats(first).values() for label in labels}
    options = ["--bpe", tmp_path / "bpe.model"]
    make(*options, "--bpe-size", len(known) + 1, "--cuts", tmp_path / "first.jsonl.gz", "--out", tmp_path / "a.jsonl")
    make(*options, "--out", tmp_path / "b.jsonl.gz")
    unknown = sum(row.count(0) for row in tokens(tmp_path / "b.jsonl.gz").values())
    assert unknown > 0 and capsys.readouterr().out.splitlines()[-2].split()[-1] == str(unknown)


def test_errors(corpus, make, tmp_path):
    out = tmp_path / "out.jsonl.gz"
    others = [cut.with_id(f"other {cut.id}") for cut in CutSet.from_file(corpus / "runs.jsonl.gz")]
    CutSet.from_cuts(others).to_file(tmp_path / "others.jsonl.gz")
    cases = [
        (["--cuts", tmp_path / "others.jsonl.gz"], "lacks 12 of the cuts, other utt0 for example"),
        (["--bpe", tmp_path / "none.model"], "none.model is missing: train it with --bpe-size"),
        (["--bpe", tmp_path / "few.model", "--bpe-size", "9"], "cannot make 9 pieces of these labels: Vocabulary size"),
        (["--bpe", tmp_path / "many.model", "--bpe-size", "9000"], "cannot make 9000 pieces of these labels"),
    ]
    for arguments, said in cases:
        with pytest.raises(UserError) as error:
            make(*arguments, "--out", out)
        assert said in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="cut utt0 has no 'runs' labels: run stage 4"):
        make("--out", out, labelled="cuts.jsonl.gz")
    make("--bpe", tmp_path / "bpe.model", "--bpe-size", "350", "--out", out)
    with pytest.raises(UserError, match="bpe.model has 350 pieces, not 340"):
        make("--bpe", tmp_path / "bpe.model", "--bpe-size", "340", "--out", out)


def test_names_that_are_no_file_s_are_refused(tmp_path):
    with pytest.raises(UserError, match="'a/b' cannot be the name of a file: give the cut an id without slashes"):
        store_arrays(tmp_path / "runs", "runs", 0.01, [(dummy_cut(0).with_id("a/b"), np.zeros(3, np.int16))])
