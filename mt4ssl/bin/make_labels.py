"""Stage 4: a K-means label for every frame of every cut, stored as a Lhotse temporal array."""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse import CutSet, load_manifest_lazy

from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import Labeller, label_cuts, write_label_config
from mt4ssl.config import load_config
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kmeans", type=Path, required=True, help="folder that stage 3 wrote")
    parser.add_argument("--features", type=Path, required=True, help="cuts whose features the K-means clusters")
    parser.add_argument("--cuts", type=Path, required=True, help="the same cuts, as training reads them")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--out", type=Path, required=True, help="manifest of the labelled cuts")
    args = parser.parse_args()

    config = load_config(KMeansConfig, args.kmeans / "config.yaml")
    labeller = Labeller(args.kmeans, frame_features(config))
    sources = load_manifest_lazy(require(args.features, "made by stage 2 (features)"))
    cuts = {cut.id: cut for cut in load_manifest_lazy(require(args.cuts, "made by stage 2 (features)"))}
    labels = label_cuts(labeller, sources, cuts, args.split)
    folder = args.out.parent
    labelled = store_arrays(folder / f"{config.name}_{args.split}", config.name, labeller.features.frame_shift, labels)
    write_label_config(config, folder)
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(labelled).to_file(temporary)
    frames = sum(getattr(cut, config.name).shape[0] for cut in labelled)
    print_table(
        f"labels {config.name} of {args.split}",
        ["split", "utterances in", "out", "rejected", "frames", "clusters"],
        [[args.split, len(cuts), len(labelled), len(cuts) - len(labelled), frames, config.clusters]],
    )


if __name__ == "__main__":
    run_main(main)
