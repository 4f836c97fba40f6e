"""RESULTS.md says what the stages wrote."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mt4ssl.results import METHODS
from mt4ssl.scoring.report import (
    duration_table,
    label_table,
    layer_tables,
    lm_table,
    plot_curves,
    scored_models,
    training_tables,
    wer_table,
)

SCORES = {"best": "a", "note": "half of it", "results": {"a": {"wer": 1.0, "ci95": [0, 2]}}}


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_wer_table(tmp_path):
    for number, method in enumerate(METHODS):
        (tmp_path / "m" / method).mkdir(parents=True)
        result = {"wer": 10.0 + number, "ci95": [9.0 + number, 11.25 + number]}
        scores = {"best": "b", "results": {"a": {"wer": 1.0, "ci95": [0, 2]}, "b": result}}
        (tmp_path / "m" / method / "wer-test.json").write_text(json.dumps(scores))
    last = wer_table(tmp_path, ["m"], ["test"]).splitlines()[-1]
    assert last == "| m | test | 10.00 (9.00 - 11.25) | 11.00 (10.00 - 12.25) | 12.00 (11.00 - 13.25) |"


def test_every_scored_model_is_reported(tmp_path):
    for model, methods in (("all", METHODS), ("1h", METHODS), ("unscored", [])):
        for method in methods:
            write_json(tmp_path / model / method / "wer-test.json", SCORES)
        (tmp_path / model).mkdir(exist_ok=True)
        (tmp_path / model / "final.pt").touch()
    assert scored_models(tmp_path, ["test"]) == ["1h", "all"]


@pytest.fixture
def online_only(tmp_path: Path) -> Path:
    """An experiment whose pre-training had no K-means labels."""
    for folder in ("pretrain/online", "finetune/online"):
        write_json(tmp_path / folder / "config.yaml", {})
        lines = [json.dumps({"step": 1, "split": split, "loss": 1.5}) for split in ("train", "dev")]
        (tmp_path / folder / "log.jsonl").write_text("\n".join(lines))
        (tmp_path / folder / "final.pt").touch()
    write_json(tmp_path / "perplexity.json", {"test": {"words": 100}})
    (tmp_path / "log").mkdir()
    (tmp_path / "log/durations.tsv").write_text("5\tpretrain\t240.5\n")
    return tmp_path


def report(exp: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mt4ssl.bin.report", "--exp-dir", str(exp), "--out", str(exp / "RESULTS.md")]
    command += ["--lm-scores", str(exp / "perplexity.json")]
    return subprocess.run(command, capture_output=True, text=True)


def test_without_kmeans_there_is_no_section_on_labels(online_only):
    for method in METHODS:
        write_json(online_only / "finetune/online" / method / "wer-test.json", SCORES)
    assert report(online_only).returncode == 0
    text = (online_only / "RESULTS.md").read_text()
    assert "Label quality" not in text and "half of it" in text and "## WER" in text
    write_json(online_only / "kmeans/iter1/quality.json", {"frames": 7})
    assert report(online_only).returncode == 0
    assert "| iter1 | unknown | 7 |" in (online_only / "RESULTS.md").read_text()


def test_rates_of_characters_are_called_cer(online_only):
    for method in METHODS:
        write_json(online_only / "finetune/online" / method / "wer-test.json", {**SCORES, "rate": "CER"})
    done = report(online_only)
    assert done.returncode == 0, done.stderr
    text = (online_only / "RESULTS.md").read_text()
    assert "## CER" in text and "## WER" not in text


def test_no_scored_model_is_an_error(online_only):
    result = report(online_only)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "no model scored on test: run stages 8 to 10" in result.stderr


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
    assert "| iter1 | unknown | 10 | 0.5123 |" in label_table(tmp_path)
    aligned = {"frames": 10, "phone_purity": 0.61, "pnmi": 0.4}
    (tmp_path / "iter1" / "quality_aligned.json").write_text(json.dumps(aligned))
    assert label_table(tmp_path).splitlines() == [
        "| K-means | phones | frames | phone purity | pnmi |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| iter1 | unknown | 10 | - | 0.5123 |",
        "| iter1 | of forced alignment | 10 | 0.61 | 0.4 |",
    ]
    (tmp_path / "durations.tsv").write_text("5\tpretrain\t240.5\n")
    assert "| 5 | pretrain | 240.5 |" in duration_table(tmp_path / "durations.tsv")


def test_layers_of_each_probed_model(tmp_path):
    assert layer_tables(tmp_path / "probe", tmp_path / "plots") == []
    layers = [
        {
            "layer": 0,
            "accuracy": 0.51234,
            "abx_within": 0.125,
            "abx_across": 0.25,
            "pnmi": 0.3,
            "effective_rank": 12.345,
        },
        {"layer": 1, "accuracy": None, "abx_within": 0.5, "abx_across": None, "pnmi": 0.4, "effective_rank": 9.0},
    ]
    counts = {"frames": 100, "speakers": 6, "phones": 40}
    probe = {"model": "exp/pretrain/m", "cuts": "data/dev.jsonl.gz", **counts, "layers": layers}
    write_json(tmp_path / "probe/m/probe.json", probe)
    about, table, plot = layer_tables(tmp_path / "probe", tmp_path / "plots")
    assert about == "`exp/pretrain/m` on 100 frames of `data/dev.jsonl.gz`, with 40 phones and 6 speakers:"
    assert table.splitlines() == [
        "| layer | phone accuracy | ABX within speakers | ABX across speakers | PNMI | effective rank |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| 0 | 0.5123 | 0.125 | 0.25 | 0.3 | 12.35 |",
        "| 1 | - | 0.5 | - | 0.4 | 9 |",
    ]
    assert plot == "![layers-m](plots/layers-m.png)"
    assert (tmp_path / "plots/layers-m.png").read_bytes().startswith(b"\x89PNG")


def test_language_models(tmp_path):
    scores = {"words": 100, "OOV %": 2.0, "perplexity, 3gram": 340.25}
    (tmp_path / "perplexity.json").write_text(json.dumps({"dev": scores, "test": scores}))
    lines = lm_table(tmp_path / "perplexity.json").splitlines()
    assert lines[0] == "| set | words | OOV % | perplexity, 3gram |"
    assert lines[2:] == ["| dev | 100 | 2.00 | 340.25 |", "| test | 100 | 2.00 | 340.25 |"]
