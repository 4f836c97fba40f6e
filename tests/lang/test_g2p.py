import itertools
import math
import random

import numpy as np
import pytest
from kaldingram.prune import ArpaParser

from mt4ssl.errors import UserError
from mt4ssl.lang.g2p import BEAM, G2P, ORDER, prefix_sums
from mt4ssl.lang.ngram import train_ngram


def spoken(word):
    """The oracle: C is S before E and I, else K; X is two phones; H is silent, and makes SH of S; AA is one phone."""
    phones, before = [], ""
    for letter, after in zip(word, word[1:] + "."):
        if letter == "X":
            phones += ["K", "S"]
        elif letter == "H":
            phones[-1:] = ["SH"] if before == "S" else phones[-1:]
        elif not (letter == before == "A"):
            phones.append(("S" if after in "EI" else "K") if letter == "C" else letter)
        before = letter
    return phones


def random_words(count, seed, letters="ACEHIMSTX"):
    rng = random.Random(seed)
    words = ("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(4 * count))
    return [word for word in dict.fromkeys(words) if "AAA" not in word and spoken(word)][:count]


@pytest.fixture(scope="module")
def lexicon():
    return [(word, spoken(word)) for word in random_words(4000, 0)]


@pytest.fixture(scope="module")
def model(lexicon, tmp_path_factory):
    return G2P.train(lexicon, tmp_path_factory.mktemp("g2p") / "g2p.txt")


def test_unseen_words_follow_the_rules_of_the_lexicon(lexicon, model):
    seen = {word for word, _ in lexicon}
    unseen = [word for word in random_words(1000, 1) if word not in seen]
    found = model.pronounce(unseen)
    wrong = [word for word in unseen if found[word] != spoken(word)]
    assert len(unseen) > 500 and len(wrong) < len(unseen) / 100, wrong


def test_an_opened_model_is_the_trained_one_and_training_again_gives_the_same(lexicon, model, tmp_path):
    words = random_words(300, 2)
    G2P.train(lexicon, tmp_path / "again.txt")
    assert G2P(tmp_path / "again.txt").pronounce(words) == model.pronounce(words)
    assert [path.name for path in tmp_path.iterdir()] == ["again.txt"]


def test_words_that_cannot_be_pronounced_are_absent(model):
    assert model.pronounce(["CAT", "QAT", "", "HH", "CAT", "cat"]) == {"CAT": ["K", "A", "T"]}
    assert model.pronounce([]) == {}


def test_any_letters_and_any_phones(tmp_path):
    sounds = {
        "你": ["n", "i˨˩˦", "#1"],
        "好": ["x", "aʊ", "˨˩˦"],
        "я": ["<eps>"],
        "ß": ["_", "|"],
        "-": [],
        "\u094d": ["▁"],
    }
    rng = random.Random(0)
    words = ["".join(rng.choices(list(sounds), k=rng.randint(2, 5))) for _ in range(400)]
    lexicon = [(word, [phone for letter in word for phone in sounds[letter]]) for word in words]
    model = G2P.train(lexicon[:300], tmp_path / "g2p.txt")
    assert model.pronounce(words[300:]) == {word: phones for word, phones in lexicon[300:] if phones}
    assert model.pronounce(["--"]) == {}


def test_the_units_found_are_the_most_probable_by_the_arpa_model_of_the_same_units(tmp_path):
    """The oracle is the recipes' n-gram in ARPA format, as kaldingram reads it, over all units of the letters."""
    rng = random.Random(0)
    words = ["".join(rng.choices("ABC", k=rng.randint(2, 5))) for _ in range(300)]
    model = G2P.train([(word, rng.choices("vwxyz", k=len(word))) for word in words], tmp_path / "g2p.txt").model
    lines = [line.split("\t") for line in (tmp_path / "g2p.txt").read_text().splitlines()]
    train_ngram([" ".join(map("{}:{}".format, word, phones)) for word, *phones in lines], ORDER, tmp_path / "arpa")
    arpa = ArpaParser().load((tmp_path / "arpa").read_text().splitlines())[0]
    for word in ("AB", "CCA", "BACA"):
        paths = [(*path, model.end) for path in itertools.product(*(model.candidates[letter] for letter in word))]
        expected = []
        for path in paths:
            units = ("<s>", *("{}:{}".format(*model.units[symbol]) for symbol in path[:-1]), "</s>")
            spans = (units[max(0, end - ORDER) : end] for end in range(2, len(units) + 1))
            expected.append(sum(map(arpa.log_p_raw, spans)) * np.log(10))
        states, found = np.ones(len(paths), dtype=int), np.zeros(len(paths))
        for symbols in np.transpose(paths):
            log_probs, states = model.advance(states, symbols)
            found += log_probs
        np.testing.assert_allclose(found, expected, atol=1e-4)
        best = paths[np.argmax(expected)]
        assert len(paths) > BEAM / 2 and model.search([word]) == [[model.units[symbol][1] for symbol in best[:-1]]]


def test_entries_with_too_many_phones_are_not_learnt_from(lexicon, tmp_path):
    G2P.train([*lexicon[:50], ("W", "D AH B AH L Y UW".split()), ("E", [])], tmp_path / "g2p.txt")
    lines = (tmp_path / "g2p.txt").read_text().splitlines()
    assert sorted(line.split("\t")[0] for line in lines) == sorted(word for word, _ in lexicon[:50])


def test_weights_of_alignments_of_a_word_so_long_that_their_product_is_zero():
    """With none or one phone for each of L letters, P phones can be aligned in as many ways as P of L can be chosen."""
    sums = prefix_sums(np.full((1, 400, 4, 2), 1e-3))
    expected = np.array([math.comb(400, phones) for phones in range(4)], dtype=float)
    np.testing.assert_allclose(sums[0, 400], expected / expected.sum())


def test_a_lexicon_of_one_letter(tmp_path):
    assert G2P.train([("A", ["a"])], tmp_path / "g2p.txt").pronounce(["A", "AA", "B"]) == {"A": ["a"], "AA": ["a", "a"]}


@pytest.mark.parametrize("lexicon", [[], [("A", [])], [("", ["a"])]])
def test_nothing_to_learn_from(lexicon, tmp_path):
    with pytest.raises(UserError, match="no word with phones"):
        G2P.train(lexicon, tmp_path / "g2p.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content,said",
    [
        (b"CAT\tK\tAE\tT\nDOG\tD\n", "line 2 is not a word and the phones of each letter: train"),
        (b"CAT K AE T\n", "line 1 is not a word"),
        (b"\n", "line 1 is not a word"),
        (b"\x80\x04\x95", "line 1: byte 0x80 is not UTF-8"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_kind(content, said, tmp_path):
    (tmp_path / "g2p.txt").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        G2P(tmp_path / "g2p.txt")
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="g2p.txt is missing: training the G2P writes it"):
        G2P(tmp_path / "g2p.txt")
