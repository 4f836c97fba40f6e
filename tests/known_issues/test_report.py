"""A model that lacked one score was left out of RESULTS.md, without a word."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mt4ssl.inference.card import model_card
from mt4ssl.results import METHODS
from mt4ssl.scoring.report import missing_scores, scored_models, wer_table

GREEDY, HLG, *LATER = METHODS


@pytest.fixture
def finetune(tmp_path: Path) -> Path:
    """One model with every score, one without those of the later methods, and one without any."""
    for model, methods in (("whole", METHODS), ("old", [GREEDY, HLG]), ("unscored", [])):
        (tmp_path / model).mkdir()
        (tmp_path / model / "final.pt").touch()
        for method in methods:
            (tmp_path / model / method).mkdir()
            scores = {"best": "a", "note": "", "results": {"a": {"wer": 30.0, "ci95": [29.0, 31.0]}}}
            (tmp_path / model / method / "wer-test.json").write_text(json.dumps(scores))
    return tmp_path


def test_a_model_without_one_score_is_in_the_table(finetune):
    assert scored_models(finetune, ["test"]) == ["old", "whole"]
    (old,) = (row for row in wer_table(finetune, ["old", "whole"], ["test"]).splitlines() if row.startswith("| old"))
    assert old == "| old | test | " + " | ".join(["30.00 (29.00 - 31.00)"] * 2 + ["-"] * len(LATER)) + " |"


def test_what_is_missing_is_named_with_its_stage(finetune):
    expected = [f"`old` has no score of test by {METHODS[method]}: stage 10 (decode) makes it." for method in LATER]
    expected.append("`unscored` is trained and has no score yet: stages 9 (emit) and 10 (decode) make them.")
    assert missing_scores(finetune, ["test"]) == expected
    (finetune / "whole" / GREEDY / "wer-test.json").unlink()
    assert missing_scores(finetune, ["test"])[-1] == "`whole` has no score of test by greedy: stage 9 (emit) makes it."


def test_a_new_method_hides_no_older_model(finetune, monkeypatch):
    monkeypatch.setitem(METHODS, "new-method", "new")
    assert "new" not in " ".join(missing_scores(finetune, ["test"]))  # no model has it, so no recipe wants it
    shutil.copytree(finetune / "old" / HLG, finetune / "old/new-method")
    assert scored_models(finetune, ["test"]) == ["old", "whole"]
    assert "`whole` has no score of test by new: stage 10 (decode) makes it." in missing_scores(finetune, ["test"])


def emit_and_score(model: Path, prior: str, methods: list[str]) -> None:
    """What stages 9 and 10 do for a model with one hypothesis, by some searches."""
    (model / "log_probs").mkdir(parents=True, exist_ok=True)
    (model / "final.pt").touch()
    (model / "log_probs/test.prior").write_text(prior)
    (model / "log_probs/test.text").write_text("u THE CAT\n")
    for method in methods:
        (model / method).mkdir(exist_ok=True)
        (model / method / "hyps-test.txt").write_text("u THE\n")
        command = [sys.executable, "-m", "mt4ssl.bin.score", "--ref", model / "log_probs/test.text", "--split", "test"]
        subprocess.run([*command, "--out", model / method], check=True, capture_output=True)


def test_a_score_of_older_log_probs_is_left_out(tmp_path):
    """RESULTS.md had the rescoring of a run with another --avg in the row of the scores of a run without rescoring."""
    emit_and_score(tmp_path / "run/m", "<blk> -0.1\n", list(METHODS))
    emit_and_score(tmp_path / "run/m", "<blk> -0.2\n", [GREEDY, HLG])
    finetune = shutil.copytree(tmp_path / "run", tmp_path / "copy", copy_function=shutil.copyfile)  # other times
    score = "50.00 (50.00 - 50.00)"
    assert wer_table(finetune, ["m"], ["test"]).splitlines()[-1] == f"| m | test | {score} | {score} |"
    (name,) = (METHODS[method] for method in LATER)
    why = f"The score of `m` of test by {name} is of other log-probs than it has now, and left out"
    assert missing_scores(finetune, ["test"]) == [f"{why}: stage 10 (decode) makes a new one."]
    card = model_card(finetune / "m", {}, "ctc", "mt4ssl")
    assert name not in card and METHODS[HLG] in card
    shutil.rmtree(finetune / "m/log_probs")  # nothing is known: they are taken as they are
    assert name in wer_table(finetune, ["m"], ["test"])
