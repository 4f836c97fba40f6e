"""Stage 4: a K-means label for every frame of every cut, stored in shards as Lhotse temporal arrays."""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse import load_manifest_lazy

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import label_cuts, write_label_config
from mt4ssl.config import load_config
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kmeans", type=Path, required=True, help="folder that stage 3 wrote")
    parser.add_argument("--features", type=Path, required=True, help="cuts whose features the K-means clusters")
    parser.add_argument("--cuts", type=Path, required=True, help="the same cuts, as training reads them")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--out", type=Path, required=True, help="manifest of the labelled cuts")
    parser.add_argument("--nj", type=number(Count), default=2, help="number of processes")
    args = parser.parse_args()

    config = load_config(KMeansConfig, args.kmeans / "config.yaml")
    sources = load_manifest_lazy(require(args.features, "made by stage 2 (features)"))
    cuts = load_manifest_lazy(require(args.cuts, "made by stage 2 (features)"))
    folder = args.out.parent
    arrays = folder / f"{config.name}_{args.split}"
    labelled = label_cuts(args.kmeans, sources, cuts, args.split, arrays, args.nj)
    write_label_config(config, folder)
    with atomic_path(args.out) as temporary:
        labelled.to_file(temporary)
    frames = sum(getattr(cut, config.name).shape[0] for cut in labelled)
    print_table(
        f"labels {config.name} of {args.split}",
        ["split", "utterances in", "out", "rejected", "frames", "clusters"],
        [[args.split, len(labelled), len(labelled), 0, frames, config.clusters]],
    )


if __name__ == "__main__":
    run_main(main)
