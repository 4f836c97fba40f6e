"""Forced alignment against a search over all CTC paths."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem, SupervisionSet
from lhotse.testing.dummies import dummy_cut, dummy_supervision
from lhotse.utils import fastcopy

from mt4ssl.clustering.alignment import (
    align_cuts,
    align_tokens,
    best_path,
    choose_pronunciations,
    intervals,
    with_alignment,
    write_ctm,
)
from mt4ssl.clustering.pauses import parts_between_pauses, states_at
from mt4ssl.clustering.probe import collect_frames
from mt4ssl.clustering.quality import label_quality
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.storage import store_arrays, write_ark
from mt4ssl.errors import UserError
from mt4ssl.lang.lexicon import write_lang
from mt4ssl.lang.tokens import Tokens
from mt4ssl.lang.units.phones import Phones


def random_log_probs(seed: int, frames: int, tokens: int) -> np.ndarray:
    return np.log(np.random.default_rng(seed).dirichlet(np.full(tokens, 0.3), frames)).astype(np.float32)


def brute_force(log_probs: np.ndarray, tokens: list[int]) -> tuple[float, list[tuple[int, int]]]:
    """Score of the best of all paths that say the tokens, and the frames of each token."""
    frames, size = log_probs.shape
    paths = [
        path
        for path in itertools.product(range(size), repeat=frames)
        if [token for token, _ in itertools.groupby(path) if token] == tokens
    ]
    score, best = max((float(log_probs[np.arange(frames), list(path)].sum()), path) for path in paths)
    spans, frame = [], 0
    for token, run in itertools.groupby(best):
        length = len(list(run))
        if token:
            spans.append((frame, frame + length))
        frame += length
    return score, spans


def test_the_best_of_all_paths():
    log_probs, tokens = random_log_probs(0, 7, 3), [1, 2, 2]
    score, spans = best_path(log_probs, tokens)
    expected, expected_spans = brute_force(log_probs, tokens)
    assert score == pytest.approx(expected, abs=1e-4) and spans == expected_spans


def test_the_best_of_all_pronunciations():
    words = [[[1], [2, 1]], [[2]], [[1, 2], [2, 2], [1, 1]]]
    found = []
    for seed in range(20):
        log_probs = random_log_probs(seed, 7, 3)
        choices = [[token for way in choice for token in way] for choice in itertools.product(*words)]
        best = max(choices, key=lambda tokens: brute_force(log_probs, tokens)[0])
        found.append(choose_pronunciations(log_probs, words) == best)
    assert sum(found) >= 18  # one word after the other may miss the best pair of choices


def test_intervals_leave_no_gap_and_pauses_are_silence():
    frames = [0] * 10 + [1, 0, 0, 2, 2, 0, 0] + [0] * 10 + [1] + [0] * 12  # of 20 ms
    log_probs = np.full((len(frames), 3), -5.0, np.float32)
    log_probs[np.arange(len(frames)), frames] = -0.1
    items = align_tokens(log_probs, [[[1, 2]], [[1]]], ["<blk>", "a", "b"], duration=0.8)
    assert [item.symbol for item in items] == ["sil", "a", "b", "sil", "a", "sil"]
    # The middles of the tokens are at 0.21, 0.28 and 0.55 s; next to silence they last 60 ms either way.
    ends = [0.15, 0.245, 0.34, 0.49, 0.61, 0.8]
    np.testing.assert_allclose([item.end for item in items], ends, atol=1e-6)
    np.testing.assert_allclose([item.start for item in items], [0.0, *ends[:-1]], atol=1e-6)


def long_speech(words: int, blanks_are_sure: bool = True) -> tuple[np.ndarray, list[list[int]]]:
    """Log-probs (T, 6) of words of two to five tokens, with pauses after some of them, and noise; and the words."""
    rng = np.random.default_rng(0)
    spellings = [rng.integers(1, 6, rng.integers(2, 6)).tolist() for _ in range(words)]
    frames = []
    for spelling in spellings:
        for token in spelling:
            frames += [token] * int(rng.integers(1, 3)) + [0] * int(rng.integers(1, 4))
        frames += [0] * int(rng.integers(10, 40) * (rng.random() < 0.2))
    logits = rng.normal(size=(len(frames), 6)) * 1.5
    logits[np.arange(len(frames)), frames] += 4
    logits[:, 0] += 0 if blanks_are_sure else -9
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32), spellings


def test_states_are_those_of_the_best_path():
    log_probs, words = long_speech(60)
    tokens = [token for word in words for token in word]
    states = states_at(range(len(log_probs)), log_probs, tokens)
    _, spans = best_path(log_probs, tokens)
    expected = [2 * sum(end <= frame for _, end in spans) for frame in range(len(log_probs))]
    for number, (start, end) in enumerate(spans):
        expected[start:end] = [2 * number + 1] * (end - start)
    assert states == expected


def test_long_speech_in_parts_is_aligned_as_the_whole():
    log_probs, words = long_speech(400)
    parts = list(parts_between_pauses(log_probs, words, 300))
    assert len(parts) > 8 and max(frames.stop - frames.start for frames, _ in parts) < len(log_probs) / 3
    for side, size in ((0, len(log_probs)), (1, len(words))):
        assert [number for part in parts for number in range(size)[part[side]]] == list(range(size))
    symbols, duration = ["<blk>", *"abcde"], len(log_probs) * 0.02
    assert duration > 60
    _, spans = best_path(log_probs, [token for word in words for token in word])
    expected = intervals([token for word in words for token in word], spans, 0.02, symbols, duration)
    ways = [[word] if number % 20 else [word, [token % 5 + 1 for token in word]] for number, word in enumerate(words)]
    assert align_tokens(log_probs, ways, symbols, duration) == expected


def test_long_speech_without_a_pause_is_aligned_whole_or_refused():
    log_probs, words = long_speech(300, blanks_are_sure=False)
    assert len(list(parts_between_pauses(log_probs, words, 300))) < 3
    with pytest.raises(UserError, match="30000 tokens without a pause are too many to align"):
        best_path(np.broadcast_to(np.float32(-1), (40_000, 2)), [1] * 30_000)


def test_more_tokens_than_frames():
    with pytest.raises(UserError, match="3 tokens do not fit into 3 frames"):
        align_tokens(np.log(np.full((3, 2), 0.5, np.float32)), [[[1, 1, 1]]], ["<blk>", "a"], 0.3)


def test_an_alignment_is_added_to_those_there():
    items = [AlignmentItem("a", 0.0, 0.5)]
    phones = {"phone": [AlignmentItem("b", 0.0, 1.0)]}
    cut = dummy_cut(0, supervisions=[dummy_supervision(0, alignment=phones)])
    assert with_alignment(cut, "token", items).supervisions[0].alignment == {**phones, "token": items}
    two = dummy_cut(0, supervisions=[dummy_supervision(0), dummy_supervision(1)])
    with pytest.raises(UserError, match="has 2 supervisions"):
        with_alignment(two, "token", items)


def test_times_count_from_the_start_of_the_recording(tmp_path):
    """A cut out of a long recording: Lhotse reads back from CTM what was aligned."""
    whole = dummy_cut(0, duration=10.0, supervisions=[dummy_supervision(0, start=2.0, duration=1.5, alignment={})])
    (cut,) = CutSet.from_cuts([whole]).trim_to_supervisions()
    rest = AlignmentItem("sil", 1.4996, 0.0004)  # too short for CTM
    aligned = with_alignment(cut, "phone", [AlignmentItem("a", 0.0, 0.5), AlignmentItem("b", 0.5, 1.0), rest])
    items = [AlignmentItem("a", 2.0, 0.5), AlignmentItem("b", 2.5, 1.0)]
    assert aligned.supervisions[0].alignment is not None
    assert aligned.supervisions[0].alignment["phone"][:-1] == items
    write_ctm(tmp_path / "phones.ctm", [aligned], "phone")
    segment = dummy_supervision(0, start=2.0, duration=1.5, alignment={})
    (read,) = SupervisionSet.from_segments([segment]).with_alignment_from_ctm(tmp_path / "phones.ctm", type="phone")
    assert read.alignment["phone"] == items


SAID = {"fits": "ab ab", "long": "ab ab ab ab", "unknown": "ab xyz", "empty": "ab", "also": "ab"}
FRAMES = dict.fromkeys(SAID, 5) | {"empty": 0}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model of two phones, with log-probs of dev: some of its transcripts cannot be aligned."""
    (tmp_path / "lexicon.txt").write_text("ab A B\n")
    write_lang(tmp_path, Phones.make(tmp_path, ["ab"], [], ["ab"], 0, str(tmp_path / "lexicon.txt")), ["ab"])
    matrices = [(name, random_log_probs(0, frames, 3)) for name, frames in FRAMES.items()]
    (tmp_path / "log_probs").mkdir()
    write_ark(tmp_path / "log_probs/dev", matrices)
    return tmp_path


