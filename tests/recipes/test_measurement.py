"""The tables of egs/mini_librispeech's measurement: made of the results that are kept."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/mini_librispeech"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the recipe's measurement.py, panel.py and results, without the figure."""
    (tmp_path / "local").mkdir()
    for script in ("measurement.py", "panel.py"):
        shutil.copy(RECIPE / "local" / script, tmp_path / "local")
    shutil.copytree(RECIPE / "results", tmp_path / "results", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path


def run(script: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=script.parents[1])


def measurement(recipe: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run(recipe / "local/measurement.py", *arguments)


def tables(recipe: Path, *arguments: str) -> list[str]:
    """Make the tables and the figure; return the lines of the tables."""
    result = measurement(recipe, *arguments)
    assert result.returncode == 0, result.stderr
    assert (recipe / "results/convergence.png").stat().st_size > 10_000
    return result.stdout.splitlines()


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_results_has_the_tables_of_the_kept_results(copy: Path) -> None:
    rows = {line for line in tables(copy) if line.startswith("|")}
    assert len(rows) > 40
    assert rows <= set((ROOT / "RESULTS.md").read_text().splitlines())


def test_every_config_is_named_by_a_row_and_has_its_hash() -> None:
    rows = rows_of(RECIPE / "results/measurement.csv")
    others = [row for name in ("curves", "panel") for row in rows_of(RECIPE / f"results/{name}.csv")]
    named = {row["config_hash"] for row in rows + others}
    named |= {row["pretrain_config_hash"] for row in rows} - {""}
    configs = {path.stem: path for path in (RECIPE / "results/configs").iterdir()}
    assert set(configs) == named
    for name, path in configs.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] == name


def test_a_run_that_is_not_there_has_no_row_and_an_unfinished_curve_neither(copy: Path) -> None:
    path = copy / "results/measurement.csv"
    rows = [row for row in rows_of(path) if row["system"] != "mt4ssl_iter2"]
    rows = [row for row in rows if (row["system"], row["after_updates"]) != ("online", "750")]
    (row,) = (r for r in rows if [*r.values()][:9] == "measure mt4ssl 0 0 3000 3000 1h dev 1best".split())
    row["wer"] = "12.345678"
    write_rows(path, rows)
    lines = tables(copy)
    (hlg,) = (line for line in lines if line.startswith("| HLG, 3-gram | mt4ssl | 0 |"))
    assert hlg.endswith(" 12.35 |")
    assert not any(line.startswith("| mt4ssl_iter2 |") for line in lines)
    curves = {tuple(line.split(" | ")[1:3]) for line in lines if line.startswith(("| greedy |", "| HLG, 3-gram |"))}
    assert ("offline", "0") in curves and ("online", "0") not in curves


def make_training(folder: Path, config: dict, last: int) -> None:
    """A training's config, and a log up to the update `last`."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [
        {"step": last, "split": "train", "loss": 2.5},
        {"step": last, "split": "dev", "loss": 3.5, "0_kmeans": 3.25, "0_kmeans_accuracy": 0.125, "1_teacher": 5.0},
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture
def experiment(copy: Path) -> Path:
    """What run.sh leaves behind of a new seed of mt4ssl and of scratch, the first with the scores of two searches."""
    folder = copy / "exp/measure/mt4ssl-5"
    pretrained = "exp/measure/mt4ssl-5/pretrain/mt4ssl_iter1"
    make_training(copy / pretrained, {"exp_dir": pretrained, "loop": {"seed": 5, "updates": 3000}}, last=3000)
    for model in ("mt4ssl", "scratch"):
        config = {
            "exp_dir": str(folder / "finetune" / model),
            "train_cuts": "data/fbank/mini_librispeech_cuts_train_1h.jsonl.gz",
            "lang": "data/lang_char",
            "pretrained": pretrained,
            "from_scratch": model == "scratch",
            "loop": {"seed": 5, "updates": 1500},
        }
        make_training(folder / f"finetune/{model}_train_1h", config, last=1500)
    (folder / "done").mkdir()
    (folder / "done/08_finetune.mt4ssl_train_1h").write_text("command 'x'\nseconds 100\nout 1 2 x\nseconds 23\n")
    add_scores(folder / "finetune/mt4ssl_train_1h/1best/wer-dev.json", ["lm_scale_0.9_word_score_2.0", "lm_scale_0.5"])
    add_scores(folder / "finetune/mt4ssl_train_1h/ctc-greedy-search/wer-dev.json", ["ctc-greedy-search"])
    add_scores(folder / "finetune/scratch_train_1h/1best/wer-dev.json", ["lm_scale_0.7"])
    return folder


def add_scores(path: Path, settings: list[str], **said: str) -> None:
    """The scores of a search, the first settings the best ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {
        name: {"wer": 50.0 + number, "cer": 20.0, "words": 99, "ci95": [49.0, 51.25]}
        for number, name in enumerate(settings)
    }
    path.write_text(json.dumps({"best": settings[0], "note": "", "results": results, **said}))


def test_a_new_run_is_added_once(copy: Path, experiment: Path) -> None:
    before = rows_of(copy / "results/measurement.csv")
    tables(copy, "add", str(experiment))
    lines = tables(copy, "add", str(experiment))
    assert "| mt4ssl | 5 | 50.00 (49.00 - 51.25) | 50.00 (49.00 - 51.25) | - | - |" in lines
    assert "| mt4ssl | 5 | 3000 |  |  |  | 3.250 |  |  |  |  |" in lines
    rows = rows_of(copy / "results/measurement.csv")
    assert rows[: len(before)] == before
    new = {(row["system"], row["method"]): row for row in rows[len(before) :]}
    assert set(new) == {("mt4ssl", "1best"), ("mt4ssl", "ctc-greedy-search"), ("scratch", "1best")}
    assert len(rows) == len(before) + 3

    hlg, greedy, scratch = new["mt4ssl", "1best"], new["mt4ssl", "ctc-greedy-search"], new["scratch", "1best"]
    columns = "experiment pretrain_seed finetune_seed pretrain_updates after_updates subset split updates wer seconds"
    expected = "measure 5 5 3000 3000 1h dev 1500 50.0 123".split()
    assert [hlg[column] for column in columns.split()] == expected
    assert [(row["lm_scale"], row["word_score"]) for row in (hlg, greedy, scratch)] == [
        ("0.9", "2.0"),
        ("", ""),
        ("0.7", "0.0"),
    ]
    assert [scratch[name] for name in ("pretrain_seed", "pretrain_updates", "pretrain_config_hash", "seconds")] == [
        ""
    ] * 4
    kept = yaml.safe_load((copy / f"results/configs/{hlg['config_hash']}.yaml").read_text())
    assert kept == {"from_scratch": False, "loop": {"updates": 1500}}  # without folders and seed


def test_a_run_takes_the_place_of_an_older_one(copy: Path, experiment: Path) -> None:
    tables(copy, "add", str(experiment))
    (old,) = (row["config_hash"] for row in rows_of(copy / "results/curves.csv") if row["seed"] == "5")
    config = {"exp_dir": "x", "loop": {"seed": 5, "updates": 6000}}
    (experiment / "pretrain/mt4ssl_iter1/config.yaml").write_text(yaml.safe_dump(config))
    lines = tables(copy, "add", str(experiment))  # now it ended after half of its updates
    assert "| mt4ssl | 5 | 6000 |  |  |  | 3.250 |  |  |  |  |" in lines
    assert not any(line.startswith("| mt4ssl | 5 | 50.00") for line in lines)
    assert not (copy / f"results/configs/{old}.yaml").exists()


def test_a_fine_tuning_names_the_pretraining_of_another_experiment(copy: Path) -> None:
    pretrained = "exp/panel/some-3/pretrain/mt4ssl_iter1"
    make_training(copy / pretrained, {"exp_dir": pretrained, "loop": {"seed": 3, "updates": 2000}}, last=2000)
    config = {
        "train_cuts": "train_1h.jsonl.gz",
        "lang": "data/lang_char",
        "pretrained": pretrained,
        "from_scratch": False,
        "loop": {"seed": 1, "updates": 1500},
    }
    folder = copy / "exp/panel_wer/some-3-1"
    make_training(folder / "finetune/mt4ssl_iter1_train_1h", config, last=1500)
    add_scores(folder / "finetune/mt4ssl_iter1_train_1h/1best/wer-dev.json", ["lm_scale_0.7"])
    tables(copy, "add", str(folder))
    row = rows_of(copy / "results/measurement.csv")[-1]
    columns = "experiment system pretrain_seed finetune_seed pretrain_updates".split()
    assert [row[column] for column in columns] == ["panel_wer", "some", "3", "1", "2000"]


def test_a_run_of_phones_stands_beside_that_of_characters(copy: Path) -> None:
    folder = copy / "exp/run/mt4ssl-0"
    pretrained = folder / "pretrain/mt4ssl_iter1"
    make_training(pretrained, {"exp_dir": "x", "loop": {"seed": 0, "updates": 3000}}, last=3000)
    config = {
        "train_cuts": "train_all.jsonl.gz",
        "lang": "data/lang_phone",
        "pretrained": str(pretrained),
        "from_scratch": False,
        "loop": {"seed": 0, "updates": 5000},
    }
    make_training(folder / "finetune/mt4ssl_phone", config, last=5000)
    (folder / "done").mkdir()
    (folder / "done/08_finetune.mt4ssl_phone").write_text("command 'x'\nbeside 77\n")
    add_scores(folder / "finetune/mt4ssl_phone/ctc-greedy-search/wer-dev.json", ["ctc-greedy-search"], rate="PER")
    add_scores(folder / "finetune/mt4ssl_phone/1best/wer-dev.json", ["lm_scale_0.7"], rate="WER")
    before, lines = rows_of(copy / "results/measurement.csv"), tables(copy)
    added = set(tables(copy, "add", str(folder))) - set(lines)
    rows = rows_of(copy / "results/measurement.csv")
    assert rows[: len(before)] == before
    columns = "system method rate wer cer seconds".split()
    assert sorted([row[column] for column in columns] for row in rows[len(before) :]) == [
        ["mt4ssl_phone", "1best", "WER", "50.0", "20.0", "77"],
        ["mt4ssl_phone", "ctc-greedy-search", "PER", "50.0", "", "77"],
    ]
    cell = "50.00 (49.00 - 51.25)"
    assert f"| mt4ssl_phone | dev | {cell} PER | {cell} | - | - |" in added


def test_a_run_without_scores_is_an_error_of_one_line(copy: Path, experiment: Path) -> None:
    shutil.rmtree(experiment / "finetune")
    result = measurement(copy, "add", str(experiment))
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "mt4ssl-5 has no finetune/*/*/wer-*.json: run stages 8 to 10" in result.stderr


def make_probe(folder: Path, layers: list[tuple[float, ...]], seed: int) -> Path:
    """What local/panel.sh leaves behind of a system: phone accuracy, ABX errors, PNMI and effective rank of layers."""
    make_training(
        folder / "pretrain/mt4ssl_iter1", {"exp_dir": "x", "loop": {"seed": seed, "updates": 1500}}, last=1500
    )
    names = ("accuracy", "abx_within", "abx_across", "pnmi", "effective_rank")
    measures = [{"layer": number, **dict(zip(names, values))} for number, values in enumerate(layers)]
    (folder / "probe").mkdir()
    (folder / "probe/probe.json").write_text(json.dumps({"layers": measures}))
    return folder


def test_results_has_the_table_of_the_kept_panel(copy: Path) -> None:
    result = run(copy / "local/panel.py")
    rows = result.stdout.splitlines()
    assert result.returncode == 0 and len(rows) > 3
    assert set(rows) <= set((ROOT / "RESULTS.md").read_text().splitlines())


def test_a_probe_is_added_once_and_seeds_are_put_together(copy: Path) -> None:
    first = make_probe(
        copy / "exp/panel/some-7",
        [(0.1, 0.2, 0.4, 0.5, 30), (0.3, 0.3, 0.3, 0.25, 20), (0.2, 0.3, 0.3, 0.3, 10)],
        seed=7,
    )
    second = make_probe(
        copy / "exp/panel/some-8",
        [(0.1, 0.2, 0.4, 0.25, 30), (0.3, 0.3, 0.3, 0.25, 20), (0.5, 0.1, 0.2, 0.3, 12)],
        seed=8,
    )
    before = rows_of(copy / "results/panel.csv")
    for _ in range(2):
        lines = run(copy / "local/panel.py", "add", first, second).stdout.splitlines()
    abx = "15.0 (10.0 - 20.0) | 25.0 (20.0 - 30.0)"
    line = f"| some | 1500 | 2 | 40.0 (30.0 - 50.0) | 1, 2 | {abx} | 0.400 (0.300 - 0.500) | 11 (10 - 12) |"
    assert line in lines
    rows = rows_of(copy / "results/panel.csv")
    assert rows[: len(before)] == before and [row["seed"] for row in rows[len(before) :]] == ["7"] * 3 + ["8"] * 3
    assert (copy / f"results/configs/{rows[-1]['config_hash']}.yaml").exists()


def test_a_panel_without_a_probe_is_an_error_of_one_line(copy: Path) -> None:
    result = run(copy / "local/panel.py", "add", "exp/panel/some-7")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "probe.json is missing: made by local/panel.sh" in result.stderr


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n ").split("|")]


def test_the_error_rates_of_readme_are_those_of_results() -> None:
    rows = [cells(line) for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    rates = [row for row in rows if row[1] in ("mt4ssl", "scratch")]
    measured = [set(cells(line)) for line in (ROOT / "RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rates) == 4
    for row in rates:
        assert any(set(row) <= other for other in measured), row


def test_fine_tunings_of_the_panel_are_put_together(copy: Path) -> None:
    path = copy / "results/measurement.csv"
    blank = dict.fromkeys(rows_of(path)[0], "")
    seeds = {("3", "0"): 70.0, ("3", "1"): 71.0, ("4", "0"): 75.0, ("4", "1"): 72.0}
    facts = {"experiment": "some_wer", "system": "some", "pretrain_updates": "9", "after_updates": "9", "split": "dev"}
    new = [
        {**blank, **facts, "pretrain_seed": pretrain, "finetune_seed": finetune, "method": "1best", "wer": str(wer)}
        for (pretrain, finetune), wer in seeds.items()
    ]
    greedy = {**new[0], "method": "ctc-greedy-search", "wer": "99"}
    write_rows(path, [*rows_of(path), *new, greedy])
    lines = run(copy / "local/panel.py").stdout.splitlines()
    assert "| some | 9 | 70.00, 71.00; 75.00, 72.00 | 72.00 | 3.00 | 2.00 |" in lines
