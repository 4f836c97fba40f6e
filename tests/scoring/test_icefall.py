"""The files in icefall's layout, line by line, and the verb that writes them."""

import json
import re
import subprocess
import sys

import jiwer
import pytest

from mt4ssl.results import best_wer
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


def test_a_star_is_a_word():
    ref, hyp = {"u": "A * B".split()}, {"u": "A C B *".split()}
    lines = errs_lines(ref, hyp, score(ref, hyp))
    assert lines[1] == "Errors: 1 insertions, 0 deletions, 1 substitutions, over 3 reference words (2 correct)"
    assert lines[5:-5] == [
        "u:\tA (*->C) B (*->*)",
        "",
        "SUBSTITUTIONS: count ref -> hyp",
        "1   * -> C",
        "",
        "DELETIONS: count ref",
        "",
        "INSERTIONS: count hyp",
        "1   *",
        "",
    ]
    assert lines[-4:] == ["*   0 2 1 1", "C   0 1 0 1", "A   1 0 1 1", "B   1 0 1 1"]


def test_summary():
    rate = score(REF, HYP)
    assert summary_lines({"lm_scale_0.5": rate}) == ["settings\tWER", "lm_scale_0.5\t25.00"]


def run_score(out, ref, split="dev", *options):
    command = [sys.executable, "-m", "mt4ssl.bin.score", "--ref", ref, "--split", split, "--out", out, *options]
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


def test_errors_in_characters_are_called_cer(tmp_path):
    """The rate is that of jiwer in the text without spaces."""
    ref, hyp = {"a": "你好世界", "b": "天天向上吧"}, {"a": "你好世", "b": "天向下吧啊"}
    for name, texts in (("ref", ref), ("hyps-dev.txt", hyp)):
        lines = "".join(f"{utterance} {' '.join(text)}\n" for utterance, text in texts.items())
        (tmp_path / name).write_text(lines, encoding="utf-8")
    done = run_score(tmp_path, tmp_path / "ref", "dev", "--words", "characters")
    assert done.returncode == 0 and "WER" not in done.stdout and f"CER of dev in {tmp_path}" in done.stdout
    scores = json.loads((tmp_path / "wer-dev.json").read_text())
    rate = scores["results"][scores["best"]]
    assert scores["rate"] == "CER" and rate["wer"] == rate["cer"] == pytest.approx(
        100 * jiwer.cer([*ref.values()], [*hyp.values()])
    )
    for kind in ("errs", "recogs"):
        assert "WER" not in (tmp_path / f"{kind}-dev-{tmp_path.name}.txt").read_text(encoding="utf-8")
    assert (tmp_path / "wer-summary-dev.txt").read_text().startswith("settings\tCER\n")


def test_a_rate_without_an_interval(tmp_path):
    (tmp_path / "ref").write_text("a THE CAT\n" + "".join(f"b{number}\n" for number in range(9)))
    (tmp_path / "hyps-dev.txt").write_text("a THE\n" + "".join(f"b{number}\n" for number in range(9)))
    done = run_score(tmp_path, tmp_path / "ref")
    assert done.returncode == 0 and re.search(r" 50.00 +- ", done.stdout), done.stderr
    assert "NaN" not in (tmp_path / "wer-dev.json").read_text()
    assert best_wer(tmp_path / "wer-dev.json") == "50.00"


def test_right_to_left_text_keeps_its_order(tmp_path):
    (tmp_path / "ref").write_text("a שלום עולם\nb سلام دنیا\n", encoding="utf-8")
    (tmp_path / "hyps-dev.txt").write_text("a שלום רב\nb سلام دنیا\n", encoding="utf-8")
    assert run_score(tmp_path, tmp_path / "ref").returncode == 0
    errs = (tmp_path / f"errs-dev-{tmp_path.name}.txt").read_text(encoding="utf-8")
    assert "%WER = 25.00" in errs and "a:\tשלום (עולם->רב)\n" in errs and "1   עולם -> רב\n" in errs
    assert "ref=['سلام', 'دنیا']" in (tmp_path / f"recogs-dev-{tmp_path.name}.txt").read_text(encoding="utf-8")


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
