"""Modified Kneser-Ney against KenLM, and against the definition written down here once more, without arrays."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from lang.test_ngram import log_prob, read_arpa

from mt4ssl.lang.kneser_ney import FALLBACK, adjusted_counts, count_ngrams, discounts
from mt4ssl.lang.ngram import arpa_to_g, ngram_counts, train_ngram

CUMULATIVE = (
    "THE HOUSE THAT JACK BUILT|THE MALT THAT LAY IN|THE RAT THAT ATE|THE CAT THAT KILLED|THE DOG THAT WORRIED|"
    "THE COW WITH THE CRUMPLED HORN THAT TOSSED|THE MAIDEN ALL FORLORN THAT MILKED|"
    "THE MAN ALL TATTERED AND TORN THAT KISSED|THE PRIEST ALL SHAVEN AND SHORN THAT MARRIED|"
    "THE COCK THAT CROWED IN THE MORN THAT WAKED|THE FARMER SOWING HIS CORN THAT KEPT"
).split("|")
RHYMES = [
    *(" ".join(["THIS IS", *CUMULATIVE[last::-1]]) for last in range(len(CUMULATIVE))),
    *"HOW MUCH WOOD WOULD A WOODCHUCK CHUCK|IF A WOODCHUCK COULD CHUCK WOOD".split("|"),
    *"HE WOULD CHUCK HE WOULD AS MUCH AS HE COULD|AND CHUCK AS MUCH WOOD AS A WOODCHUCK WOULD".split("|"),
    *"IF A WOODCHUCK COULD CHUCK WOOD|A WOODCHUCK WOULD CHUCK AS MUCH WOOD AS HE COULD CHUCK".split("|"),
    *"BAA BAA BLACK SHEEP|HAVE YOU ANY WOOL|YES SIR YES SIR|THREE BAGS FULL|ONE FOR THE MASTER".split("|"),
    *"AND ONE FOR THE DAME|AND ONE FOR THE LITTLE BOY|WHO LIVES DOWN THE LANE".split("|"),
]

# KenLM (commit 4cb443e): lmplz -o 3 --text RHYMES. It predicts <unk> too: one word more than ours.
KENLM_DISCOUNTS = [
    (0.810811, 0.610039, 0.567568),
    (0.717949, 1.9021, 0.128205),
    (0.623932, 1.23427, 0.781576),
]
KENLM_LOG_PROBS = {
    "</s>": -1.016685,
    "THE": -0.9849327,
    "WOODCHUCK": -2.163407,
    "<s> THIS": -0.3592815,
    "THE COW": -2.0114675,
    "CHUCK WOOD": -1.217111,
    "<s> THIS IS": -0.022579044,
    "IS THE FARMER": -1.351443,
    "JACK BUILT </s>": -0.020498518,
    "A WOODCHUCK COULD": -0.6610741,
    "WOOD AS A": -0.6189523,
    "<s> AND ONE": -0.51446235,
}


class Definition:
    """Chen and Goodman's recursion, from counts in dictionaries, ended by `1 / vocabulary`."""

    def __init__(self, lines, order, vocabulary):
        self.uniform = 1 / vocabulary
        occurrences, in_front = Counter(), defaultdict(set)
        for words in (("<s>", *line.split(), "</s>") for line in lines):
            for end in range(1, len(words) + 1):
                for start in range(max(0, end - order), end):
                    occurrences[words[start:end]] += 1
                    in_front[words[start + 1 : end]].add(words[start])
        self.followers = defaultdict(dict)
        for ngram, occurred in occurrences.items():
            raw = len(ngram) == order or (ngram[0] == "<s>" and len(ngram) > 1)
            self.followers[ngram[:-1]][ngram[-1]] = occurred if raw else len(in_front[ngram])
        self.discounts = [self.discounts_of(length) for length in range(order)]

    def discounts_of(self, length):
        counts = [c for history, words in self.followers.items() if len(history) == length for c in words.values()]
        n1, n2, n3, n4 = map(counts.count, (1, 2, 3, 4))
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
            if 0 < d1 <= 1 and 0 < d2 <= 2 and 0 < d3 <= 3:
                return 0, d1, d2, d3
        return 0, 0.5, 1, 1.5

    def prob(self, history, word):
        lower = self.prob(history[1:], word) if history else self.uniform
        counts = self.followers.get(history)
        if not counts:
            return lower
        taken = {word: self.discounts[len(history)][min(count, 3)] for word, count in counts.items()}
        seen = counts.get(word, 0) - taken.get(word, 0)
        return (seen + sum(taken.values()) * lower) / sum(counts.values())


