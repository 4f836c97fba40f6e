"""Stage 3: K-means centroids from a sample of frames."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from lhotse import load_manifest_lazy

from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, save_kmeans, train_kmeans
from mt4ssl.config import parse_config
from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.table import print_table


@dataclass(kw_only=True)
class Config(KMeansConfig):
    """K-means, and where its frames come from."""

    cuts: str
    """Cuts whose features are clustered."""
    out: str
    """Folder for centroids.npy, fit.json and config.yaml."""


def main() -> None:
    config = parse_config(Config, __doc__ or "", sys.argv[1:])
    cuts = load_manifest_lazy(require(config.cuts, "made by stage 2 (features)"))
    kmeans = KMeansConfig(**{key: getattr(config, key) for key in KMeansConfig.__dataclass_fields__})
    frames = sample_frames(cuts, frame_features(kmeans), kmeans.max_frames, kmeans.seed)
    centroids, inertia = train_kmeans(frames, kmeans)
    save_kmeans(Path(config.out), centroids, inertia, len(frames), kmeans)
    print_table(
        f"K-means {config.out}",
        ["features", "dimensions", "frames", "clusters", "mean squared distance"],
        [[kmeans.features, frames.shape[1], len(frames), kmeans.clusters, inertia]],
    )


if __name__ == "__main__":
    run_main(main)
