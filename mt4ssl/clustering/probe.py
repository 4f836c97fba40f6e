"""What each layer of a model tells of phones, before any fine-tuning: a linear probe, ABX, K-means, effective rank."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from mt4ssl.clustering.abx import abx_errors, find_tokens
from mt4ssl.clustering.features import AllLayers
from mt4ssl.clustering.kmeans import KMeansConfig, train_kmeans
from mt4ssl.clustering.quality import entropy, joint_counts, known_phones, pnmi
from mt4ssl.data.cuts import Cuts
from mt4ssl.errors import UserError

MAX_FRAMES = 30_000  # for seconds of work; so many frames of all layers of a large model are 3 GB
CLUSTERS = 100
PENALTY = 1e-3  # of squared weights, so that there is one best probe, and it is found soon
ITERATIONS = 100


@dataclass
class LayerQuality:
    """Measures of one layer over all frames, or over those of held-out speakers."""

    layer: int
    """0: input of the first layer; L: output of layer L."""
    accuracy: float | None
    """Share of the frames of held-out speakers whose phone a linear probe finds; None with less than two speakers."""
    abx_within: float | None
    """ABX error within speakers; None where none says a phone twice and another one."""
    abx_across: float | None
    """ABX error across speakers; None with less than two speakers."""
    pnmi: float
    """Phone-normalised mutual information of K-means clusters: the share of the phones' entropy that they explain."""
    effective_rank: float
    """Number of directions that the features fill."""


@dataclass
class PhoneFrames:
    """Frames of all layers, with what is known of them."""

    features: np.ndarray
    """Of layers 0 to L (N, L + 1, C)."""
    phones: np.ndarray
    """Symbols (N,)."""
    speakers: np.ndarray
    """Names (N,); cuts that name no speaker count as one speaker."""
    cuts: np.ndarray
    """Numbers of the cuts (N,)."""


def collect_frames(cuts: Cuts, features: AllLayers, alignment: str) -> PhoneFrames:
    """Return the frames of cuts drawn at random, until there are enough, with phones by an alignment of that type.

    Raises UserError for a cut without one, and if no cut is long enough for a frame.
    """
    parts: list[tuple[np.ndarray, np.ndarray, list[str], list[int]]] = []
    count = 0
    for index in tqdm(np.random.default_rng(0).permutation(len(cuts)), unit="cut", disable=None, desc="reading layers"):
        cut = cuts[index]
        x = features(cut)
        phones = known_phones(cut, len(x), features.frame_shift, alignment)
        if len(x):
            parts.append((x, phones, [cut.supervisions[0].speaker or ""] * len(x), [index] * len(x)))
        count += len(x)
        if count >= MAX_FRAMES:
            break
    if not parts:
        raise UserError("no cut is long enough for a frame")
    return PhoneFrames(*(np.concatenate(arrays) for arrays in zip(*parts)))


def held_out(speakers: np.ndarray) -> np.ndarray | None:
    """Return which frames are of every second speaker (N,), or None where there is but one speaker."""
    names = np.unique(speakers)
    return np.isin(speakers, names[1::2]) if len(names) > 1 else None


def probe_accuracy(x: np.ndarray, phones: np.ndarray, test: np.ndarray) -> float:
    """Return the share of the frames `test` (N,) whose phone a linear classifier of features x (N, C) finds.

    It learns from the other frames, by multinomial logistic regression on features of zero mean and unit variance.
    """
    symbols, classes = np.unique(phones[~test], return_inverse=True)
    x = (x - x[~test].mean(0)) / np.maximum(x[~test].std(0), 1e-5)
    probe = train_probe(torch.from_numpy(x[~test]), torch.from_numpy(classes), len(symbols))
    with torch.inference_mode():
        found = symbols[probe(torch.from_numpy(x[test])).argmax(1).numpy()]
    return float((found == phones[test]).mean())


def train_probe(x: Tensor, classes: Tensor, number: int) -> nn.Linear:
    """Return the linear classifier into `number` classes of least penalised cross-entropy on x (N, C), classes (N,)."""
    probe = nn.Linear(x.size(1), number)
    for parameter in probe.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(probe(x), classes) + PENALTY / 2 * probe.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return probe


def cluster_pnmi(x: np.ndarray, phones: np.ndarray) -> float:
    """Return the PNMI of phones (N,) and K-means clusters of features x (N, C)."""
    centroids, _ = train_kmeans(x, KMeansConfig(clusters=CLUSTERS, restarts=1))
    _, labels = faiss.knn(x, centroids, 1)
    return pnmi(joint_counts([labels[:, 0]], [phones], CLUSTERS))


def effective_rank(x: np.ndarray) -> float:
    """Return the exponential of the entropy of the singular values of centred features (N, C).

    Roy and Vetterli 2007; their sum is 1 first, as in a distribution.
    """
    x = (x - x.mean(0)).astype(np.float64)
    squares = np.linalg.eigvalsh(x.T @ x)
    return float(np.exp(entropy(np.sqrt(np.maximum(squares, 0.0)))))


def layer_qualities(frames: PhoneFrames) -> list[LayerQuality]:
    """Measure every layer."""
    test, tokens = held_out(frames.speakers), find_tokens(frames.phones, frames.speakers, frames.cuts)
    qualities = []
    for layer in tqdm(range(frames.features.shape[1]), unit="layer", disable=None, desc="probing"):
        x = np.ascontiguousarray(frames.features[:, layer])
        accuracy = None if test is None else probe_accuracy(x, frames.phones, test)
        pnmi = cluster_pnmi(x, frames.phones)
        qualities.append(LayerQuality(layer, accuracy, *abx_errors(x, tokens), pnmi, effective_rank(x)))
    return qualities
