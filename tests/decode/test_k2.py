"""The k2 tests, in the interpreter of k2, and the road from text to a WER table through every verb."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from limits import small_disk, with_mounts
from transcripts import write_transcripts

from mt4ssl.lang.tokens import Tokens

ROOT = Path(__file__).parents[2]
SENTENCES = ["THE CAT SAT ON THE MAT", "A DOG SAT ON A CAT", "THE DOG ATE THE MAT", "A CAT ATE"] * 5


def verb(python, name, *arguments):
    command = [str(python), "-m", f"mt4ssl.bin.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def run(*call):
    done = verb(*call)
    assert done.returncode == 0, done.stderr
    return done.stdout


def emission(tokens: Tokens, text: str) -> np.ndarray:
    """Log-probabilities (T, V) that say `text`, a blank after each token."""
    frames = [frame for token in tokens.encode(text, "test") for frame in (token, 0)]
    logits = np.full((len(frames), len(tokens)), -4, dtype=np.float32)
    logits[np.arange(len(frames)), frames] = 4
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_graphs_and_search_in_the_interpreter_of_k2(k2_python):
    tests = Path(__file__).parent / "k2"
    # Settings of the main environment (plugins, options) are not for that interpreter.
    command = [
        k2_python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(tests),
        "--confcutdir",
        str(tests),
        "--import-mode=importlib",
        str(tests),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}  # what tests share
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def road(k2_python, tmp_path_factory):
    """A directory with spaces: lang, lm, graphs, and log-probs of the sentences and one empty utterance."""
    return make_road(tmp_path_factory.mktemp("a road"), k2_python, SENTENCES)


def make_road(root, k2_python, sentences, *options):
    (root / "lm.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    write_transcripts(root / "sup.jsonl.gz", sentences)
    run(
        sys.executable,
        "prepare_lang",
        "--supervisions",
        root / "sup.jsonl.gz",
        "--lm-text",
        root / "lm.txt",
        "--out",
        root / "lang",
        *options,
    )
    for order in (3, 4):
        run(
            sys.executable,
            "train_lm",
            "--text",
            root / "lm.txt",
            "--words",
            root / "lang/words.txt",
            "--order",
            order,
            "--out",
            root / f"lm/{order}gram.arpa",
        )
    run(k2_python, "compile_graph", "--lang", root / "lang", "--lm", root / "lm")
    tokens = Tokens(root / "lang")
    utterances = {f"u{i}": text for i, text in enumerate(sentences[:4])}
    with kaldiio.WriteHelper(f"ark,scp:{root}/dev.ark,{root}/dev.scp") as writer:
        for name, text in utterances.items():
            writer(name, emission(tokens, text))
        writer("nothing", np.zeros((0, len(tokens)), np.float32))
    references = "".join(f"{name} {text}\n" for name, text in utterances.items()) + "nothing\n"
    (root / "dev.text").write_text(references, encoding="utf-8")
    return root


METHODS = {"1best": [], "whole-lattice-rescoring": ["--rescore-with", "lm/G_4_gram.pt"]}


@pytest.mark.parametrize("method", METHODS)
def test_every_word_of_clear_speech_is_found(road, k2_python, method):
    out = road / method
    rescore = [road / argument if argument.endswith(".pt") else argument for argument in METHODS[method]]
    decode = [
        k2_python,
        "decode",
        "--log-probs",
        road / "dev.scp",
        "--lang",
        road / "lang",
        "--method",
        method,
        *rescore,
        "--split",
        "dev",
        "--out",
        out,
    ]
    done = verb(*decode, "--lm-scales", "0.5", "1.0", "--word-scores", "0")
    assert done.returncode == 0 and "no path was found for: nothing" in done.stderr
    table = run(sys.executable, "score", "--ref", road / "dev.text", "--split", "dev", "--out", out)
    assert "best" in table and "The best lies on the edge" in table
    result = json.loads((out / "wer-dev.json").read_text())
    assert result["best"] == "lm_scale_0.5" and result["results"]["lm_scale_0.5"]["wer"] == 0
    assert result["results"]["lm_scale_0.5"]["words"] == 20
    for kind in ("hyps", "recogs", "errs"):
        assert {path.name for path in out.glob(f"{kind}-*")} == {f"{kind}-dev-lm_scale_{s}.txt" for s in (0.5, 1.0)}
    assert "nothing\n" in (out / "hyps-dev-lm_scale_0.5.txt").read_text()

    done = verb(*decode, "--weights-from", out / "wer-dev.json", "--lm-scales", "0.7", "1.0")  # as --decode-args has it
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.glob("hyps-*")] == ["hyps-dev-lm_scale_0.5.txt"]


def test_weights_are_searched_for_beyond_the_grid(road, k2_python, tmp_path):
    """In MAT, C is likelier than M, the more so the more LM it takes to put that right: 0.3, 0.4 and 0.5 of it."""
    tokens = Tokens(road / "lang")
    (_, m, *_), (_, c, *_) = tokens.encode("MAT", "test"), tokens.encode("CAT", "test")
    with kaldiio.WriteHelper(f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp") as writer:
        for margin in (1.3, 1.9, 2.45):
            log_probs = emission(tokens, "THE CAT SAT ON THE CAT")
            log_probs[-6, m] = log_probs[-6, c] - margin
            writer(f"by_{margin}", log_probs)
    (tmp_path / "x.text").write_text(
        "".join(f"by_{margin} THE CAT SAT ON THE MAT\n" for margin in (1.3, 1.9, 2.45)), encoding="utf-8"
    )

    def decode_and_score(name, *options):
        """The best settings, the errors of all, whether the score table says that the best is on the edge."""
        inputs = ["--log-probs", tmp_path / "x.scp", "--lang", road / "lang", "--word-scores", "0"]
        outputs = ["--split", "x", "--out", tmp_path / name]
        decoded = run(k2_python, "decode", *inputs, *outputs, "--lm-scales", *options)
        scored = run(sys.executable, "score", "--ref", tmp_path / "x.text", *outputs)
        scores = json.loads((tmp_path / name / "wer-x.json").read_text())
        errors = {key: result["sub"] for key, result in scores["results"].items()}
        return scores["best"], errors, "The best lies on the edge" in scored, decoded.split()[-1]

    expected = {
        f"lm_scale_{scale}": errors for scale, errors in zip((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (3, 3, 2, 1, 0, 0))
    }
    assert decode_and_score("all", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6) == ("lm_scale_0.5", expected, False, "0")
    few = dict(list(expected.items())[:3])
    assert decode_and_score("few", 0.1, 0.2, 0.3) == ("lm_scale_0.3", few, True, "0")
    # In two processes, a batch for each utterance; the table of decoding ends with how many were tried beyond the grid.
    more = ["--ref", tmp_path / "x.text", "--nj", 2, "--max-frames", 1]
    assert decode_and_score("more", 0.1, 0.2, 0.3, *more) == ("lm_scale_0.5", expected, False, "3")


def test_a_prior_gives_rare_tokens_what_they_lack(road, k2_python, tmp_path):
    """C is likelier than M by 2.45 nats, and e to the 3 times as frequent."""
    tokens = Tokens(road / "lang")
    (_, m, *_), (_, c, *_) = tokens.encode("MAT", "test"), tokens.encode("CAT", "test")
    log_probs = emission(tokens, "THE CAT SAT ON THE CAT")
    log_probs[-6, m] = log_probs[-6, c] - 2.45
    with kaldiio.WriteHelper(f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp") as writer:
        writer("x", log_probs)
    lines = [f"{symbol} {-4 if number == m else -1}\n" for number, symbol in enumerate(tokens.symbols)]
    (tmp_path / "x.prior").write_text("".join(lines), encoding="utf-8")
    inputs = ["--log-probs", tmp_path / "x.scp", "--prior", tmp_path / "x.prior", "--lang", road / "lang"]
    for scale, word in [(0, "CAT"), (1, "MAT")]:
        weights = ["--prior-scale", scale, "--lm-scales", 0.1, "--word-scores", 0]
        run(k2_python, "decode", *inputs, *weights, "--split", "x", "--out", tmp_path / word)
        assert (tmp_path / word / "hyps-x-lm_scale_0.1.txt").read_text() == f"x THE CAT SAT ON THE {word}\n"


def test_errors_are_one_line(road, k2_python, tmp_path):
    decode = [k2_python, "decode", "--lang", road / "lang", "--split", "dev", "--out", tmp_path]
    with kaldiio.WriteHelper(f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp") as writer:
        writer("wide", np.zeros((3, 99), np.float32))
    (tmp_path / "one.text").write_text("u0 A CAT\n")
    for arguments, said in [
        ([*decode, "--log-probs", tmp_path / "no.scp"], "no.scp is missing"),
        ([*decode, "--log-probs", tmp_path / "x.scp"], "utterance wide has shape (3, 99)"),
        ([*decode, "--log-probs", road / "dev.scp", "--prior", tmp_path / "dev.prior"], "dev.prior is missing"),
        (
            [k2_python, "compile_graph", "--lang", road / "lang", "--lm", tmp_path],
            "G_3_gram.fst.txt is missing",
        ),
        (
            [*decode, "--log-probs", road / "dev.scp", "--ref", tmp_path / "one.text"],
            "4 utterances are not in the reference: nothing u1 u2 u3",
        ),
    ]:
        done = verb(*arguments)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("full", ["lattices", "hypotheses"])
@with_mounts
def test_a_full_disk_is_one_line_and_what_was_there_stays(road, k2_python, tmp_path, monkeypatch, full):
    """The disk of $TMPDIR, to which the lattices go, or of the hypotheses, whose third file does not fit."""
    folder = tmp_path / full
    for name in ("lattices", "hypotheses"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "lattices"))
    inputs = ["--log-probs", road / "dev.scp", "--lang", road / "lang", "--lm-scales", "0.5"]
    with small_disk(folder, 12_288):
        before = folder / "hyps-dev-lm_scale_9.0.txt"
        before.write_text("of another scale\n")
        done = verb(k2_python, "decode", *inputs, "--split", "dev", "--out", tmp_path / "hypotheses")
        files = {path.name for path in folder.iterdir()}
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {folder}/")
    assert "cannot be written (No space left on device): make room, and run it again" in done.stderr
    others = {f"hyps-dev-lm_scale_0.5{end}.txt" for end in ("_word_score_-1.0", "")} if full == "hypotheses" else set()
    assert files == {before.name} | others


def test_characters_as_words(k2_python, tmp_path):
    sentences = ["你 好 世 界", "世 界 你 好 好", "天 天 向 上", "क् ष हि न्"] * 5
    root, out = make_road(tmp_path, k2_python, sentences, "--words", "characters"), tmp_path / "1best"
    weights = ["--lm-scales", "0.5", "--word-scores", "0"]
    run(
        k2_python,
        "decode",
        "--log-probs",
        root / "dev.scp",
        "--lang",
        root / "lang",
        "--split",
        "dev",
        "--out",
        out,
        *weights,
    )
    table = run(
        sys.executable, "score", "--words", "characters", "--ref", root / "dev.text", "--split", "dev", "--out", out
    )
    assert "CER of dev" in table and "WER" not in table
    scores = json.loads((out / "wer-dev.json").read_text())
    result = scores["results"][scores["best"]]
    assert (scores["rate"], result["wer"], result["words"]) == ("CER", 0, 17)
