"""Span masks: their share, their shape, their limits."""

import numpy as np
import pytest
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

from mt4ssl.models.masking import MaskConfig, draw_masks, span_mask


@pytest.mark.parametrize("prob, length", [(0.65, 10), (0.8, 10), (0.65, 3)])
def test_share_is_that_of_transformers(prob, length):
    rng = np.random.default_rng(0)
    np.random.seed(0)  # noqa: NPY002  (transformers draws from it)
    ours = np.mean([span_mask([500] * 4, 500, rng, MaskConfig(prob, length), False).mean() for _ in range(40)])
    theirs = np.mean([_compute_mask_indices((4, 500), prob, length).mean() for _ in range(40)])
    assert abs(ours - theirs) < 0.01


def test_rows_have_equal_counts_of_spans():
    mask = span_mask([200] * 8, 200, np.random.default_rng(1), MaskConfig(0.65, 10))
    assert len(set(mask.sum(1))) == 1 and 0 < mask.sum(1)[0] < 200


def test_padding_is_never_masked():
    mask = span_mask([50, 20, 5], 50, np.random.default_rng(2), MaskConfig(0.65, 10), same_count=False)
    assert not mask[1, 20:].any() and not mask[2, 5:].any()
    assert mask.any(1).all()


def test_spans_have_their_length():
    mask = span_mask([1000], 1000, np.random.default_rng(3), MaskConfig(0.1, 10))
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[False], mask[0], [False]]))))[::2]
    assert runs.min() >= 10


def test_the_generator_alone_decides():
    draws = [span_mask([100] * 2, 100, np.random.default_rng(s), MaskConfig()) for s in (4, 4, 5)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_no_mask_where_none_is_asked_for():
    assert not span_mask([50, 20], 50, np.random.default_rng(5), MaskConfig(0.0, 10), same_count=False).any()
    assert span_mask([50, 20], 50, np.random.default_rng(5), MaskConfig(1e-9, 10), same_count=False).any(1).all()


def runs(mask):
    """The lengths of all runs of masked frames."""
    borders = np.flatnonzero(np.diff(np.pad(mask.astype(int), ((0, 0), (1, 1)))))
    return np.diff(borders)[::2]


def test_blocks_are_those_of_data2vec_2():
    """fairseq's compute_block_mask_1d((4000, L), 0.5, 5, 0.05) masks L // 2 frames, in runs of 4.39 and 4.33."""
    for frames, mean in ((100, 4.39), (250, 4.33)):
        mask = draw_masks([frames] * 4000, frames, np.random.default_rng(6), MaskConfig(0.5, 5, "block"))
        assert (mask.sum(1) == frames // 2).all()
        assert runs(mask).mean() == pytest.approx(mean, abs=0.05)
        assert np.abs(mask[:, 10:-10].mean(0) - 0.5).max() < 0.05


@pytest.mark.parametrize("kind", ["span", "block"])
def test_copies_of_an_utterance_are_neighbours(kind):
    mask = draw_masks([60, 20], 60, np.random.default_rng(7), MaskConfig(0.5, 5, kind, copies=3))
    assert mask.shape == (6, 60) and not mask[3:, 20:].any() and mask.any(1).all()
    assert (mask[0] != mask[1]).any() and mask[:3, 20:].any()


def test_blocks_of_few_frames():
    """One frame at least is masked, and every number of frames works."""
    for frames in range(1, 12):
        mask = draw_masks([frames], frames, np.random.default_rng(8), MaskConfig(0.5, 5, "block"))
        assert mask.sum() == max(1, frames // 2)
