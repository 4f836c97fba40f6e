"""ABX errors against all triples, one by one, and against fastabx."""

from itertools import product
from statistics import mean

import numpy as np
import pytest

from mt4ssl.clustering.abx import MAX_OF_A_KIND, abx_errors, find_tokens, pairs_across


def angle(x, y):
    return np.arccos(np.clip(x @ y / np.linalg.norm(x) / np.linalg.norm(y), -1, 1))


def brute_force(vectors, phones, speakers, across):
    """All triples of every pair of phones and speakers: means over speakers, then over pairs."""
    errors = {}
    numbers = range(len(vectors))
    for p, q, s, t in product(*[sorted(set(phones))] * 2, *[sorted(set(speakers))] * 2):
        if p == q or (s != t) != across:
            continue
        a_s, b_s = ([n for n in numbers if (phones[n], speakers[n]) == (kind, s)] for kind in (p, q))
        x_s = [n for n in numbers if (phones[n], speakers[n]) == (p, t)]
        wrong = [
            float(angle(vectors[b], vectors[x]) < angle(vectors[a], vectors[x]))
            for a, b, x in product(a_s, b_s, x_s)
            if a != x
        ]
        if wrong:
            errors.setdefault((p, q), []).append(mean(wrong))
    return mean(mean(cells) for cells in errors.values())


@pytest.fixture
def said():
    """Frames of phones that three speakers say, some of them longer than a frame, not all by all; with pauses."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 4, 60)
    phones = rng.choice(["a", "b", "c", "sil"], 60).astype(object)
    speakers = np.repeat(["s", "t", "u"], 20)
    phones[40:][phones[40:] == "c"] = "a"
    centres = {phone: rng.normal(size=5) for phone in "abc"} | {"sil": np.zeros(5)}
    frames = np.repeat(np.arange(60), lengths)
    x = np.stack([centres[phones[n]] for n in frames]) + rng.normal(size=(len(frames), 5))
    return x.astype(np.float32), phones, speakers, frames


def test_errors_are_those_of_all_triples(said):
    x, phones, speakers, frames = said
    tokens = find_tokens(phones[frames], speakers[frames], frames)  # each phone a cut of its own
    kept = phones != "sil"
    vectors = np.stack([x[frames == n].mean(0) for n in np.flatnonzero(kept)])
    within, across = abx_errors(x, tokens)
    assert within == pytest.approx(brute_force(vectors, phones[kept], speakers[kept], across=False))
    assert across == pytest.approx(brute_force(vectors, phones[kept], speakers[kept], across=True))
    assert (within, across) == pytest.approx((0.1101820, 0.0856523), abs=1e-7)  # of fastabx 0.9.0, on the same


def test_phones_end_where_another_begins_or_the_cut_ends():
    phones = np.array([*"aabbb", "sil", *"bba"], object)
    tokens = find_tokens(phones, np.array(["s"] * 9), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1]))
    assert list(zip(tokens.starts, tokens.ends)) == [(0, 2), (2, 4), (4, 5), (6, 8), (8, 9)]
    assert tokens.kinds.tolist() == [0, 1, 1, 1, 0]


def test_of_a_frequent_phone_some_are_drawn():
    phones = np.array(list("ab") * 100, object)
    tokens = find_tokens(phones, np.repeat(["s", "t"], 100), np.zeros(200))
    assert len(tokens.starts) == 4 * MAX_OF_A_KIND
    assert tokens.starts.max() > 150


def test_of_many_speakers_each_meets_five_others():
    pairs = list(pairs_across(np.arange(30).astype(str)))
    assert len(set(pairs)) == 30 * 5 and all(first != second for first, second in pairs)
    assert len({second for _, second in pairs}) > 20
    assert sorted(pairs_across(np.array(["s", "t"]))) == [("s", "t"), ("t", "s")]


def test_what_is_apart_has_no_error_what_is_equal_half_and_one_speaker_none_across():
    phones, cuts = np.repeat(["a", "b"], 6).astype(object), np.arange(12)
    tokens = find_tokens(phones, np.array(["s", "t"] * 6), cuts)
    x = np.where(phones == "a", 1.0, -1.0)[:, None] * np.ones((12, 4))
    assert abx_errors(x, tokens) == (0, 0)
    assert abx_errors(np.ones((12, 4)), tokens) == (0.5, 0.5)
    assert abx_errors(np.zeros((12, 4)), tokens) == (0.5, 0.5)
    alone = find_tokens(phones, np.array(["s"] * 12), cuts)
    assert abx_errors(x, alone) == (0, None)
    single = find_tokens(np.array(["a", "b"], object), np.array(["s", "s"]), np.arange(2))
    assert abx_errors(np.eye(2), single) == (None, None)
    pause = find_tokens(np.array(["sil"] * 2, object), np.array(["s", "t"]), np.arange(2))
    assert abx_errors(np.eye(2), pause) == (None, None)
