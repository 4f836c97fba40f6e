"""The files in icefall's layout, line by line, and the verb that writes them."""

import json
import re
import subprocess
import sys

from mt4ssl.scoring.icefall import align, describe, errs_lines, recogs_lines, summary_lines
from mt4ssl.scoring.wer import score

REF = {
    "u2": "THE ASSOCIATION OF EDISON COMPANIES".split(),
    "u1": "FOR THE FIRST DAY SIR I THINK".split(),
    "u3": [],
}
HYP = {
    "u2": "THE ASSOCIATION OF ADDISON COMPANIES".split(),
    "u1": "FOR THE FIRST DAY I THINK SO".split(),
    "u3": [],
}


def test_describe():
    assert describe(align(REF["u2"], HYP["u2"])) == "THE ASSOCIATION OF (EDISON->ADDISON) COMPANIES"
    assert describe(align(REF["u1"], HYP["u1"])) == "FOR THE FIRST DAY (SIR->*) I THINK (*->SO)"
    assert describe(align("A B C D".split(), "A X Y D".split())) == "A (B C->X Y) D"
    assert describe(align([], [])) == ""


def test_recogs():
    assert recogs_lines({"u": ["A", "B"]}, {"u": []}) == ["u:\tref=['A', 'B']", "u:\thyp=[]"]


def test_errs():
    lines = errs_lines(REF, HYP, score(REF, HYP))
    assert lines == [
        "%WER = 25.00",
        "Errors: 1 insertions, 1 deletions, 1 substitutions, over 12 reference words (10 correct)",
        (
            "Search below for sections starting with "
            "PER-UTT DETAILS:, SUBSTITUTIONS:, DELETIONS:, INSERTIONS:, PER-WORD STATS:"
        ),
        "",
        "PER-UTT DETAILS: corr or (ref->hyp)  ",
        "u1:\tFOR THE FIRST DAY (SIR->*) I THINK (*->SO)",
        "u2:\tTHE ASSOCIATION OF (EDISON->ADDISON) COMPANIES",
        "u3:\t",
        "",
        "SUBSTITUTIONS: count ref -> hyp",
        "1   EDISON -> ADDISON",
        "",
        "DELETIONS: count ref",
        "1   SIR",
        "",
        "INSERTIONS: count hyp",
        "1   SO",
        "",
        "PER-WORD STATS: word  corr tot_errs count_in_ref count_in_hyp",
        "ADDISON   0 1 0 1",
        "EDISON   0 1 1 0",
        "SIR   0 1 1 0",
        "SO   0 1 0 1",
        "ASSOCIATION   1 0 1 1",
        "COMPANIES   1 0 1 1",
        "DAY   1 0 1 1",
        "FIRST   1 0 1 1",
        "FOR   1 0 1 1",
        "I   1 0 1 1",
        "OF   1 0 1 1",
        "THE   2 0 2 2",
        "THINK   1 0 1 1",
    ]


def test_summary():
    rate = score(REF, HYP)
    assert summary_lines({"lm_scale_0.5": rate}) == ["settings\tWER", "lm_scale_0.5\t25.00"]


def run_score(out, ref, split="dev"):
    command = [sys.executable, "-m", "mt4ssl.bin.score", "--ref", ref, "--split", split, "--out", out]
    return subprocess.run(command, capture_output=True, text=True)


def test_each_result_has_its_own_files_and_the_best_is_marked(tmp_path):
    out = tmp_path / "1best"
    out.mkdir()
    (tmp_path / "ref").write_text("a THE CAT\nb SAT\n")
    (out / "hyps-dev-lm_scale_0.1.txt").write_text("a THE\nb SAT\n")
    (out / "hyps-dev-lm_scale_0.5.txt").write_text("a THE CAT\nb SAT\n")
    (out / "hyps-dev-clean-lm_scale_0.5.txt").write_text("c OF ANOTHER SPLIT\n")
    done = run_score(out, tmp_path / "ref")
    assert done.returncode == 0, done.stderr
    assert re.search(r"lm_scale_0.5 +0.00 .*best\n", done.stdout)
    assert (out / "wer-summary-dev.txt").read_text() == "settings\tWER\nlm_scale_0.5\t0.00\nlm_scale_0.1\t33.33\n"
    for key, wer in (("0.1", "33.33"), ("0.5", "0.00")):
        assert (out / f"errs-dev-lm_scale_{key}.txt").read_text().startswith(f"%WER = {wer}\n")
        assert (out / f"recogs-dev-lm_scale_{key}.txt").exists()
    scores = json.loads((out / "wer-dev.json").read_text())
    assert scores["best"] == "lm_scale_0.5" and set(scores["results"]) == {"lm_scale_0.1", "lm_scale_0.5"}
    assert scores["results"]["lm_scale_0.1"]["del"] == 1


def test_a_single_result_is_named_after_its_directory(tmp_path):
    out = tmp_path / "ctc-greedy-search"
    out.mkdir()
    (tmp_path / "ref").write_text("a THE CAT\n")
    (out / "hyps-dev.txt").write_text("a\n")
    assert run_score(out, tmp_path / "ref").returncode == 0
    assert json.loads((out / "wer-dev.json").read_text())["best"] == "ctc-greedy-search"
    assert (out / "errs-dev-ctc-greedy-search.txt").exists()


def test_errors_are_one_line(tmp_path):
    (tmp_path / "ref").write_text("a THE CAT\nb SAT\n")
    (tmp_path / "twice").write_text("a THE CAT\na SAT\n")
    (tmp_path / "hyps-dev.txt").write_text("a THE CAT\n")
    for ref, split, said in [
        ("ref", "dev", "1 utterances are not in"),
        ("ref", "test", "has no hyps-test"),
        ("twice", "dev", "line 2: utterance a is there twice"),
        ("no", "dev", "is missing"),
    ]:
        done = run_score(tmp_path, tmp_path / ref, split)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
