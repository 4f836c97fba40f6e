"""Forced alignment against a search over all CTC paths."""

import itertools

import numpy as np
import pytest
from lhotse.supervision import AlignmentItem
from lhotse.testing.dummies import dummy_cut, dummy_supervision

from mt4ssl.clustering.alignment import align_tokens, with_alignment
from mt4ssl.errors import UserError


def collapse(path: tuple) -> list:
    return [token for token, _ in itertools.groupby(path) if token]


def test_against_all_paths():
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.full(3, 0.3), 7)).astype(np.float32)  # (T, V)
    tokens = [1, 2, 2]
    paths = (path for path in itertools.product(range(3), repeat=7) if collapse(path) == tokens)
    best = max(paths, key=lambda path: sum(log_probs[frame, token] for frame, token in enumerate(path)))
    runs, frame = [], 0
    for token, run in itertools.groupby(best):
        length = len(list(run))
        if token:
            runs.append((frame, frame + length))
        frame += length
    centres = [(start + end) / 2 for start, end in runs]
    ends = [0.1 * (a + b) / 2 for a, b in itertools.pairwise(centres)] + [0.7]
    items = align_tokens(log_probs, tokens, ["<blk>", "a", "b"], duration=0.7)
    assert [item.symbol for item in items] == ["a", "b", "b"]
    np.testing.assert_allclose([item.end for item in items], ends, atol=1e-6)
    np.testing.assert_allclose([item.start for item in items], [0.0, *ends[:-1]], atol=1e-6)


def test_more_tokens_than_frames():
    with pytest.raises(UserError, match="3 tokens do not fit into 3 frames"):
        align_tokens(np.log(np.full((3, 2), 0.5, np.float32)), [1, 1, 1], ["<blk>", "a"], 0.3)


def test_an_alignment_is_added_to_those_there():
    items = [AlignmentItem("a", 0.0, 0.5)]
    phones = {"phone": [AlignmentItem("b", 0.0, 1.0)]}
    cut = dummy_cut(0, supervisions=[dummy_supervision(0, alignment=phones)])
    assert with_alignment(cut, items).supervisions[0].alignment == {**phones, "token": items}
    two = dummy_cut(0, supervisions=[dummy_supervision(0), dummy_supervision(1)])
    with pytest.raises(UserError, match="has 2 supervisions"):
        with_alignment(two, items)
