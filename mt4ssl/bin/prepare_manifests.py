"""Stage 1: write checked Lhotse manifests of a split of a corpus in the layout of LibriSpeech, or of a part of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.data.layouts.librispeech import prepare_split
from mt4ssl.data.manifests import KINDS, check_apart, read_manifest, take_subset, write_manifests
from mt4ssl.errors import run_main
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True, help="name of the corpus, the start of every file name")
    parser.add_argument("--corpus-dir", type=Path, required=True, help="folder with one folder per split")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--subset-of", help="another split: take the part of it that <corpus-dir>/<split>.txt lists")
    parser.add_argument("--apart-from", nargs="*", default=[], help="other splits, which may share no utterance")
    parser.add_argument("--out", type=Path, required=True, help="folder of the manifests")
    parser.add_argument("--nj", type=int, default=2, help="number of files to read at a time")
    args = parser.parse_args()

    if args.subset_of:
        whole = [read_manifest(args.out, args.corpus, kind, args.subset_of) for kind in KINDS]
        recordings, supervisions = take_subset(args.corpus_dir / f"{args.split}.txt", *whole)
    else:
        recordings, supervisions = prepare_split(args.corpus_dir, args.split, args.nj)
    for other in args.apart_from:
        check_apart(supervisions, args.split, read_manifest(args.out, args.corpus, "supervisions", other), other)
    write_manifests(recordings, supervisions, args.out, args.corpus, args.split)
    speakers = len({segment.speaker for segment in supervisions})
    rejected = len(recordings) - len(supervisions)
    hours = sum(recording.duration for recording in recordings) / 3600
    print_table(
        f"Manifests of {args.corpus} in {args.out}",
        ["split", "speakers", "recordings", "utterances", "rejected", "hours"],
        [[args.split, speakers, len(recordings), len(supervisions), rejected, hours]],
    )


if __name__ == "__main__":
    run_main(main)
