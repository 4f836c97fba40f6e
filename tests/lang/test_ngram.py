"""Kneser-Ney models against the definition of the ARPA format, evaluated here by hand."""

import math
import random
from itertools import product

import pytest

from mt4ssl.lang.ngram import map_unknown, ngram_counts, perplexity, prune_ngram, train_ngram

WORDS = "A B C D E F G H".split()


def text(seed):
    """Sentences from a Markov chain, so that some n-grams are frequent and others never seen."""
    rng = random.Random(seed)
    sentences = []
    for _ in range(400):
        sentence = [rng.choice(WORDS)]
        while rng.random() < 0.8:
            index = WORDS.index(sentence[-1])
            sentence.append(WORDS[(index + rng.choice([0, 1, 1, 1, 3, 3, 5])) % len(WORDS)])
        sentences.append(" ".join(sentence))
    return sentences


def read_arpa(path):
    """{n-gram: (log10 probability, log10 back-off weight)}"""
    model = {}
    for line in path.read_text().splitlines():
        fields = line.split("\t")
        if len(fields) >= 2:
            model[tuple(fields[1].split())] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
    return model


def log_prob(model, history, word):
    if (*history, word) in model:
        return model[(*history, word)][0]
    return model.get(history, (0, 0.0))[1] + log_prob(model, history[1:], word)


@pytest.fixture(scope="module", params=[2, 3, 4, 5])
def arpa(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "x.arpa"
    train_ngram(text(0), request.param, path)
    return request.param, path


def test_probabilities_of_every_history_sum_to_one(arpa):
    order, path = arpa
    model = read_arpa(path)
    histories = [history for n in range(order) for history in product(WORDS, repeat=n)]
    histories += [("<s>", *history) for n in range(order - 1) for history in product(WORDS, repeat=n)]
    for history in histories:
        total = sum(10 ** log_prob(model, history, word) for word in [*WORDS, "</s>"])
        assert total == pytest.approx(1, abs=1e-5), history


def test_seen_ngrams_are_all_there(arpa):
    order, path = arpa
    seen = {
        tuple(words[i : i + order])
        for line in text(0)
        for words in [["<s>", *line.split(), "</s>"]]
        for i in range(len(words) - order + 1)
    }
    model = read_arpa(path)
    assert seen == {ngram for ngram in model if len(ngram) == order}
    assert ngram_counts(path) == [sum(len(ngram) == n for ngram in model) for n in range(1, order + 1)]


def test_perplexity_is_that_of_the_definition(arpa):
    order, path = arpa
    model, sentences = read_arpa(path), text(1)[:50]
    total = count = 0
    for line in sentences:
        words = ["<s>", *line.split(), "</s>"]
        for i in range(1, len(words)):
            total += log_prob(model, tuple(words[max(0, i - order + 1) : i]), words[i])
            count += 1
    value, unknown = perplexity(path, sentences)
    assert unknown == 0 and value == pytest.approx(10 ** (-total / count), rel=1e-4)
    assert value < len(WORDS)


def test_words_that_the_model_lacks_are_counted_and_left_out(arpa):
    _, path = arpa
    model = read_arpa(path)
    log_probs = [log_prob(model, ("<s>",), "A"), log_prob(model, (), "B"), log_prob(model, ("B",), "</s>")]
    value, unknown = perplexity(path, ["A MOUSE B"])
    assert unknown == 1 and value == pytest.approx(10 ** (-sum(log_probs) / 3), rel=1e-4)


def relative_rises(model, order):
    """{n-gram of the highest order: relative rise of perplexity without it}, a sum over all words (Stolcke, 1998)."""
    words = [*WORDS, "</s>"]
    rises = {}
    for ngram in (ngram for ngram in model if len(ngram) == order):
        history, rest = ngram[:-1], {key: value for key, value in model.items() if key != ngram}
        seen = [word for word in words if (*history, word) in rest]
        left, lower = (1 - sum(10 ** log_prob(model, h, word) for word in seen) for h in (history, history[1:]))
        rest[history] = (rest[history][0], math.log10(left / lower))
        begin = [log_prob(model, history[:i], word) for i, word in enumerate(history) if word != "<s>"]
        weight = 10 ** (sum(begin) + (model["</s>",][0] if history[0] == "<s>" else 0))
        entropy = sum(
            10 ** log_prob(model, history, word) * (log_prob(model, history, word) - log_prob(rest, history, word))
            for word in words
        )
        rises[ngram] = 10 ** (weight * entropy) - 1
    return rises


def test_pruned_are_the_ngrams_that_matter_least(tmp_path):
    path, order = tmp_path / "x.arpa", 3
    train_ngram(text(0), order, path)
    model, before = read_arpa(path), ngram_counts(path)
    rises = relative_rises(model, order)
    threshold = sorted(rises.values())[len(rises) // 2] * 1.001
    full = perplexity(path, text(1))[0]

    prune_ngram(path, threshold)
    pruned, after = read_arpa(path), ngram_counts(path)
    kept = {ngram for ngram in pruned if len(ngram) == order}
    assert kept == {ngram for ngram, rise in rises.items() if rise >= threshold} and len(kept) == after[-1]
    assert after[0] == before[0] and after[1] <= before[1]
    for history in {ngram[:-1] for ngram in pruned}:
        total = sum(10 ** log_prob(pruned, history, word) for word in [*WORDS, "</s>"])
        assert total == pytest.approx(1, abs=1e-5), history
    assert perplexity(path, text(1))[0] < 1.05 * full


def test_words_outside_the_vocabulary_become_unk():
    assert map_unknown(["THE  CAT", "", "A DOG "], {"THE", "A"}) == ["THE <UNK>", "A <UNK>"]


def test_words_in_other_scripts(tmp_path):
    sentences = ["À LA CARTE", "ÇA VA À PEU PRÈS", "猫 は 好き"] * 3
    train_ngram(sentences, 2, tmp_path / "x.arpa")
    value, unknown = perplexity(tmp_path / "x.arpa", sentences)
    assert unknown == 0 and value < 5
