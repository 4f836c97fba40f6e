"""The search for LM scale and word score, on functions whose best pair is known."""

from itertools import product

import pytest

from mt4ssl.decode.weights import EXTENSIONS, Weights, best_pair, beyond, grid, on_edge, search

LM_SCALES, WORD_SCORES = [0.5, 0.7, 1.0], [-1.0, 0.0, 2.0]


def found(errors, lm_scales=LM_SCALES, word_scores=WORD_SCORES):
    """The best pair of a search for the fewest `errors(lm_scale, word_score)`, and the pairs that were tried."""
    hypotheses = search(
        lambda pairs: {pair: pair for pair in pairs}, lambda pair: errors(*pair), grid(lm_scales, word_scores)
    )
    return best_pair({pair: errors(*pair) for pair in hypotheses}), set(hypotheses)


@pytest.mark.parametrize("best", [(0.7, 0.0), (1.6, 0.0), (0.3, 6.0), (1.9, -3.0), (0.7, -4.0)])
def test_the_best_is_that_of_an_exhaustive_grid(best):
    def errors(lm_scale, word_score):
        return abs(lm_scale - best[0]) * 10 + abs(word_score - best[1])

    wide = product([0.1, 0.3, *LM_SCALES, 1.3, 1.6, 1.9, 2.2], [-5.0, -4.0, -3.0, -2.0, *WORD_SCORES, 4.0, 6.0, 8.0])
    pair, tried = found(errors)
    assert pair == best == min(wide, key=lambda pair: errors(*pair))
    assert not on_edge(pair, tried)


def test_a_best_inside_the_grid_needs_no_other():
    assert found(lambda lm_scale, word_score: abs(lm_scale - 0.7) + abs(word_score)) == (
        (0.7, 0.0),
        set(product(LM_SCALES, WORD_SCORES)),
    )


def test_of_equals_the_one_inside_is_the_best():
    assert found(lambda *_: 3) == ((0.7, 0.0), set(product(LM_SCALES, WORD_SCORES)))


def test_lm_scales_stay_above_zero():
    pair, tried = found(lambda lm_scale, word_score: lm_scale + abs(word_score))
    assert pair == (0.1, 0.0) and on_edge(pair, tried)
    assert {lm_scale for lm_scale, _ in tried} == {0.1, 0.3, *LM_SCALES}


def test_a_search_without_end_ends():
    pair, tried = found(lambda lm_scale, word_score: -lm_scale - word_score)
    assert pair == (pytest.approx(1.0 + 0.3 * EXTENSIONS), 2.0 + 2 * EXTENSIONS) and on_edge(pair, tried)


def test_one_value_alone_is_fixed():
    pair, tried = found(lambda lm_scale, word_score: -word_score, [0.9], [0.0, 1.0])
    assert pair == (0.9, 1.0 + EXTENSIONS) and not on_edge((0.9, 0.5), [*tried, Weights(0.9, 0.5)])
    assert beyond({Weights(0.9, 2.0): 7}) == [] and not on_edge(Weights(0.9, 2.0), [Weights(0.9, 2.0)])


def test_weights_are_read_as_they_are_written():
    for weights, text in (
        (Weights(0.5), "lm_scale_0.5"),
        (Weights(1.5, -1.0), "lm_scale_1.5_word_score_-1.0"),
        (Weights(1e-5, -1e-6), "lm_scale_1e-05_word_score_-1e-06"),
        (Weights(0.5, 1e16), "lm_scale_0.5_word_score_1e+16"),
    ):
        assert str(weights) == text and Weights.parse(text) == weights
    assert Weights.parse("ctc-greedy-search") is None
