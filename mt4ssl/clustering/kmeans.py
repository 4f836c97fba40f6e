"""K-means on frame features, which makes the labels of offline targets (HuBERT, section 2.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import faiss
import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut
from tqdm import tqdm

from mt4ssl.config import save_config
from mt4ssl.data.storage import npy
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.ranges import Classes, Count, CountOrZero

START_FRAMES = 256  # per cluster
LAST_ITERATIONS = 2


@dataclass
class KMeansConfig:
    """What is clustered, and how."""

    name: str = "kmeans"
    """Name of the labels: the field of the cuts that holds them, and the `name` of a pre-training target."""
    clusters: Classes = 100
    """Number of clusters."""
    features: Literal["mfcc", "layer"] = "mfcc"
    """What is clustered: MFCC in the first iteration, a layer of a pre-trained model after it."""
    normalise: bool = False
    """Give the MFCC of each cut zero mean and unit variance first, so that labels say less of speaker and channel."""
    layer: CountOrZero = 6
    """Layer whose output is clustered, counted from 1; 0 is what the first layer reads."""
    max_frames: Count = 1_000_000
    """Number of frames sampled uniformly from the whole corpus; faiss asks for at least 39 per cluster."""
    iterations: Count = 30
    """K-means iterations per restart, on a sample of 256 frames per cluster; two more follow on all frames."""
    restarts: Count = 3
    """Number of restarts, of which the one with the lowest inertia is kept."""
    seed: CountOrZero = 0
    """Seed of the sample of frames and of the first centroids."""
    checkpoint: str = ""
    """Folder of the pre-trained model whose layer is clustered."""


class FrameFeatures(Protocol):
    """From a cut to its features (T, D), every `frame_shift` seconds."""

    frame_shift: float

    def __call__(self, cut: Cut) -> np.ndarray: ...


def sample_frames(cuts: CutSet, features: FrameFeatures, max_frames: int, seed: int) -> np.ndarray:
    """Return about `max_frames` frames (N, D) drawn uniformly from all cuts; one cut is in memory at a time.

    Cuts are drawn at random first, a tenth of them or as many as hold ten times the frames asked for, so that a large
    corpus is not read to its end.
    """
    total = sum(cut.duration for cut in cuts) / features.frame_shift
    keep_cut = min(1.0, max(0.1, 10 * max_frames / total))
    keep_frame = min(1.0, max_frames / (total * keep_cut))
    rng = np.random.default_rng(seed)
    sample = []
    for cut in tqdm(cuts, unit="cut", disable=None, desc="sampling frames"):
        if rng.random() < keep_cut:
            x = features(cut)
            sample.append(x[rng.random(len(x)) < keep_frame])
    return np.concatenate(sample) if sample else np.empty((0, 1), np.float32)


def train_kmeans(frames: np.ndarray, config: KMeansConfig) -> tuple[np.ndarray, float]:
    """Cluster frames (N, D); return the centroids (K, D) and the mean squared distance of a frame to its own.

    k-means++ starts: random ones end at a higher distance. The best of them is found on a part of the frames, and all
    frames then move its centroids the little that is left. Raises UserError when there are fewer frames than clusters.
    """
    if len(frames) < config.clusters:
        raise UserError(f"{len(frames)} frames cannot fill {config.clusters} clusters: lower `clusters` or add speech")
    frames = np.ascontiguousarray(frames)
    size = min(len(frames), START_FRAMES * config.clusters)
    part = frames[np.random.default_rng(config.seed).choice(len(frames), size, replace=False)]
    start = _kmeans(part, config, config.iterations, config.restarts)
    start.train(part)
    kmeans = _kmeans(frames, config, LAST_ITERATIONS, 1)
    inertia = kmeans.train(frames, init_centroids=start.centroids)
    return np.asarray(kmeans.centroids), float(inertia) / len(frames)


def _kmeans(frames: np.ndarray, config: KMeansConfig, iterations: int, restarts: int) -> faiss.Kmeans:
    """Return faiss's K-means, set to use every frame."""
    return faiss.Kmeans(
        frames.shape[1],
        config.clusters,
        niter=iterations,
        nredo=restarts,
        seed=config.seed,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        min_points_per_centroid=1,
        max_points_per_centroid=len(frames),
    )


def save_kmeans(folder: Path, centroids: np.ndarray, inertia: float, frames: int, config: KMeansConfig) -> None:
    """Write centroids.npy, fit.json and config.yaml."""
    with atomic_path(folder / "centroids.npy") as temporary:
        temporary.write_bytes(npy(centroids))
    with atomic_path(folder / "fit.json") as temporary:
        temporary.write_text(json.dumps({"mean_squared_distance": inertia, "frames": frames}) + "\n")
    save_config(config, folder / "config.yaml")
