"""The tables of egs/mini_librispeech's measurement: made of the results that are kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/mini_librispeech"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the recipe's measurement.py and results, without the tables and the plot."""
    (tmp_path / "local").mkdir()
    shutil.copy(RECIPE / "local/measurement.py", tmp_path / "local")
    shutil.copytree(RECIPE / "results", tmp_path / "results", ignore=shutil.ignore_patterns("README.md", "*.png"))
    return tmp_path


def tables(recipe: Path) -> str:
    """Make the tables and the plot; return the tables."""
    subprocess.run([sys.executable, recipe / "local/measurement.py"], check=True, capture_output=True)
    assert (recipe / "results/convergence.png").stat().st_size > 10_000
    return (recipe / "results/README.md").read_text()


def test_the_tables_that_are_kept_are_those_of_the_results(copy: Path) -> None:
    """results/README.md is what measurement.py writes, and RESULTS.md has its rows."""
    written = tables(copy)
    assert written == (RECIPE / "results/README.md").read_text()
    rows = {line for line in written.splitlines() if line.startswith("|")}
    assert rows <= set((ROOT / "RESULTS.md").read_text().splitlines())


def test_cells_are_the_lowest_wer(copy: Path) -> None:
    """A cell is the lowest WER of its file; a run that is not there has no row, and an unfinished curve neither."""
    path = copy / "results/mt4ssl-0/1h/1best/wer-dev.json"
    scores = json.loads(path.read_text())
    lowest = min(result["wer"] for result in scores["results"].values())
    shutil.rmtree(copy / "results/mt4ssl_iter2-0")
    shutil.rmtree(copy / "results/online-0/1h_after_750")
    lines = tables(copy).splitlines()
    (row,) = (line for line in lines if line.startswith("| HLG, 3-gram | mt4ssl | 0 |"))
    assert row.split("|")[-2].strip() == f"{lowest:.2f}"
    assert not any(line.startswith("| mt4ssl_iter2 |") for line in lines)
    curves = {tuple(line.split(" | ")[1:3]) for line in lines if line.startswith(("| greedy |", "| HLG, 3-gram |"))}
    assert ("offline", "0") in curves and ("online", "0") not in curves


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n ").split("|")]


def test_the_error_rates_of_readme_are_those_of_results() -> None:
    rows = [cells(line) for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    rates = [row for row in rows if row[0] in ("mt4ssl", "scratch")]
    measured = [set(cells(line)) for line in (ROOT / "RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rates) == 4
    for row in rates:
        assert any(set(row) <= other for other in measured), row
