"""What a split, or with no --split the language models, needs of conf/corpus.yaml, and the files that this names.

A step has that as its config, so that it runs again when that changes, and only then. Prints the files, one a line; of
the language models the first line says what a word is (`spaces` or `characters`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.config import save_config
from mt4ssl.data.corpus import Corpus, read_corpus
from mt4ssl.data.layouts import Part
from mt4ssl.data.layouts.folder import Folder
from mt4ssl.errors import run_main
from mt4ssl.lang.lm_text import match_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="conf/corpus.yaml")
    parser.add_argument("--split", help="name of the split")
    parser.add_argument("--manifests", help="start of the names of manifests, for a part of another split")
    parser.add_argument("--out", type=Path, help="config to write")
    args = parser.parse_args()
    corpus = read_corpus(args.config)
    if args.split:
        lines, needed = files_of_split(corpus, args.split, args.manifests), needs_of_split(corpus, args.split)
    else:
        files = [str(file) for pattern in corpus.lm_text for file in match_files(pattern)]
        lines, needed = [corpus.text.words, *files], Corpus({}, corpus.text, corpus.lm_text)
    if args.out:
        save_config(needed, args.out)
    print(*lines, sep="\n")


def needs_of_split(corpus: Corpus, split: str) -> Corpus:
    """Return what the manifests of a split follow from: not max_rejected, nor of a folder of audio the form of text."""
    needed = Corpus({split: corpus.splits[split]}, max_seconds=corpus.max_seconds)
    if not isinstance(corpus.layout(split), Folder):
        needed.text = corpus.text
    return needed


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
