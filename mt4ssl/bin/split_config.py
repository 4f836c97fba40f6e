"""What conf/corpus.yaml says of one split, as a config of its own, and what the split is made of, one path a line.

Stage 1 prepares a split again when either changes, and not when another split does.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mt4ssl.config import load_config, save_config
from mt4ssl.data.corpus import Corpus, read_corpus
from mt4ssl.data.layouts import Part
from mt4ssl.errors import run_main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="conf/corpus.yaml")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--manifests", required=True, help="start of the names of manifests, for parts of other splits")
    parser.add_argument("--out", type=Path, help="config to write")
    args = parser.parse_args()
    corpus = read_corpus(args.config)
    layout = corpus.layout(args.split)
    paths = [*layout.sources(), *([Path(layout.phones)] if layout.phones else [])]
    if isinstance(layout, Part):
        paths += [Path(f"{args.manifests}_{kind}_{layout.part_of}.jsonl.gz") for kind in ("recordings", "supervisions")]
    config = replace(corpus, splits={args.split: corpus.splits[args.split]}, lm_text=[])
    if args.out and not (args.out.exists() and load_config(Corpus, args.out) == config):
        save_config(config, args.out)
    print(*paths, sep="\n")


if __name__ == "__main__":
    run_main(main)
