"""Stage 4: a K-means label for every frame of every cut, stored in shards as Lhotse temporal arrays."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import label_cuts, write_label_config
from mt4ssl.config import load_config
from mt4ssl.data.cuts import read_fields, read_lines, write_manifest
from mt4ssl.errors import run_main
from mt4ssl.files import require
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
    sources, cuts = (require(path, "made by stage 2 (features)") for path in (args.features, args.cuts))
    folder = args.out.parent
    arrays = folder / f"{config.name}_{args.split}"
    shards = label_cuts(args.kmeans, sources, cuts, args.split, arrays, args.nj)
    write_label_config(config, folder)
    write_manifest(args.out, chain.from_iterable(map(read_lines, shards)))
    frames = [cut["custom"][config.name]["array"]["shape"][0] for cut in read_fields(args.out)]
    print_table(
        f"labels {config.name} of {args.split}",
        ["split", "utterances in", "out", "rejected", "frames", "clusters"],
        [[args.split, len(frames), len(frames), 0, sum(frames), config.clusters]],
    )


if __name__ == "__main__":
    run_main(main)
