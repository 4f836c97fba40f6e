"""Text for language models: files of sentences, in the form of the transcripts."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.lang.lines import read_lines

LEAST_SHARE = 0.5  # of the words of transcripts: a text that has fewer is hardly in their form


@dataclass
class LmText:
    """What was counted of a text."""

    sentences: int = 0
    held_out: int = 0
    """Sentences that a held-out set has too."""
    words: Counter[str] = field(default_factory=Counter)
    """How often each word occurs."""

    def share(self, spoken: Counter[str]) -> float:
        """Return the part of the words of transcripts that the text has."""
        return sum(count for word, count in spoken.items() if word in self.words) / max(sum(spoken.values()), 1)


def match_files(pattern: str) -> list[Path]:
    """Return the files that a pattern matches, in the order of their names."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob takes relative patterns only)
    return [path for path in map(Path, matches) if path.is_file()]


def find_files(patterns: Iterable[str]) -> list[Path]:
    """Return the files that the patterns match, each once; UserError for a pattern that matches none."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        files = match_files(pattern)
        if not files:
            raise UserError(f"lm_text: there is no file {pattern}: correct it in corpus.yaml")
        found.update(dict.fromkeys(files))
    return list(found)


def read_sentences(files: Iterable[Path], normalise: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of some files, normalised, without the empty ones."""
    return filter(None, (normalise(line) for path in files for line in read_lines(path)))


def write_sentences(sentences: Iterable[str], path: Path, held_out: Collection[str]) -> LmText:
    """Write one sentence a line, and count what there is."""
    counted = LmText()
    with path.open("w", encoding="utf-8") as file:
        for sentence in sentences:
            file.write(sentence + "\n")
            counted.sentences += 1
            counted.held_out += sentence in held_out
            counted.words.update(sentence.split())
    return counted


def check_form(text: LmText, spoken: Counter[str]) -> None:
    """Raise UserError when the text has so few words of the transcripts that its form must be another."""
    share = text.share(spoken)
    if share < LEAST_SHARE:
        ours, theirs = (counts.most_common(1)[0][0] for counts in (text.words, spoken))
        raise UserError(
            f"the text for language models has only {100 * share:.0f} % of the words of the transcripts: they seem to "
            f"differ in case or form (its most frequent word is {ours}, that of the transcripts {theirs}); set case, "
            "punctuation or words under text: in corpus.yaml and run stage 1 again, or give other lm_text"
        )
