"""Stage 2: fbank or MFCC of one split, from its manifests to cuts with stored features."""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse import CutSet, load_manifest_lazy

from mt4ssl.data.features import compute_features
from mt4ssl.data.manifests import Manifests
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path
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

    made = Manifests.read(args.manifests, args.corpus, args.split)
    cuts = CutSet.from_manifests(recordings=made.recordings, supervisions=made.supervisions)
    # One cut per utterance, named after it, so that log-probs and labels can be traced to the transcript.
    trimmed = cuts.trim_to_supervisions(keep_overlapping=False)
    cuts = CutSet.from_cuts(cut.with_id(cut.supervisions[0].id) for cut in trimmed)
    if args.on_the_fly:
        featured, frames = cuts.to_eager(), "none stored"
    else:
        featured = with_features(cuts, args.stored, args.type, args.out / f"feats_{args.split}", args.nj)
        frames = sum(cut.num_frames for cut in featured)
    with atomic_path(args.out / f"{args.corpus}_cuts_{args.split}.jsonl.gz") as temporary:
        featured.to_file(temporary)
    hours = sum(cut.duration for cut in featured) / 3600
    print_table(
        f"{args.type} of {args.split}",
        ["split", "utterances in", "out", "rejected", "hours", "frames"],
        [[args.split, len(cuts), len(featured), len(cuts) - len(featured), hours, frames]],
    )


def with_features(cuts: CutSet, stored: Path | None, kind: str, folder: Path, jobs: int) -> CutSet:
    """Return the cuts with features: those that are stored already, and new ones of all others."""
    wanted = set(cuts.ids)
    known = {cut.id: cut for cut in load_manifest_lazy(stored) if cut.id in wanted} if stored else {}
    missing = CutSet.from_cuts(cut for cut in cuts if cut.id not in known)
    known |= {cut.id: cut for cut in compute_features(missing, kind, folder, jobs)}
    return CutSet.from_cuts(known[name] for name in cuts.ids)


if __name__ == "__main__":
    run_main(main)