def test_definition_and_discounts_are_those_of_kenlm():
    _, tables = count_ngrams(RHYMES, 3)
    for counts, expected in zip(adjusted_counts(tables), KENLM_DISCOUNTS):
        assert discounts(counts) == pytest.approx((0, *expected), rel=1e-5)
    words = {word for line in RHYMES for word in line.split()}
    model = Definition(RHYMES, 3, vocabulary=len(words | {"</s>", "<unk>"}))
    for ngram, expected in KENLM_LOG_PROBS.items():
        *history, word = ngram.split()
        assert np.log10(model.prob(tuple(history), word)) == pytest.approx(expected, abs=1e-6), ngram


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_every_probability_is_that_of_the_definition(tmp_path, order):
    train_ngram(RHYMES, order, tmp_path / "x.arpa")
    model = read_arpa(tmp_path / "x.arpa")
    words = sorted({word for line in RHYMES for word in line.split()} | {"</s>"})
    definition = Definition(RHYMES, order, len(words))
    histories = {ngram for ngram in model if len(ngram) < order and ngram[-1] != "</s>"}
    for history in [(), ("THE", "LAMB")[: order - 1], *histories]:
        probs = [definition.prob(history, word) for word in words]
        assert sum(probs) == pytest.approx(1)
        assert [10 ** log_prob(model, history, word) for word in words] == pytest.approx(probs, rel=1e-5), history


def test_discounts_by_hand():
    # 4, 2, 1 and 1 n-grams counted once to four times: Y = 4 / (4 + 2 * 2), D2 = 2 - 3 * Y * 1 / 2
    assert discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])) == (0, 0.5, 1.25, 1)


@pytest.mark.parametrize(
    "counts", [[], [1, 1, 2], [2, 3], [1, 2, 3, 4, 4, 4, 4]], ids=["none", "no 3", "no 1", "D3 < 0"]
)
def test_counts_that_give_no_discounts(counts):
    assert discounts(np.array(counts, dtype=int)) == FALLBACK == (0, 0.5, 1, 1.5)


def test_a_sentence_shorter_than_the_order(tmp_path):
    train_ngram(["A"], 5, tmp_path / "x.arpa")
    assert ngram_counts(tmp_path / "x.arpa") == [3, 2, 1, 0, 0]
    # A and </s> are counted once each: (1 - 0.5) / 2, and half of the 0.5 that was taken from the two.
    assert read_arpa(tmp_path / "x.arpa")[("A",)][0] == pytest.approx(np.log10(0.5), abs=1e-6)
    (tmp_path / "words.txt").write_text("<eps> 0\nA 1\n<UNK> 2\n#0 3\n<s> 4\n</s> 5\n")
    arpa_to_g(tmp_path / "x.arpa", tmp_path / "words.txt", tmp_path / "g")
    assert "\t1\t1\t" in (tmp_path / "g").read_text()


def test_the_begin_of_a_sentence_is_never_predicted(tmp_path):
    train_ngram(RHYMES, 3, tmp_path / "x.arpa")
    model = read_arpa(tmp_path / "x.arpa")
    assert [(ngram, prob) for ngram, (prob, _) in model.items() if ngram[-1] == "<s>"] == [(("<s>",), -99)]
