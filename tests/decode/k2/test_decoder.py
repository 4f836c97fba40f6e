"""The decoder of a corpus: memory, empty utterances, order of batches."""

import numpy as np
import pytest

from mt4ssl.decode.decoder import Decoder
from mt4ssl.errors import UserError


class Fits(Decoder):
    """A decoder whose machine holds two utterances at a time."""

    def decode_batch(self, matrices):
        if len(matrices) > 2 or any(matrix[0, 0] == 13 for matrix in matrices):
            raise RuntimeError("out of memory\nmore")
        return {scale: [[str(len(matrix))] for matrix in matrices] for scale in self.weights}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch_too_large_is_halved_and_nothing_is_lost(jobs):
    matrices = {f"u{n}": np.zeros((n, 2)) for n in range(8)}
    decoder = Fits(hlg=None, words=[], weights=[0.5, 1.0])
    hypotheses, without_path = decoder.decode(matrices, {name: len(m) for name, m in matrices.items()}, 10, jobs)
    assert without_path == ["u0"]
    assert hypotheses[0.5] == hypotheses[1.0] == {"u0": [], **{f"u{n}": [str(n)] for n in range(1, 8)}}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_utterance_too_large_is_named(jobs):
    matrices = {"a": np.zeros((2, 2)), "huge": np.full((3, 2), 13.0)}
    with pytest.raises(UserError, match=r"utterance huge .*out of memory\)"):
        Fits(hlg=None, words=[], weights=[1.0]).decode(matrices, {"a": 2, "huge": 3}, 1000, jobs)
