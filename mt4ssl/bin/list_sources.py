"""Files and folders that a split of conf/corpus.yaml is made of, one a line: stage 1 runs again when they change."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.data.corpus import read_corpus
from mt4ssl.data.layouts import Part
from mt4ssl.errors import run_main


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="conf/corpus.yaml")
    parser.add_argument("--manifests", required=True, help="start of the names of manifests, for parts of other splits")
    parser.add_argument("split")
    args = parser.parse_args()
    layout = read_corpus(args.config).layout(args.split)
    paths = [*layout.sources(), *([Path(layout.phones)] if layout.phones else [])]
    if isinstance(layout, Part):
        paths += [Path(f"{args.manifests}_{kind}_{layout.part_of}.jsonl.gz") for kind in ("recordings", "supervisions")]
    print(*paths, sep="\n")


if __name__ == "__main__":
    run_main(main)
