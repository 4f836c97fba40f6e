"""Stage 1: write checked Lhotse manifests of a corpus in the layout of LibriSpeech."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.data.manifests import prepare_corpus, write_manifests
from mt4ssl.errors import run_main
from mt4ssl.table import print_table

HEADER = ["split", "speakers", "recordings", "utterances", "rejected", "hours"]


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True, help="name of the corpus, the start of every file name")
    parser.add_argument("--corpus-dir", type=Path, required=True, help="folder with one folder per split")
    parser.add_argument("--splits", nargs="+", required=True)
    parser.add_argument("--subsets", nargs="*", default=[], help="lists of ids: <corpus-dir>/<subset>.txt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nj", type=int, default=2, help="files to read at a time")
    return parser.parse_args()


def main() -> None:
    """Check the corpus, write its manifests and print what is in them."""
    options = parse_arguments()
    manifests = prepare_corpus(options.corpus_dir, options.splits, options.subsets, options.nj)
    rows = []
    for name, (recordings, supervisions) in manifests.items():
        write_manifests(recordings, supervisions, options.out, options.corpus, name)
        speakers = len({segment.speaker for segment in supervisions})
        rejected = len(recordings) - len(supervisions)
        hours = sum(recording.duration for recording in recordings) / 3600
        rows.append([name, speakers, len(recordings), len(supervisions), rejected, hours])
    print_table(f"Manifests of {options.corpus} in {options.out}", HEADER, rows)


if __name__ == "__main__":
    run_main(main)
