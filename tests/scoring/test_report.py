"""RESULTS.md says what the stages wrote."""

import json

import pytest

from mt4ssl.errors import UserError
from mt4ssl.results import METHODS
from mt4ssl.scoring.report import (
    duration_table,
    label_table,
    lm_table,
    plot_curves,
    scored_models,
    set_notes,
    training_tables,
    wer_table,
)


def test_wer_table(tmp_path):
    for number, method in enumerate(METHODS):
        (tmp_path / "m" / method).mkdir(parents=True)
        result = {"wer": 10.0 + number, "ci95": [9.0 + number, 11.25 + number]}
        scores = {"best": "b", "results": {"a": {"wer": 1.0, "ci95": [0, 2]}, "b": result}}
        (tmp_path / "m" / method / "wer-test.json").write_text(json.dumps(scores))
    last = wer_table(tmp_path, ["m"], ["test"]).splitlines()[-1]
    assert last == "| m | test | 10.00 (9.00 - 11.25) | 11.00 (10.00 - 12.25) | 12.00 (11.00 - 13.25) |"
    with pytest.raises(UserError, match="wer-dev.json is missing"):
        wer_table(tmp_path, ["m"], ["dev"])


def test_every_scored_model_is_reported_with_the_notes_of_its_sets(tmp_path):
    for model, methods in (("all", METHODS), ("1h", METHODS), ("unscored", [])):
        for method in methods:
            (tmp_path / model / method).mkdir(parents=True)
            scores = {"best": "a", "note": "half of it", "results": {"a": {"wer": 1.0, "ci95": [0, 2]}}}
            (tmp_path / model / method / "wer-test.json").write_text(json.dumps(scores))
        (tmp_path / model).mkdir(exist_ok=True)
        (tmp_path / model / "final.pt").touch()
    assert scored_models(tmp_path, ["test"]) == ["1h", "all"]
    assert set_notes(tmp_path, ["1h", "all"], ["test"]) == ["half of it"]


def test_trainings(tmp_path):
    folder = tmp_path / "pretrain" / "x"
    folder.mkdir(parents=True)
    entries = [
        {"step": step, "split": split, "loss": 4.0 / step, "lr": 0.1} for step in (1, 2) for split in ("train", "dev")
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert "| loss | 2 | 2 |" in training_tables([folder])
    assert plot_curves(folder, tmp_path / "plots" / "x.png").read_bytes().startswith(b"\x89PNG")


def test_labels_and_durations(tmp_path):
    (tmp_path / "iter1").mkdir()
    (tmp_path / "iter1" / "quality.json").write_text(json.dumps({"frames": 10, "phone_purity": None, "pnmi": 0.51234}))
    assert "| iter1 | 10 | 0.5123 |" in label_table(tmp_path)
    (tmp_path / "durations.tsv").write_text("5\tpretrain\t240.5\n")
    assert "| 5 | pretrain | 240.5 |" in duration_table(tmp_path / "durations.tsv")


def test_language_models(tmp_path):
    scores = {"words": 100, "OOV %": 2.0, "perplexity, 3gram": 340.25}
    (tmp_path / "perplexity.json").write_text(json.dumps({"dev": scores, "test": scores}))
    lines = lm_table(tmp_path / "perplexity.json").splitlines()
    assert lines[0] == "| set | words | OOV % | perplexity, 3gram |"
    assert lines[2:] == ["| dev | 100 | 2.00 | 340.25 |", "| test | 100 | 2.00 | 340.25 |"]
