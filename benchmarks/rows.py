"""Rows of benchmarks/RESULTS.md: pairs of ours and a peer, measured in turn, and what they come to."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mt4ssl.files import atomic_path
from mt4ssl.results import commit


@dataclass
class Row:
    """One line of the table."""

    work: str
    """What was done, with its sizes."""
    ours: float
    unit: str
    """Of the figure, and of the peer's, such as `audio s/s` or `s`."""
    target: str = ""
    """What is to be reached, such as `>= 2 x`."""
    met: bool | None = None
    """None for a figure without a target."""
    note: str = ""
    """What else was seen: quality, memory, versions; the limit, where the target is missed."""
    peer: str = ""
    """Who else did it; empty for a figure of ours alone."""
    theirs: float | None = None
    ratio: float | None = None
    """How many times better than the peer, above 1; the median of pairs."""


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def pairs(ours: Callable[[], object], theirs: Callable[[], object], count: int) -> tuple[float, float, float]:
    """Time both in turn, `count` times after a warm-up; return the median seconds of each and the median ratio."""
    ours(), theirs()
    return medians([(seconds(ours), seconds(theirs)) for _ in range(count)])


def medians(times: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the median seconds of ours and of theirs, and the median ratio, of pairs of seconds."""
    mine, other = zip(*times)
    return statistics.median(mine), statistics.median(other), statistics.median(b / a for a, b in times)


def out_argument(description: str) -> Path:
    """Parse the command line of a bench that has no options of its own: `--out FILE.json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write the rows to")
    return parser.parse_args().out


def write_rows(rows: list[Row], out: Path, tables: str = "") -> None:
    """Write the rows, and Markdown that is to stand below them, and print what they say."""
    save_rows(rows, out, tables)
    for row in rows:
        print_row(row)


def save_rows(rows: list[Row], out: Path, tables: str) -> None:
    """Write the rows, and Markdown that is to stand below them."""
    content = {"commit": commit(), "rows": [asdict(row) for row in rows], "tables": tables}
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def print_row(row: Row) -> None:
    """Print what a row says."""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x {row.peer}, "
    theirs = "" if row.theirs is None else f" against {row.theirs:.4g}"
    verdict = {True: "met", False: "MISSED", None: "no target"}[row.met]
    print(
        f"{row.work}: {ratio}{row.ours:.4g}{theirs} {row.unit}; target {row.target or '-'}: {verdict}. {row.note}",
        flush=True,
    )
