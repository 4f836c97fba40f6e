"""Word errors against jiwer, which counts by another library (rapidfuzz)."""

import random

import jiwer
import pytest

from mt4ssl.errors import UserError
from mt4ssl.scoring.wer import check_same_utterances, score


def random_texts(seed, empty_references):
    rng = random.Random(seed)
    words = "THE CAT SAT ON A MAT ABOARD".split()
    ref = {f"u{n}": rng.choices(words, k=rng.randint(0 if empty_references else 1, 9)) for n in range(30)}
    hyp = {
        name: [w for w in text if rng.random() < 0.8] + rng.choices(words, k=rng.randint(0, 2))
        for name, text in ref.items()
    }
    return ref, hyp


@pytest.mark.parametrize("seed", range(10))
def test_against_jiwer(seed):
    ref, hyp = random_texts(seed, empty_references=seed % 2 == 1)
    sentences = [[" ".join(text[name]) for name in ref] for text in (ref, hyp)]
    words, characters = jiwer.process_words(*sentences), jiwer.process_characters(*sentences)
    rate = score(ref, hyp)
    assert rate.wer == pytest.approx(100 * words.wer)
    assert rate.cer == pytest.approx(100 * characters.cer)
    assert rate.ins + rate.dele + rate.sub == words.insertions + words.deletions + words.substitutions
    assert rate.ins - rate.dele == words.insertions - words.deletions
    assert rate.words == sum(map(len, ref.values()))
    assert 0 <= rate.ci95[0] < rate.wer < rate.ci95[1]


def test_the_interval_covers_the_rate_of_95_in_100_samples():
    """Utterances drawn with a true WER of 20 %: the interval should hold it about 95 times of 100."""
    rng = random.Random(0)
    ref = {f"u{n}": ["W"] * 10 for n in range(60)}
    held = 0
    for _ in range(100):
        hyp = {name: ["X" if rng.random() < 0.2 else "W" for _ in range(10)] for name in ref}
        low, high = score(ref, hyp).ci95
        held += low <= 20 <= high
    assert 88 <= held <= 100


@pytest.mark.parametrize("hyp,wer", [([], 0.0), (["A", "B"], 200.0)])
def test_references_without_words_divide_by_nothing(hyp, wer):
    rate = score({"u": []}, {"u": hyp})
    assert (rate.wer, rate.ins, rate.words, rate.ci95) == (wer, len(hyp), 0, None)


@pytest.mark.parametrize("hyp", [[], ["A"]])
def test_few_references_with_words_have_no_interval(hyp):
    """Where nine of ten are empty, samples may have no words: their rate is 0 / 0, or endless."""
    ref = {f"u{number}": ["A", "B"] if number == 0 else [] for number in range(10)}
    rate = score(ref, dict.fromkeys(ref, hyp))
    assert rate.words == 2 and rate.wer > 0 and rate.ci95 is None


def test_utterances_that_one_side_lacks_are_named():
    with pytest.raises(UserError, match=r"1 utterances are not in hyps.txt: b"):
        check_same_utterances({"a": [], "b": []}, {"a": []}, "hyps.txt")
    with pytest.raises(UserError, match=r"7 utterances are not in the reference: u0 u1 u2 u3 u4 …"):
        check_same_utterances({"a": []}, {"a": [], **{f"u{n}": [] for n in range(7)}}, "hyps.txt")
