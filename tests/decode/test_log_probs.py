import kaldiio
import numpy as np
import pytest

from mt4ssl.decode.log_probs import length_batches, load_log_probs, log_prob_offsets, pad, read_prior, write_prior
from mt4ssl.errors import UserError


def test_batches_hold_every_utterance_once_and_respect_the_limit():
    lengths = {f"u{i}": int(n) for i, n in enumerate(np.random.default_rng(0).integers(1, 300, size=200))}
    batches = list(length_batches(lengths, max_frames=250))
    assert sorted(name for batch in batches for name in batch) == sorted(lengths)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[name] for name in batch) <= 250
    firsts = [lengths[name] for batch in batches for name in batch]
    assert firsts == sorted(firsts, reverse=True)


def test_pad():
    log_probs, lengths = pad([np.ones((3, 2)), np.ones((1, 2))])
    assert log_probs.shape == (2, 3, 2) and lengths.tolist() == [3, 1] and log_probs[1, 1:].eq(0).all()


def write(path, matrices):
    with kaldiio.WriteHelper(f"ark,scp:{path}.ark,{path}.scp") as writer:
        for name, matrix in matrices.items():
            writer(name, np.asarray(matrix, np.float32))
    return f"{path}.scp"


def test_log_probs_are_checked(tmp_path):
    good = {"a": np.zeros((4, 3)), "b": np.zeros((0, 3))}
    matrices, lengths = load_log_probs(write(tmp_path / "good", good), num_tokens=3)
    assert lengths == {"a": 4, "b": 0} and matrices["a"].shape == (4, 3)
    with pytest.raises(UserError, match=r"utterance a has shape \(4, 3\)"):
        load_log_probs(tmp_path / "good.scp", num_tokens=5)
    with pytest.raises(UserError, match="utterance c has NaN"):
        load_log_probs(write(tmp_path / "nan", {"c": np.full((2, 3), np.nan)}), num_tokens=3)
    with pytest.raises(UserError, match="names no utterance"):
        load_log_probs(write(tmp_path / "none", {}), num_tokens=3)
    (tmp_path / "good.ark").write_bytes((tmp_path / "good.ark").read_bytes()[:30])
    with pytest.raises(UserError, match="cannot read utterance a"):
        load_log_probs(tmp_path / "good.scp", num_tokens=3)


def test_commands_in_place_of_files_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good", {"a": np.zeros((4, 3))})
    for place in ("cat good.ark; touch x |", "cat good.ark; touch x|", "| touch x"):
        (tmp_path / "bad.scp").write_text(f"a {place}\n")
        with pytest.raises(UserError, match="utterance a is the output of a command, which is not run"):
            load_log_probs(tmp_path / "bad.scp", num_tokens=3)
    assert not (tmp_path / "x").exists()


def test_the_prior_is_the_mean_posterior(tmp_path):
    matrices = [np.random.default_rng(0).normal(scale=9, size=(frames, 3)) for frames in (5, 0, 7)]
    matrices = [matrix - np.log(np.exp(matrix).sum(1, keepdims=True)) for matrix in matrices]
    write_prior(tmp_path / "dev.prior", (matrix.astype(np.float32) for matrix in matrices), ["<blk>", "A", "B"])
    expected = np.log(np.exp(np.concatenate(matrices)).mean(0))
    np.testing.assert_allclose(read_prior(tmp_path / "dev.prior", ["<blk>", "A", "B"]), expected, atol=1e-5)
    offsets = log_prob_offsets(["<blk>", "A", "B"], 0.5, tmp_path / "dev.prior", 0.3)
    np.testing.assert_allclose(offsets, [-0.5, 0, 0] - 0.3 * expected, atol=1e-5)
    assert log_prob_offsets(["<blk>", "A"], 2, None, 0).tolist() == [-2, 0]
    with pytest.raises(UserError, match="a prior scale of 0.3 needs a prior"):
        log_prob_offsets(["<blk>", "A"], 0, None, 0.3)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("<blk> -0.1\nA", "expected `token log-prior` on each line"),
        ("<blk> -0.1\nA much", "expected `token log-prior` on each line"),
        ("<blk> -0.1\nB -2", "lacks a finite log-prior of each of the 2 tokens"),
        ("<blk> -0.1\nA -inf", "lacks a finite log-prior of each of the 2 tokens"),
    ],
)
def test_a_prior_of_another_model_or_damaged_is_refused(tmp_path, lines, problem):
    (tmp_path / "dev.prior").write_text(lines)
    with pytest.raises(UserError, match=problem):
        read_prior(tmp_path / "dev.prior", ["<blk>", "A"])
