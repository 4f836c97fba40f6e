"""Labels of frames, made by a K-means or from alignments, and the config that stands beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from lhotse.cut import Cut
from lhotse.utils import compute_num_frames

from mt4ssl.clustering.features import frame_features
from mt4ssl.clustering.kmeans import FrameFeatures, KMeansConfig
from mt4ssl.clustering.quality import SILENCE, known_phones
from mt4ssl.config import load_config, save_config
from mt4ssl.data.cuts import digest, read_fields, read_item, read_lines
from mt4ssl.data.shards import map_shards
from mt4ssl.data.signals import FBANK_SHIFT
from mt4ssl.data.storage import store_labels
from mt4ssl.errors import UserError
from mt4ssl.files import require


class Labeller:
    """Assigns every frame of a cut to its nearest centroid."""

    def __init__(self, folder: Path, features: FrameFeatures) -> None:
        self.features = features
        self.centroids = np.load(require(folder / "centroids.npy", "made by stage 3 (kmeans)"))
        self.half_norms = np.square(self.centroids).sum(1) / 2
        self.dtype = label_dtype(len(self.centroids))

    def __call__(self, cut: Cut) -> np.ndarray:
        """Return labels (T,) in int16, or int32 where there are more than 32768 clusters."""
        # |x - c|^2 is least where x.c - |c|^2 / 2 is greatest; for one cut this is faster than a search of faiss.
        scores = self.features(cut) @ self.centroids.T
        scores -= self.half_norms
        return scores.argmax(1).astype(self.dtype)


def label_dtype(classes: int) -> type[np.signedinteger]:
    """Return the type in which labels of so many classes are stored."""
    return np.int16 if classes <= 2**15 else np.int32


def label_cuts(kmeans: Path, sources: Path, cuts: Path, name: str, folder: Path, jobs: int) -> list[Path]:
    """Give the cuts of a manifest the labels that the K-means of a folder gives to the same cuts of `sources`.

    Returns the manifests of the shards, which are in `folder`; `name` is the split's. Raises UserError unless both
    manifests have the same utterances in the same order.
    """
    featured, known = ([cut["id"] for cut in read_fields(manifest)] for manifest in (sources, cuts))
    if lacking := set(featured) - set(known):
        raise UserError(f"the cuts of {name} lack utterance {min(lacking)}, which has features: run stage 2 again")
    if len(featured) != len(known):
        raise UserError(
            f"{name} has {len(featured)} utterances with features, but {len(known)} cuts: run stage 2 again"
        )
    if featured != known:
        raise UserError(f"{sources} and {cuts} list the utterances of {name} in different orders: run stage 2 again")
    made_by = [(kmeans / file).read_bytes().hex() for file in ("config.yaml", "centroids.npy")]
    return map_shards(
        partial(label_shard, kmeans), zip(read_lines(sources), read_lines(cuts)), len(known),
        "\n".join([*made_by, digest(sources, cuts)]), folder, jobs, f"labels of {name}",
    )  # fmt: skip


def label_shard(kmeans: Path, pairs: Sequence[tuple[bytes, bytes]], stem: Path) -> list[Cut]:
    """Label the second cut of each pair of lines by the features of the first; the labels are stored as <stem>.npys."""
    config = load_config(KMeansConfig, kmeans / "config.yaml")
    labeller = Labeller(kmeans, frame_features(config))
    labels = ((read_item(cut), labeller(read_item(source))) for source, cut in pairs)
    return store_labels(stem.with_suffix(".npys"), config.name, labeller.features.frame_shift, labels)


@dataclass
class AlignmentLabels:
    """What stands beside labels from alignments, in place of the K-means config: the two keys that a training reads."""

    name: str
    clusters: int


def aligned_symbols(cuts: Iterable[Cut], alignment: str) -> list[str]:
    """Return the symbols of all alignments of that type in alphabetical order, with `sil`: what is between them."""
    found = {
        item.symbol
        for cut in cuts
        for supervision in cut.supervisions
        for item in (supervision.alignment or {}).get(alignment, [])
    }
    return sorted(found | {SILENCE})


def label_by_alignment(cuts: Iterable[Cut], alignment: str, symbols: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield for each cut the number of the symbol at the centre of each frame of 10 ms (T,), by that alignment.

    Raises UserError for a cut without one.
    """
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    for cut in cuts:
        frames = compute_num_frames(cut.duration, FBANK_SHIFT, cut.sampling_rate)
        phones = known_phones(cut, frames, FBANK_SHIFT, alignment)
        yield np.array([numbers[phone] for phone in phones], label_dtype(len(symbols)))


def config_of_labels(folder: Path, name: str) -> KMeansConfig:
    """Read the K-means config that stage 4 puts beside the labels called `name`."""
    hint = f"target {name!r} needs labels of that name, made by stage 4 (labels)"
    return load_config(KMeansConfig, require(folder / f"{name}.yaml", hint))


def write_label_config(config: KMeansConfig, folder: Path) -> None:
    """Put the K-means config beside the labels it made; one that is there already keeps its time."""
    path = folder / f"{config.name}.yaml"
    if not path.exists() or load_config(KMeansConfig, path) != config:
        save_config(config, path)
