"""docs/scale.md and dry runs say what the rates on record come to."""

import gzip
import importlib.util
import re
from pathlib import Path

import pytest

from mt4ssl.bin import plan_data
from mt4ssl.data.rates import STEPS, Corpus, Rates, data_steps

SCRIPT = Path(__file__).parents[2] / "benchmarks/scale.py"


@pytest.fixture(scope="module")
def scale():
    spec = importlib.util.spec_from_file_location("scale", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_tables_of_the_script(scale):
    """Else run benchmarks/scale.py."""
    assert scale.BETWEEN.findall(scale.PAGE.read_text(encoding="utf-8")) == [scale.tables()]


def test_arithmetic_of_a_step():
    corpus = Corpus(hours=10, utterances=100)
    rates = Rates(shared=3600, alone=360, utterance=36, memory=1e7, arrays=1e6, manifests=1e3)
    assert rates.hours(corpus) == pytest.approx(10 + 1 + 1)
    assert rates.hours(corpus, workers=10) == pytest.approx(1 + 1 + 1)
    assert rates.bytes_in_memory(corpus) == pytest.approx(0.5e9 + 1e9)
    assert rates.bytes_on_disk(corpus) == pytest.approx(1e7 + 1e5)


def test_labels_take_two_bytes_a_frame_and_a_header():
    """100 frames a second; numpy's headers have 128 bytes."""
    for name in ("labels", "labels, on the fly"):
        assert STEPS[name].arrays == pytest.approx(2 * 360_000 + 128 * 300, rel=0.05)


def test_without_labels_there_are_no_mfcc():
    assert list(data_steps(on_the_fly=False, labels=False)) == ["1 manifests", "2 fbank"]
    assert list(data_steps(on_the_fly=True)) == [
        "1 manifests", "2 fbank, on the fly", "2 mfcc, on the fly", "3 kmeans", "4 labels",
    ]  # fmt: skip


def plan(monkeypatch, capsys, manifest, on_the_fly="false"):
    arguments = ["--manifest", str(manifest), "--types", "fbank", "mfcc", "--on-the-fly", on_the_fly, "--nj", "4"]
    monkeypatch.setattr("sys.argv", ["plan_data", *arguments])
    plan_data.main()
    return capsys.readouterr().out


def test_a_dry_run_counts_the_corpus(monkeypatch, capsys, tmp_path):
    manifest = tmp_path / "supervisions.jsonl.gz"
    with gzip.open(manifest, "wt") as file:
        for number in range(1000):
            file.write(f'{{"id": "a{number}", "recording_id": "a", "start": 0, "duration": 36000.0, "channel": 0}}\n')
    output = plan(monkeypatch, capsys, manifest)
    assert "plan of 10000.00 hours in 1000 utterances" in output
    fbank = STEPS["fbank"]
    row = re.search(r"^ *2 fbank +([\d.]+) +([\d.]+) +0.5 +(\d+)$", output, flags=re.MULTILINE)
    alone = 1000 * fbank.utterance / 3600
    assert float(row[1]) == pytest.approx(10000 * fbank.shared / 3600 + alone, abs=0.06)
    assert float(row[2]) == pytest.approx(10000 * fbank.shared / 3600 / 4 + alone, abs=0.06)
    assert float(row[3]) == pytest.approx(10000 * fbank.arrays / 1e9, abs=0.6)


def test_a_dry_run_before_stage_1_is_for_a_thousand_hours(monkeypatch, capsys, tmp_path):
    output = plan(monkeypatch, capsys, tmp_path / "none.jsonl.gz", on_the_fly="true")
    assert "unknown before stage 1" in output and "4 labels" in output
