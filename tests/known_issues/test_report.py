"""A model that lacked one score was left out of RESULTS.md, without a word."""

import json
import shutil
from pathlib import Path

import pytest

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
