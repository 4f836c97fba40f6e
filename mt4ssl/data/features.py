"""fbank and MFCC of whole manifests, in shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import Fbank, FbankConfig, LilcomChunkyWriter, Mfcc, MfccConfig
from lhotse.cut import Cut
from lhotse.features.base import FeatureExtractor, register_extractor
from torchaudio.functional import compute_deltas

import mt4ssl.data.audio  # noqa: F401  (Lhotse learns the transform that mixes channels down)
from mt4ssl.data.shards import map_shards
from mt4ssl.data.signals import FBANK_BINS, FBANK_SHIFT, SAMPLING_RATE, WINDOW
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path

LEAST_SAMPLES = 140  # that lhotse can mirror at both ends until there is a frame of 400


def power(spectrum: torch.Tensor) -> torch.Tensor:
    """Return the power of a complex spectrum; lhotse squares its modulus, whose root takes a third of all the time."""
    return spectrum.real.square() + spectrum.imag.square()


@dataclass
class MfccDeltasConfig:
    """MFCC with deltas: the settings are fixed, the sampling rate is all that can differ."""

    sampling_rate: int = SAMPLING_RATE

    def to_dict(self) -> dict[str, Any]:
        return {"sampling_rate": self.sampling_rate}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> MfccDeltasConfig:
        return MfccDeltasConfig(**data)


@register_extractor
class MfccDeltas(FeatureExtractor):
    """13 MFCC with deltas and double deltas, 39 dimensions every 10 ms (HuBERT, section 4.1)."""

    name = "mt4ssl-mfcc-deltas"
    config_type = MfccDeltasConfig

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.mfcc = Mfcc(MfccConfig(sampling_rate=self.config.sampling_rate, num_ceps=13))
        self.mfcc.extractor._to_spec = power

    @property
    def frame_shift(self) -> float:
        return self.mfcc.frame_shift

    def feature_dim(self, sampling_rate: int) -> int:
        return 39

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        """Turn samples (1, S) into features (T, 39), none of less than LEAST_SAMPLES."""
        if samples.shape[1] < LEAST_SAMPLES:
            return np.empty((0, 39), np.float32)
        static = torch.as_tensor(self.mfcc.extract(samples, sampling_rate)).T  # (13, T)
        deltas = compute_deltas(static)
        return torch.cat([static, deltas, compute_deltas(deltas)]).T.numpy()


class PiecewiseFbank(Fbank):
    """fbank, of long audio in parts of WINDOW seconds: lhotse needs many times the memory of what it is given."""

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        """Turn samples (1, S) into fbank (T, 80), none of less than LEAST_SAMPLES."""
        size, hop = samples.shape[1], round(self.frame_shift * sampling_rate)
        if size < LEAST_SAMPLES:
            return np.empty((0, FBANK_BINS), np.float32)
        if size <= WINDOW * sampling_rate:
            return super().extract(samples, sampling_rate)
        frames, count = (size + hop // 2) // hop, round(WINDOW / self.frame_shift)
        pieces = []
        for first in range(0, frames, count):
            # A frame more on both sides, which is mirrored audio in part, as the first and the last of all are.
            before, after = min(first, 1), 1 if first + count < frames else 0
            stop = (first + count + 1) * hop if after else size
            piece = super().extract(samples[:, (first - before) * hop : stop], sampling_rate)
            pieces.append(piece[before : len(piece) - after])
        return np.concatenate(pieces)


def make_extractor(kind: str) -> FeatureExtractor:
    """Return the extractor called `fbank` (80 bins) or `mfcc` (39 dimensions), both every 10 ms."""
    if kind == "mfcc":
        return MfccDeltas()
    fbank = PiecewiseFbank(FbankConfig(sampling_rate=SAMPLING_RATE, num_filters=FBANK_BINS, frame_shift=FBANK_SHIFT))
    fbank.extractor._to_spec = power
    return fbank


def compute_features(
    cuts: Iterable[Cut], count: int, origin: str, kind: str, storage_dir: Path, jobs: int
) -> list[Path]:
    """Compute features of `count` cuts in shards of 500 under `storage_dir`.

    A rerun keeps the finished shards if their kind and their `origin`, all that tells the cuts from others, were the
    same. Returns the manifests of the shards, which have the cuts with features in the order they came. Raises
    UserError naming an audio file that cannot be read.
    """
    return map_shards(partial(store_features, kind), cuts, count, f"{kind}\n{origin}", storage_dir, jobs, kind)


def store_features(kind: str, cuts: Sequence[Cut], stem: Path) -> list[Cut]:
    """Extract and store the features of one shard as <stem>.lca; return the cuts with them."""
    extractor = make_extractor(kind)
    storage = stem.with_suffix(".lca")
    stored = []
    with atomic_path(storage) as temporary, LilcomChunkyWriter(temporary) as writer:
        for plain in cuts:
            source = plain.recording.sources[0].source
            if plain.num_samples < LEAST_SAMPLES:
                raise UserError(
                    f"{source}: {plain.id} lasts {plain.duration:g} s, less than a frame: leave it out, as stage 1 does"
                )
            try:
                cut = plain.compute_and_store_features(extractor, writer)
            except Exception as error:  # lhotse wraps decoder errors in several types, all about this one file
                reason = str(error).splitlines()[0]
                raise UserError(f"{source}: no features of {plain.id}: {reason}") from error
            cut.features.storage_path = str(storage)
            stored.append(cut)
    return stored
