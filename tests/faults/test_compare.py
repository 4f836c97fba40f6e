"""The comparison of the campaign sees a bit, a file or a line of a log that is not the same, and no speed."""

import gzip
import json
import shutil

import pytest
import torch
from faults.compare import differences

HALF = torch.ones((), dtype=torch.bfloat16)


@pytest.fixture
def runs(tmp_path):
    """Two folders of the same content, of which the archives' own bytes differ."""
    one, two = tmp_path / "one", tmp_path / "two"
    for run, stem in ((one, "tmp1"), (two, "tmp2")):
        (run / "exp/done").mkdir(parents=True)
        torch.save({"step": 3, "model": {"x": torch.arange(4.0), "half": HALF}}, run / stem)
        (run / stem).rename(run / "exp/last.pt")
        with gzip.GzipFile(run / "exp/cuts.jsonl.gz", "w", mtime=len(str(run / stem)) + (run == two)) as file:
            file.write(b"{}\n")
        lines = [{"step": 1, "loss": 0.5, "audio_s_per_s": float(run == one)}, {"step": 2, "loss": 0.25}]
        (run / "exp/log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "exp/RESULTS.md").write_text(f"| WER | 3 |\n| data_wait | {stem} |\n\n## Wall time\n\n{stem}\n")
        (run / "exp/done/05").write_text(stem)
    (two / "exp/.tmp7.last.pt").touch()
    assert (one / "exp/cuts.jsonl.gz").read_bytes() != (two / "exp/cuts.jsonl.gz").read_bytes()
    return one, two


def test_times_and_speeds_are_no_difference(runs):
    assert differences(*runs) == []


def test_what_differs_is_named(runs):
    one, two = runs
    torch.save({"step": 3, "model": {"x": torch.tensor([0.0, 1, 2, 3.0000002]), "half": HALF}}, two / "exp/last.pt")
    (two / "exp/log.jsonl").write_text((one / "exp/log.jsonl").read_text() * 2)
    (two / "exp/RESULTS.md").write_text("| WER | 4 |\n")
    (two / "exp/done/05").unlink()
    shutil.copy(one / "exp/log.jsonl", two / "exp/cuts.txt")
    (two / "exp/cuts.jsonl.gz").write_bytes(gzip.compress(b"[]\n"))
    assert differences(one, two) == [
        "exp/cuts.txt (not in both)",
        "exp/done/05 (not in both)",
        "exp/RESULTS.md",
        "exp/cuts.jsonl.gz",
        "exp/last.pt",
        "exp/log.jsonl",
    ]
