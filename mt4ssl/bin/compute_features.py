"""Stage 2: fbank or MFCC of one split, from its manifests to cuts with stored features."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lhotse.cut import Cut

from mt4ssl.data.cuts import Cuts, digest, read_fields, read_lines, write_manifest
from mt4ssl.data.features import compute_features
from mt4ssl.data.manifests import Utterances
from mt4ssl.errors import run_main
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--type", choices=["fbank", "mfcc"], required=True, help="kind of features")
    parser.add_argument("--corpus", required=True, help="name of the corpus, the start of every file name")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--manifests", type=Path, required=True, help="folder that stage 1 wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cuts")
    parser.add_argument(
        "--on-the-fly", action="store_true", help="store no features: they are computed when the cuts are read"
    )
    parser.add_argument("--stored", type=Path, help="cuts whose features are taken where they are of this split too")
    parser.add_argument("--nj", type=number(Count), default=2, help="number of processes")
    args = parser.parse_args()

    utterances = Utterances(args.manifests, args.corpus, args.split)
    lines: Iterator[bytes] = map(line_of, utterances)
    if not args.on_the_fly:
        lines = with_features(utterances, args.stored, args.type, args.out / f"feats_{args.split}", args.nj)
    manifest = args.out / f"{args.corpus}_cuts_{args.split}.jsonl.gz"
    write_manifest(manifest, lines)
    made = [(cut["duration"], 0 if args.on_the_fly else cut["features"]["num_frames"]) for cut in read_fields(manifest)]
    hours = sum(seconds for seconds, _ in made) / 3600
    frames = "none stored" if args.on_the_fly else sum(frames for _, frames in made)
    print_table(
        f"{args.type} of {args.split}",
        ["split", "utterances in", "out", "rejected", "hours", "frames"],
        [[args.split, len(utterances.ids), len(made), len(utterances.ids) - len(made), hours, frames]],
    )


def line_of(cut: Cut) -> bytes:
    """Return the line of a cut, as Lhotse writes it."""
    return f"{json.dumps(cut.to_dict(), ensure_ascii=False)}\n".encode()


def with_features(utterances: Utterances, stored: Path | None, kind: str, folder: Path, jobs: int) -> Iterator[bytes]:
    """Return the lines of cuts with features: of those that are stored already, and of all others, computed here."""
    places: dict[str, int] = {}
    if stored:
        wanted, known = set(utterances.ids), Cuts.read(stored)
        places = {cut["id"]: place for place, cut in enumerate(read_fields(stored)) if cut["id"] in wanted}
    missing = [name for name in utterances.ids if name not in places]
    origin = "\n".join([digest(*utterances.manifests), *missing])
    others = (cut for cut in utterances if cut.id not in places)
    shards = compute_features(others, len(missing), origin, kind, folder, jobs)
    computed = chain.from_iterable(map(read_lines, shards))
    return (known.line(places[name]) if name in places else next(computed) for name in utterances.ids)


if __name__ == "__main__":
    run_main(main)
