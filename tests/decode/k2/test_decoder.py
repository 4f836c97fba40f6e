"""The decoder of a corpus: memory, empty utterances, order of batches, weights chosen after the lattices are made.

What runs in processes comes first: k2's threads do not survive a fork, and it has them as soon as it has searched.
"""

import os
from pathlib import Path

import k2
import numpy as np
import pytest
from orphans import check_ends_with_parent

from mt4ssl.decode.decoder import Decoder, map_forked
from mt4ssl.decode.search import Beam
from mt4ssl.decode.weights import Weights

PAIRS = [Weights(0.5), Weights(1.0, 2.0)]
EVERY_OTHER = np.log([[0.1, 0.9], [0.9, 0.1]] * 4)
TOO_LARGE, LARGE, SUDDEN = 13, 14, 15  # first value of matrices


class Fits(Decoder):
    """A decoder whose machine holds two utterances at a time, some with narrow beams only, some not at all.

    For SUDDEN ones the process ends, as by an abort of k2 or for lack of memory; for others there is an exception.
    """

    def make_lattice(self, matrices, beam=None):
        first = {round(float(matrix[0, 0])) for matrix in matrices}
        if SUDDEN in first or (LARGE in first and beam.max_active_states > 100 and beam.output > 1):
            os._exit(134)
        if len(matrices) > 2 or TOO_LARGE in first:
            raise RuntimeError("out of memory\nmore")
        return super().make_lattice(matrices, beam)


def decode(matrices: dict[str, np.ndarray], max_frames: int, folder: Path, jobs: int):
    """The hypotheses, and the utterances that have lattices."""
    hlg, beam = k2.arc_sort(k2.ctc_topo(1)), Beam(max_active_states=400, output=4.0)
    decoder = Fits(hlg=hlg, words=["<eps>", "A"], beam=beam)
    lengths = {name: len(matrix) for name, matrix in matrices.items()}
    lattices = decoder.make_lattices(matrices, lengths, max_frames, folder, jobs)
    return decoder.decode(lattices, lengths, jobs, PAIRS), {name for batch, _ in lattices for name in batch}


def test_processes_end_when_the_one_that_started_them_is_killed():
    def start(tell):
        for process in map_forked(lambda _: os.getpid(), [0], 1):
            tell(process)

    check_ends_with_parent(start)


@pytest.mark.parametrize("jobs, max_frames", [(1, 1000), (3, 1)])
def test_an_utterance_that_ends_k2_takes_no_other_one_along(tmp_path, capfd, jobs, max_frames):
    matrices = {f"u{n}": EVERY_OTHER[:n] for n in range(8)}
    for name, value in (("too_large", TOO_LARGE), ("large", LARGE), ("sudden", SUDDEN)):
        matrices[name] = EVERY_OTHER[:3] + value - EVERY_OTHER[0, 0]
    hypotheses, made = decode(matrices, max_frames, tmp_path, jobs)
    expected = {"u0": None, **{f"u{n}": ["A"] * ((n + 1) // 2) for n in range(1, 8)}, "large": ["A", "A"]}
    assert hypotheses == {pair: {**expected, "too_large": None, "sudden": None} for pair in PAIRS}
    assert made == expected.keys() - {"u0"}
    warnings = capfd.readouterr().err.splitlines()
    last = [line for line in warnings if line.startswith("warning: not decoded with")][-1]
    assert sorted(last.split(": ")[-1].split()) == ["sudden", "too_large"]
    assert "warning: k2 fails at too_large: out of memory" in warnings


def test_a_batch_too_large_is_halved_and_nothing_is_lost(tmp_path):
    matrices = {f"u{n}": EVERY_OTHER[:n] for n in range(8)}
    hypotheses, made = decode({**matrices, "huge": np.full((3, 2), TOO_LARGE)}, 10, tmp_path, jobs=0)
    expected = {"u0": None, "huge": None, **{f"u{n}": ["A"] * ((n + 1) // 2) for n in range(1, 8)}}
    assert hypotheses == dict.fromkeys(PAIRS, expected) and made == matrices.keys() - {"u0"}


def test_narrower_beams_are_quarters():
    assert Beam(max_active_states=200).narrower(2) == [Beam(20, 2, 30, 50), Beam(20, 0.5, 30, 30)]


def test_one_utterance_without_files():
    decoder = Decoder(hlg=k2.arc_sort(k2.ctc_topo(1)), words=["<eps>", "A"])
    lattice = decoder.make_lattice([np.log([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])])
    assert decoder.best(lattice, PAIRS) == [[["A", "A"]]] * 2


@pytest.mark.parametrize(("penalty", "words"), [(0.0, ["A"]), (1.0, ["A"]), (2.0, ["A", "A"])])
def test_offsets_are_added_in_every_frame(penalty, words):
    offsets = np.array([-penalty, 0], np.float32)
    decoder = Decoder(hlg=k2.arc_sort(k2.ctc_topo(1)), words=["<eps>", "A"], offsets=offsets)
    sure = [0.01, 0.99], [0.99, 0.01]
    lattice = decoder.make_lattice([np.log([*sure, [0.8, 0.2], *[[0.99, 0.01]] * 2])])  # 0.8 / 0.2 is e to the 1.39
    assert decoder.best(lattice, PAIRS[:1]) == [[words]]
