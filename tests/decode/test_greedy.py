from itertools import groupby

import numpy as np
import pytest

from mt4ssl.decode.greedy import greedy_search


@pytest.mark.parametrize("seed", range(20))
def test_against_groupby(seed):
    log_probs = np.random.default_rng(seed).normal(size=(seed, 4))
    expected = [token for token, _ in groupby(log_probs.argmax(axis=1)) if token != 0]
    assert greedy_search(log_probs) == expected


def test_repeats_merge_unless_a_blank_is_between():
    assert greedy_search(np.eye(3)[[1, 1, 0, 1, 2, 2, 0]]) == [1, 1, 2]
