"""Log-probs of many sentences against kaldingram, and what the cross-entropy difference selects."""

import math
import sys

import numpy as np
import pytest
from lang.test_ngram import text
from lhotse import CutSet, MonoCut, SupervisionSegment

from mt4ssl.bin.select_cuts import main
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import UserError
from mt4ssl.lang.ngram import perplexity, train_ngram
from mt4ssl.lang.selection import NGramModel, cross_entropy_difference


@pytest.mark.parametrize("order", [2, 3, 4])
def test_perplexities_are_those_of_kaldingram(tmp_path, order):
    train, test = text(0)[:40], [*text(1)[:50], "A A A A", "H"]  # with n-grams that were never seen
    words = ["I", "J"]  # known beyond the text, each as a sentence of its own
    train_ngram([*train, *words], order, tmp_path / "x.arpa")
    model = NGramModel(train, words, order)
    test.append("I A J J")
    for sentence, log_prob, count in zip(test, *model.log_probs(test)):
        expected, unknown = perplexity(tmp_path / "x.arpa", [sentence])
        assert unknown == 0 and count == len(sentence.split()) + 1
        assert math.exp(-log_prob / count) == pytest.approx(expected, rel=1e-5)


def test_difference_is_that_of_two_perplexities(tmp_path):
    pool, like = text(0)[:30], text(1)[:30]
    words = sorted({word for line in [*pool, *like] for word in line.split()})
    for name, lines in (("pool", pool), ("like", like)):
        train_ngram([*lines, *words], 3, tmp_path / name)
    for sentence, difference in zip(pool, cross_entropy_difference(pool, like)):
        entropies = [math.log(perplexity(tmp_path / name, [sentence])[0]) for name in ("like", "pool")]
        assert difference == pytest.approx(entropies[0] - entropies[1], abs=1e-5)


def dialect(rng, step, length):
    """Labels of which each is most often the one before it plus `step`, each for some frames."""
    labels = np.cumsum(np.where(rng.random(length) < 0.8, step, rng.integers(1, 20, length))) % 20
    return np.repeat(labels, rng.integers(1, 4, length)).astype(np.int16)


def write_cuts(folder, name, steps):
    """Cuts of 2 to 4 s, each of another speaker, that say labels of the dialects `steps`."""
    rng, made = np.random.default_rng(len(steps)), []
    for number, step in enumerate(steps):
        cut = MonoCut(f"{name}{number}", 0, 2.0 + number % 3, 0)
        cut.supervisions = [SupervisionSegment(cut.id, "r", 0, cut.duration, speaker=f"speaker {number % 7}")]
        made.append((cut, dialect(rng, step, 40)))
    CutSet.from_cuts(store_arrays(folder / name, "kmeans", None, made)).to_file(folder / f"{name}.jsonl.gz")


@pytest.fixture
def select(tmp_path, monkeypatch):
    """Selects from a pool of two dialects what is like the second one, which three in ten speak."""
    steps = np.where(np.random.default_rng(0).random(60) < 0.3, 3, 7)
    write_cuts(tmp_path, "pool", steps)
    write_cuts(tmp_path, "like", [3] * 20)

    def call(*arguments):
        options = f"select_cuts --cuts {tmp_path}/pool.jsonl.gz --like {tmp_path}/like.jsonl.gz --out {tmp_path}/ids"
        monkeypatch.setattr(sys, "argv", [*options.split(), *arguments])
        main()
        lists = [(tmp_path / f"ids/{name}.txt").read_text().split() for name in ("selected", "random")]
        pool = CutSet.from_file(tmp_path / "pool.jsonl.gz")
        seconds = {cut.id: cut.duration for cut in pool}
        spoken = dict(zip(seconds, steps))
        return lists, [sum(seconds[name] for name in ids) for ids in lists], spoken

    return call


def test_what_is_like_the_other_speech_is_selected(select, capsys):
    (selected, random), seconds, spoken = select("--seconds", "30")
    assert all(26 < each <= 30 for each in seconds)
    assert {spoken[name] for name in selected} == {3} and {spoken[name] for name in random} == {3, 7}
    assert len(set(selected)) == len(selected) and len(set(random)) == len(random)
    table = [line.split() for line in capsys.readouterr().out.splitlines()[-4:-1]]
    assert [row[0] for row in table] == ["selected", "random", "pool"]
    assert table[0][1:3] == [str(len(selected)), f"{seconds[0]:.2f}"] and table[2][1] == "60"
    assert float(table[0][-1]) < float(table[2][-1])


def test_the_random_choice_has_a_seed(select):
    (selected, first), _, _ = select("--seconds", "30")
    assert select("--seconds", "30")[0] == [selected, first]
    again, other = select("--seconds", "30", "--seed", "1")[0]
    assert again == selected and other != first


def test_a_budget_that_holds_nothing(select):
    with pytest.raises(UserError, match="--seconds 1 hold no utterance of .*pool.jsonl.gz: raise it"):
        select("--seconds", "1")
