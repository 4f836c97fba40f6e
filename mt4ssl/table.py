"""Tables for people: aligned text on the terminal, Markdown in reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def _cells(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a titled table, first column left-aligned, the rest right-aligned; floats get two decimals."""
    cells = _cells([header, *rows])
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        line = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(line).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    print(flush=True)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return the table as Markdown, first column left-aligned, the rest right-aligned."""
    head, *body = _cells([header, *rows])
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])
