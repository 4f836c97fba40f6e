"""The part of conf/corpus.yaml that one split needs, or with no --split the language models, and the files it names.

A step has that part as its config, so that it does not run again when another split changes. Prints the files, one a
line; of the language models the first line says what a word is (`spaces` or `characters`).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mt4ssl.config import load_config, save_config
from mt4ssl.data.corpus import Corpus, read_corpus
from mt4ssl.data.layouts import Part
from mt4ssl.errors import run_main
from mt4ssl.lang.lm_text import find_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="conf/corpus.yaml")
    parser.add_argument("--split", help="name of the split")
    parser.add_argument("--manifests", help="start of the names of manifests, for a part of another split")
    parser.add_argument("--out", type=Path, help="config to write")
    args = parser.parse_args()
    corpus = read_corpus(args.config)
    if args.split:
        lines, part = files_of_split(corpus, args.split, args.manifests), {args.split: corpus.splits[args.split]}
        corpus = replace(corpus, splits=part, lm_text=[])
    else:
        lines, corpus = [corpus.text.words, *map(str, find_files(corpus.lm_text))], replace(corpus, splits={})
    if args.out and not (args.out.exists() and load_config(Corpus, args.out) == corpus):
        save_config(corpus, args.out)
    print(*lines, sep="\n")


def files_of_split(corpus: Corpus, split: str, manifests: str) -> list[str]:
    """Return the files and folders that a split is made of."""
    layout = corpus.layout(split)
    files = [*map(str, layout.sources()), *([layout.phones] if layout.phones else [])]
    if isinstance(layout, Part):
        corpus.layout(layout.part_of)  # an error, if there is none
        files += [f"{manifests}_{kind}_{layout.part_of}.jsonl.gz" for kind in ("recordings", "supervisions")]
    return files


if __name__ == "__main__":
    run_main(main)
