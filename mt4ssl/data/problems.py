"""What stage 1 finds wrong with a corpus: a line for each utterance that is not taken as it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path


class Problem(NamedTuple):
    """A line of report.tsv."""

    split: str
    id: str
    file: str
    reason: str
    """What is wrong, in the same words for all utterances of which the same is."""
    done: str
    """`rejected`, `ignored`, or how the utterance is taken all the same."""
    detail: str
    """Figures of this one."""


@dataclass
class Problems:
    """The problems of one split."""

    split: str
    rows: list[Problem] = field(default_factory=list)

    def repaired(self, name: str, file: str | Path, reason: str, done: str, detail: str = "") -> None:
        """Note an utterance that is taken, but not as it is."""
        self.rows.append(Problem(self.split, name, str(file), reason, done, detail))

    def rejected(self, name: str, file: str | Path, reason: str, detail: str = "") -> None:
        """Note an utterance that is left out."""
        self.rows.append(Problem(self.split, name, str(file), reason, "rejected", detail))

    def ignored(self, file: str | Path, reason: str) -> None:
        """Note a file that is no utterance."""
        self.rows.append(Problem(self.split, "", str(file), reason, "ignored", ""))

    def count(self, done: str) -> int:
        """Return how many utterances were rejected, or repaired in one way or several."""
        if done == "rejected":
            return sum(row.done == "rejected" for row in self.rows)
        return len({row.id for row in self.rows if row.done not in ("rejected", "ignored")})

    def summary(self) -> list[list[str | int]]:
        """Return a row for each reason: the reason, what was done, how often, an example."""
        rows: dict[tuple[str, str], list[Problem]] = {}
        for row in self.rows:
            rows.setdefault((row.reason, row.done), []).append(row)
        return [
            [reason, done, len(found), printable(f"{found[0].id or found[0].file} {found[0].detail}".strip())]
            for (reason, done), found in rows.items()
        ]

    def check_share(self, accepted: int, largest: float, report: Path) -> None:
        """Raise UserError with the most frequent reasons where too many utterances were rejected, or all."""
        rejected = Counter(row.reason for row in self.rows if row.done == "rejected")
        total = accepted + rejected.total()
        if not total:
            raise UserError(f"split {self.split} is empty: see what conf/corpus.yaml says of it")
        if not accepted or rejected.total() > largest * total:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in rejected.most_common(3))
            raise UserError(
                f"split {self.split}: {rejected.total()} of {total} utterances are rejected ({reasons}), "
                f"max_rejected of corpus.yaml allows {largest:.3g} of all: see {report}"
            )


def update_report(path: Path, problems: Problems) -> None:
    """Write the problems of a split into report.tsv, in place of older ones of the same split."""
    kept = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").split("\n")[1:-1]
        kept = [line for line in lines if line.split("\t")[0] != problems.split]
    new = ["\t".join(map(printable, row)) for row in problems.rows]
    with atomic_path(path) as temporary:
        temporary.write_text(
            "".join(f"{line}\n" for line in ["\t".join(Problem._fields), *kept, *new]), encoding="utf-8"
        )


def printable(text: str) -> str:
    """Return text in one line: characters that are not printable become escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
