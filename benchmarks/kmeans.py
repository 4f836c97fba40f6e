"""K-means and its labels: ours against scikit-learn with fairseq's settings, faiss's defaults and torch; memory."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import torch
from rows import Row, out_argument, pairs, seconds, write_rows
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from mt4ssl.clustering.kmeans import KMeansConfig, sample_frames, save_kmeans, train_kmeans
from mt4ssl.clustering.labels import Labeller

CONFIG = KMeansConfig()
FRAMES, LARGE, CUT = 2_000_000, 100_000_000, 1000


class Speech:
    """Frames from a mixture of 300 Gaussians of unequal weights and widths, dimensions falling in scale as in MFCC."""

    def __init__(self, dim: int) -> None:
        rng = np.random.default_rng(0)
        scale = np.geomspace(10, 0.3, dim)
        self.centres = (rng.normal(size=(300, dim)) * scale).astype(np.float32)
        self.widths = (rng.uniform(0.3, 1.0, size=(300, 1)) * scale).astype(np.float32)
        self.weights = rng.dirichlet(np.full(300, 0.5))

    def frames(self, count: int, seed: int) -> np.ndarray:
        """Return frames (N, D), the same for the same seed."""
        rng = np.random.default_rng(seed)
        part = rng.choice(300, count, p=self.weights)
        noise = rng.standard_normal((count, self.centres.shape[1]), np.float32)
        return self.centres[part] + noise * self.widths[part]


@dataclass
class FakeCut:
    """What `sample_frames` wants of a cut."""

    number: int
    num_frames: int = CUT


def corpus(frames: int) -> list[FakeCut]:
    return [FakeCut(number) for number in range(frames // CUT)]


def distance(frames: np.ndarray, centroids: np.ndarray) -> float:
    """Return the mean squared distance of a frame to the nearest centroid."""
    index = faiss.IndexFlatL2(frames.shape[1])
    index.add(np.ascontiguousarray(centroids, np.float32))
    return float(index.search(frames, 1)[0].mean(dtype=np.float64))


def fairseq(frames: np.ndarray) -> np.ndarray:
    """Cluster as examples/hubert/simple_kmeans/learn_kmeans.py does."""
    settings = dict(init="k-means++", max_iter=100, batch_size=10000, tol=0.0, n_init=20, compute_labels=False)
    model = MiniBatchKMeans(CONFIG.clusters, max_no_improvement=100, reassignment_ratio=0.0, random_state=0, **settings)
    return model.fit(frames).cluster_centers_


def learning() -> Iterator[Row]:
    """Time and quality on two million frames."""
    frames = np.concatenate([Speech(39).frames(CUT, seed) for seed in range(FRAMES // CUT)])
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        sample = sample_frames(corpus(FRAMES), lambda cut: frames[cut.number * CUT :][:CUT], CONFIG.max_frames, 0)
        found["ours"] = train_kmeans(sample, CONFIG)[0]

    def theirs() -> None:
        found["theirs"] = fairseq(frames)

    def faiss_defaults() -> None:
        kmeans = faiss.Kmeans(frames.shape[1], CONFIG.clusters)
        kmeans.train(frames)
        found["faiss"] = kmeans.centroids

    mine = statistics.median(seconds(ours) for _ in range(3))
    other, quick = seconds(theirs), seconds(faiss_defaults)
    near, far, farthest = (distance(frames, found[name]) for name in ("ours", "theirs", "faiss"))
    work, met = "K-means, 2M x 39, K = 100", other >= 10 * mine and near <= far
    note = f"mean squared distance {near:.2f} against {far:.2f}"
    yield Row(work, mine, "s", ">= 10 x, no higher distance", met, note, "scikit-learn", other, other / mine)
    note = f"{mine:.1f} s against {quick:.1f} s: faiss starts once, at random, and sees 256 frames a cluster"
    unit, ratio = "mean squared distance", farthest / near
    yield Row(work, near, unit, ">= 1 x", ratio >= 1, note, "faiss defaults", farthest, ratio)


def cluster_large() -> tuple[float, float]:
    """Cluster a sample of the large corpus; return the seconds, and the most memory this process ever had, in GiB."""
    speech = Speech(39)
    begin = time.perf_counter()
    frames = sample_frames(corpus(LARGE), lambda cut: speech.frames(CUT, cut.number), CONFIG.max_frames, CONFIG.seed)
    train_kmeans(frames, CONFIG)
    return time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def memory() -> Row:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        took, peak = pool.submit(cluster_large).result()
    note = f"{took:.0f} s, most of them for making the {CONFIG.max_frames // 10**5}M frames of the cuts drawn"
    return Row("K-means, 100M x 39 streamed", peak, "GiB", "< 2 GiB", peak < 2, note)


def labels(dim: int, clusters: int) -> Row:
    """Frames labelled a second, cut by cut, on one core: a product as small as these gains little from a second."""
    speech = Speech(dim)
    centroids, cuts = speech.frames(clusters, 0), [speech.frames(CUT, seed) for seed in range(1, 101)]
    with TemporaryDirectory() as folder:
        save_kmeans(Path(folder), centroids, 0.0, 0, CONFIG)
        labeller = Labeller(Path(folder), lambda cut: cut)
    table = torch.from_numpy(centroids)

    def ours() -> np.ndarray:
        return np.concatenate([labeller(cut) for cut in cuts])

    def theirs() -> np.ndarray:
        return torch.cat([torch.cdist(torch.from_numpy(cut), table).argmin(1) for cut in cuts]).numpy()

    def product() -> None:
        for cut in cuts:
            cut @ centroids.T

    with threadpool_limits(1):
        mine, other, ratio = pairs(ours, theirs, 5)
        least = statistics.median(seconds(product) for _ in range(5))
    frames, same = len(cuts) * CUT, 100 * (ours() == theirs()).mean()
    note = f"{same:.2f} % the same; the exact product of frames and centroids alone takes {100 * least / mine:.0f} % "
    note += f"of our time and {100 * least / other:.0f} % of theirs: at most {other / least:.1f} x can be had"
    work = f"labels, D = {dim}, K = {clusters}, cuts of {CUT}, one core"
    return Row(work, frames / mine, "frames/s", ">= 5 x", ratio >= 5, note, "torch.cdist", frames / other, ratio)


def main() -> None:
    out = out_argument(__doc__ or "")
    rows = [*learning(), memory()]
    torch.set_num_threads(1)
    write_rows([*rows, labels(39, 100), labels(768, 500)], out)


if __name__ == "__main__":
    main()
