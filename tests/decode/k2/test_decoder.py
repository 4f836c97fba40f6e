"""The decoder of a corpus: memory, empty utterances, order of batches, weights chosen after the lattices are made."""

from pathlib import Path

import k2
import numpy as np
import pytest

from mt4ssl.decode.decoder import Decoder
from mt4ssl.decode.weights import Weights
from mt4ssl.errors import UserError

PAIRS = [Weights(0.5), Weights(1.0, 2.0)]


class Fits(Decoder):
    """A decoder whose machine holds two utterances at a time."""

    def make_lattice(self, matrices):
        if len(matrices) > 2 or any(matrix[0, 0] == 13 for matrix in matrices):
            raise RuntimeError("out of memory\nmore")
        return super().make_lattice(matrices)


def decode(matrices: dict[str, np.ndarray], max_frames: int, folder: Path):
    decoder = Fits(hlg=k2.arc_sort(k2.ctc_topo(1)), words=["<eps>", "A"])
    lengths = {name: len(matrix) for name, matrix in matrices.items()}
    lattices = decoder.make_lattices(matrices, lengths, max_frames, folder, jobs=1)
    return decoder.decode(lattices, lengths, 1, PAIRS)


def test_a_batch_too_large_is_halved_and_nothing_is_lost(tmp_path):
    every_other = np.log([[0.1, 0.9], [0.9, 0.1]] * 4)
    hypotheses = decode({f"u{n}": every_other[:n] for n in range(8)}, 10, tmp_path)
    expected = {"u0": None, **{f"u{n}": ["A"] * ((n + 1) // 2) for n in range(1, 8)}}
    assert hypotheses == dict.fromkeys(PAIRS, expected)


def test_an_utterance_too_large_is_named(tmp_path):
    matrices = {"a": np.zeros((2, 2)), "huge": np.full((3, 2), 13.0)}
    with pytest.raises(UserError, match=r"utterance huge .*out of memory\)"):
        decode(matrices, 1000, tmp_path)


def test_one_utterance_without_files():
    decoder = Decoder(hlg=k2.arc_sort(k2.ctc_topo(1)), words=["<eps>", "A"])
    lattice = decoder.make_lattice([np.log([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])])
    assert decoder.best(lattice, PAIRS) == [[["A", "A"]]] * 2


@pytest.mark.parametrize(("penalty", "words"), [(0.0, ["A"]), (1.0, ["A"]), (2.0, ["A", "A"])])
def test_a_blank_penalty_is_taken_from_every_blank(penalty, words):
    decoder = Decoder(hlg=k2.arc_sort(k2.ctc_topo(1)), words=["<eps>", "A"], blank_penalty=penalty)
    sure = [0.01, 0.99], [0.99, 0.01]
    lattice = decoder.make_lattice([np.log([*sure, [0.8, 0.2], *[[0.99, 0.01]] * 2])])  # 0.8 / 0.2 is e to the 1.39
    assert decoder.best(lattice, PAIRS[:1]) == [[words]]
