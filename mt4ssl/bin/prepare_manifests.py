"""Stage 1: check a split of conf/corpus.yaml, write its Lhotse manifests, and note in report.tsv what was wrong."""

from __future__ import annotations

import argparse
import unicodedata
from collections import Counter
from pathlib import Path

from lhotse import SupervisionSet

from mt4ssl.data.corpus import Corpus, read_corpus
from mt4ssl.data.layouts import Part
from mt4ssl.data.manifests import Manifests, add_phones, check_apart, join
from mt4ssl.data.preparation import Split, prepare_split
from mt4ssl.data.problems import update_report
from mt4ssl.errors import UserError, run_main
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default="conf/corpus.yaml", help="default: conf/corpus.yaml")
    parser.add_argument("--corpus", required=True, help="name of the corpus, the start of every file name")
    parser.add_argument("--split", required=True, help="name of the split; A+B joins the splits A and B")
    parser.add_argument("--needs-text", action="store_true", help="reject utterances that have no text")
    parser.add_argument("--apart-from", nargs="*", default=[], help="other splits, which may share no utterance")
    parser.add_argument("--out", type=Path, required=True, help="folder of the manifests and of report.tsv")
    parser.add_argument("--nj", type=number(Count), default=2, help="number of processes")
    return parser.parse_args()


def main() -> None:
    args = get_args()
    title = f"Manifests of {args.split} in {args.out}"
    if "+" in args.split:
        made = join([Manifests.read(args.out, args.corpus, split) for split in args.split.split("+")])
        print_table(title, ["recordings", "utterances"], [[len(made.recordings), len(made.supervisions)]])
    else:
        made = prepare(read_corpus(args.config), args, title)
    for other in args.apart_from:
        for warning in check_apart(args.split, made, other, Manifests.read(args.out, args.corpus, other)):
            print(warning)
    made.write(args.out, args.corpus, args.split)


def prepare(corpus: Corpus, args: argparse.Namespace, title: str) -> Manifests:
    """Return the manifests of a split of corpus.yaml, and print what there is of it."""
    layout = corpus.layout(args.split)
    if isinstance(layout, Part):
        made = Manifests.read(args.out, args.corpus, layout.part_of).take(layout)
        silent = [segment.id for segment in made.supervisions if not segment.text]
        if args.needs_text and silent:
            raise UserError(
                f"{len(silent)} utterances of {args.split} have no text, such as {silent[0]}: correct its ids"
            )
        if layout.phones:
            made.supervisions = add_phones(made.supervisions, Path(layout.phones))
        print_table(title, ["part of", "utterances"], [[layout.part_of, len(made.supervisions)]])
        return made
    split = prepare_split(corpus, args.split, args.needs_text, args.out / "probes.jsonl", args.nj)
    made = split.manifests()
    if layout.phones:
        made.supervisions = add_phones(made.supervisions, Path(layout.phones))
    show(split, made.supervisions, title, corpus, args.out / "report.tsv")
    return made


def show(split: Split, supervisions: SupervisionSet, title: str, corpus: Corpus, report: Path) -> None:
    """Write report.tsv, and print what was wrong and what there is; UserError where too much was wrong."""
    problems = split.problems
    update_report(report, problems)
    if problems.rows:
        print_table(f"Not taken as it is: {report}", ["reason", "done", "count", "example"], problems.summary())
    problems.check_share(len(supervisions), corpus.max_rejected, report)
    rows: list[list[str | int]] = [
        ["speakers", len({segment.speaker for segment in supervisions if segment.speaker})],
        ["recordings", len(split.recordings)],
        ["  of them resampled", split.resampled],
        ["  of them mixed down", split.mixed_down],
        ["utterances", len(supervisions)],
        ["  of them windows of long recordings", split.windows],
        ["  of them repaired", problems.count("repaired")],
        ["rejected", problems.count("rejected")],
        ["hours", f"{sum(segment.duration for segment in supervisions) / 3600:.4g}"],
    ]
    print_table(title, ["", split.name], rows)
    counts = Counter(char for segment in supervisions for char in segment.text or "")
    del counts[" "]
    for kind, wanted in (("letters", True), ("others", False)):
        found = [f"{char}:{count}" for char, count in counts.most_common() if is_letter(char) == wanted]
        if found:
            print(f"characters, {kind}: {' '.join(found)}")


def is_letter(char: str) -> bool:
    """Return whether a character is a letter, or a mark on one, such as a vowel of Hindi."""
    return unicodedata.category(char)[0] in "LM"


if __name__ == "__main__":
    run_main(main)