def said_cuts() -> list[Cut]:
    cuts = []
    for number, (name, text) in enumerate(SAID.items()):
        segment = fastcopy(dummy_supervision(number, duration=0.1, text=text), speaker=name)
        cuts.append(fastcopy(dummy_cut(number, duration=0.1, supervisions=[segment]), id=name))
    return cuts


def test_cuts_that_cannot_be_aligned_are_named_and_left_out(model):
    """Fine-tuning leaves them out of dev, or skips their unknown tokens, and warns: no reason to stop in stage 11."""
    labelled = store_arrays(model / "labels", "km", 0.02, ((cut, np.arange(5) % 2) for cut in said_cuts()))
    CutSet.from_cuts(labelled).to_file(model / "cuts.jsonl.gz")
    command = [sys.executable, "-m", "mt4ssl.bin.align", "--model", model, "--split", "dev"]
    command += ["--cuts", model / "cuts.jsonl.gz", "--out", model / "aligned.jsonl.gz", "--ctm", model / "dev.ctm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in (
        "long is left out: 8 tokens do not fit into 5 frames",
        "unknown is left out: utterance unknown: SPN not in",
        "empty is left out: it is too short for a frame",
    ):
        assert line in done.stdout
    assert done.stdout.splitlines()[-2].split() == ["dev", "5", "2", "3"]
    aligned = list(CutSet.from_file(model / "aligned.jsonl.gz"))
    assert [cut.id for cut in aligned] == ["fits", "also"]
    assert label_quality(aligned, "km", 2, "phone").frames == 10

    frames = collect_frames(Cuts.read(model / "aligned.jsonl.gz"), OneFeature(), "phone")
    assert {"A", "B"} <= set(frames.phones) and set(frames.speakers) == {"fits", "also"}


class OneFeature:
    """Stands in for the layers of an encoder."""

    frame_shift = 0.02

    def __call__(self, cut: Cut) -> np.ndarray:
        return np.zeros((5, 1, 1), np.float32)


def test_no_cut_that_can_be_aligned_is_an_error(model):
    cuts = [cut for cut in said_cuts() if cut.id in ("long", "empty")]
    log_probs = {name: random_log_probs(0, frames, 3) for name, frames in FRAMES.items()}
    with pytest.raises(UserError, match="none of 2 cuts can be aligned; the first is long: 8 tokens do not fit"):
        align_cuts(cuts, log_probs, Tokens(model))
    with pytest.raises(UserError, match="there are no log-probs of empty: run stage 9"):
        align_cuts(cuts, {"long": log_probs["fits"]}, Tokens(model))
