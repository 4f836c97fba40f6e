"""Stage 4: a K-means label for every frame of every cut, stored as a Lhotse temporal array."""

from __future__ import annotations

import argparse
from pathlib import Path

from lhotse import CutSet, NumpyFilesWriter, load_manifest_lazy
from tqdm import tqdm

from mt4ssl.config import load_config
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.models.pretrained import frame_features
from mt4ssl.table import print_table
from mt4ssl.targets.offline import KMeansConfig, Labeller, write_label_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kmeans", type=Path, required=True, help="folder that stage 3 wrote")
    parser.add_argument("--features", type=Path, required=True, help="cuts whose features the K-means clusters")
    parser.add_argument("--cuts", type=Path, required=True, help="the same cuts, as training reads them")
    parser.add_argument("--out", type=Path, required=True, help="manifest of the labelled cuts")
    args = parser.parse_args()

    require(args.kmeans / "centroids.npy", "made by stage 3 (kmeans)")
    config = load_config(KMeansConfig, args.kmeans / "config.yaml")
    features = frame_features(config)
    labeller = Labeller(args.kmeans, features)
    name = config.name
    sources = load_manifest_lazy(require(args.features, "made by stage 2 (features)"))
    cuts = {cut.id: cut for cut in load_manifest_lazy(require(args.cuts, "made by stage 2 (features)"))}
    split = args.out.name.removesuffix(".jsonl.gz").split("_cuts_")[-1]
    storage = args.out.parent / f"{name}_{split}"

    labelled, frames = [], 0
    with atomic_path(storage) as temporary:
        writer = NumpyFilesWriter(temporary)
        for source in tqdm(sources, unit="cut", disable=None, desc=f"labels of {split}"):
            if source.id not in cuts:
                raise UserError(f"{args.cuts} lacks utterance {source.id} of {args.features}: run stage 2 again")
            labels = labeller(source)
            array = writer.store_array(
                source.id, labels, frame_shift=features.frame_shift, temporal_dim=0, start=source.start
            )
            array.array.storage_path = str(storage)
            cut = cuts[source.id]
            setattr(cut, name, array)
            labelled.append(cut)
            frames += len(labels)
        if len(labelled) != len(cuts):
            raise UserError(
                f"{args.features} has {len(labelled)} utterances but {args.cuts} has {len(cuts)}: run stage 2 again"
            )
    write_label_config(config, args.out.parent)
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(labelled).to_file(temporary)
    print_table(
        f"labels {name} of {split}",
        ["split", "utterances in", "out", "rejected", "frames", "clusters"],
        [[split, len(cuts), len(labelled), 0, frames, config.clusters]],
    )


if __name__ == "__main__":
    run_main(main)
