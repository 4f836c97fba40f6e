"""fbank and MFCC of whole manifests: parallel, resumable shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import CutSet, Fbank, FbankConfig, LilcomChunkyWriter, Mfcc, MfccConfig
from lhotse.features.base import FeatureExtractor, register_extractor
from torchaudio.functional import compute_deltas
from tqdm import tqdm

import mt4ssl.data.audio  # noqa: F401  (Lhotse learns the transform that mixes channels down)
from mt4ssl.data.signals import FBANK_BINS, FBANK_SHIFT, SAMPLING_RATE, WINDOW
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path

SHARD_CUTS = 500
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


def compute_shard(cuts: CutSet, kind: str, storage: Path, manifest: Path) -> int:
    """Extract and store the features of one shard; the manifest appears last, so that it vouches for the arrays."""
    torch.set_num_threads(1)
    extractor = make_extractor(kind)
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
    with atomic_path(manifest) as temporary:
        CutSet.from_cuts(stored).to_file(temporary)
    return len(stored)


def compute_features(cuts: CutSet, kind: str, storage_dir: Path, jobs: int) -> CutSet:
    """Compute features of all cuts in shards of 500 under `storage_dir`; a rerun keeps the finished shards.

    Returns the cuts with features, in the order they came. Raises UserError naming an audio file that cannot be read.
    """
    storage_dir.mkdir(parents=True, exist_ok=True)
    cuts = cuts.to_eager()
    shards = _shards(cuts)
    manifests = [storage_dir / f"{number:05d}.jsonl.gz" for number in range(len(shards))]
    todo = [number for number, manifest in enumerate(manifests) if not manifest.exists()]
    with ProcessPoolExecutor(jobs) as pool, tqdm(total=len(cuts), unit="cut", disable=None, desc=kind) as progress:
        progress.update(sum(len(shards[n]) for n in range(len(shards)) if n not in set(todo)))
        futures = [
            pool.submit(compute_shard, shards[n], kind, storage_dir / f"{n:05d}.lca", manifests[n]) for n in todo
        ]
        for future in as_completed(futures):
            progress.update(future.result())
    return CutSet.from_cuts(cut for manifest in manifests for cut in CutSet.from_file(manifest))


def _shards(cuts: CutSet) -> list[CutSet]:
    items: Sequence[Any] = list(cuts)
    return [CutSet.from_cuts(items[start : start + SHARD_CUTS]) for start in range(0, len(items), SHARD_CUTS)]
