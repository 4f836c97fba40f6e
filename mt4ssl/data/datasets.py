"""Batches of tensors by update number, for pre-training and fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Protocol, Sequence, Tuple

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mt4ssl.data.batches import BatchPlan, micro_batches
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.features import make_extractor
from mt4ssl.data.rates import FBANK_BINS, FBANK_SHIFT, SAMPLING_RATE
from mt4ssl.errors import UserError
from mt4ssl.files import require


@dataclass
class Batch:
    """One micro-batch, padded where its cuts differ in length."""

    inputs: Tensor
    """Waveforms (B, S) or fbank (B, T, 80)."""
    lengths: Tensor
    """Samples or fbank frames (B,)."""
    labels: Dict[str, Tensor] = field(default_factory=dict)
    """Per K-means name (B, T')."""
    mask: Optional[Tensor] = None
    """(B, T') booleans."""
    tokens: Optional[Tensor] = None
    """(B, U)."""
    token_lengths: Optional[Tensor] = None
    """(B,)."""
    ids: List[str] = field(default_factory=list)
    seconds: float = 0.0


class Frontend(Protocol):
    """What data must know of a front-end: what it reads, and the frames that come of it."""

    type: str
    frame_shift: float

    def frames(self, size: int) -> int: ...


DrawMask = Callable[[Sequence[int], int, np.random.Generator], np.ndarray]
"""From the frames of each utterance and the frames of the batch to a mask (B, T')."""


def read_cuts(path: str, min_seconds: float = 0.0) -> Tuple[Cuts, int]:
    """Open the cuts of at least `min_seconds`; return them and the number of shorter ones."""
    cuts = Cuts.read(require(path, "made by an earlier stage"))
    long_enough = np.flatnonzero(cuts.durations >= min_seconds)
    if not len(long_enough):
        raise UserError(f"{path}: none of {len(cuts)} cuts lasts {min_seconds} s")
    return cuts.take(long_enough), len(cuts) - len(long_enough)


def load_input(cut: Cut, frontend: Frontend) -> np.ndarray:
    """Return what the front-end reads of a cut: samples (S,), or fbank (T, 80), computed where it is not stored."""
    try:
        if frontend.type == "waveform":
            return cut.load_audio()[0]
        stored = cut.num_features == FBANK_BINS
        return cut.load_features() if stored else cut.compute_features(make_extractor("fbank"))
    except Exception as error:  # lhotse and libsndfile raise many types, all about this one cut
        raise UserError(f"cannot read {cut.id}: {error}".splitlines()[0]) from error


def input_rate(frontend: Frontend) -> int:
    """Input units a second: fbank frames or samples."""
    return round(1 / FBANK_SHIFT) if frontend.type == "fbank" else SAMPLING_RATE


def frame_labels(cut: Cut, name: str, shift: float, frames: int) -> np.ndarray:
    """Return the label of each of `frames` model frames, `shift` seconds apart (T',).

    Labels of a higher rate are thinned to the one at the start of each frame; one or two that rounding lost at the
    end are repeated. Raises UserError if labels and audio differ by more, or if the cut has none.
    """
    if not cut.has_custom(name):
        raise UserError(f"cut {cut.id} has no {name!r} labels: run stage 4 (labels)")
    stride = shift / getattr(cut, name).frame_shift
    if abs(stride - round(stride)) > 1e-3 or stride < 1:
        raise UserError(f"labels {name!r} every {getattr(cut, name).frame_shift} s do not fit frames every {shift} s")
    labels = cut.load_custom(name)[:: round(stride)]
    if abs(len(labels) - frames) > 2:
        raise UserError(f"cut {cut.id} has {len(labels)} {name!r} labels for {frames} frames: run stage 4 again")
    return np.pad(labels, (0, max(0, frames - len(labels))), mode="edge")[:frames].astype(np.int64)


class PretrainDataset:
    """Batch number -> equally long random crops with labels and a mask; nothing is padded. `parts` make an update."""

    def __init__(
        self,
        cuts: Cuts,
        frontend: Frontend,
        label_names: Sequence[str],
        draw_mask: DrawMask,
        batch_seconds: float,
        max_batch_seconds: float,
        max_seconds: float,
        seed: int,
    ) -> None:
        self.cuts, self.frontend, self.label_names, self.draw_mask, self.seed = (
            cuts,
            frontend,
            label_names,
            draw_mask,
            seed,
        )
        self.parts, seconds = micro_batches(batch_seconds, max_batch_seconds)
        self.plan = BatchPlan(np.minimum(cuts.durations, max_seconds), seconds, seed)

    def batch(self, number: int) -> Batch:
        """Build batch `number` of the plan; crops and mask depend on (seed, number) alone."""
        rng = np.random.default_rng([self.seed, number, 1])
        indices = self.plan[number]
        rate, shift = input_rate(self.frontend), self.frontend.frame_shift
        # The shortest cut sets the length, in whole model frames, so that crops start where a label does.
        hop = round(shift * rate)
        size = int(self.plan.durations[indices].min() * rate / hop + 1e-3) * hop
        frames = self.frontend.frames(size)
        inputs, labels = [], {name: [] for name in self.label_names}
        for index in indices:
            cut = self.cuts[index]
            room = int((cut.duration * rate - size) / hop + 1e-3)
            start = int(rng.integers(0, room + 1)) * hop if room > 0 else 0
            crop = cut.truncate(offset=start / rate, duration=min(size / rate, cut.duration - start / rate))
            x = load_input(crop, self.frontend)[:size]
            inputs.append(np.pad(x, [(0, size - len(x))] + [(0, 0)] * (x.ndim - 1), mode="edge"))
            for name in self.label_names:
                labels[name].append(frame_labels(crop, name, shift, frames))
        return Batch(
            inputs=torch.from_numpy(np.stack(inputs)),
            lengths=torch.full((len(indices),), size),
            labels={name: torch.from_numpy(np.stack(rows)) for name, rows in labels.items()},
            mask=torch.from_numpy(self.draw_mask([frames] * len(indices), frames, rng)),
            seconds=len(indices) * size / rate,
        )


class CtcDataset:
    """Batch number -> whole utterances, padded, with tokens. `parts` batches make an update."""

    def __init__(
        self,
        cuts: Cuts,
        frontend: Frontend,
        encode: Callable[[str, str], List[int]],
        batch_seconds: float,
        max_batch_seconds: float,
        seed: int,
    ) -> None:
        self.cuts, self.frontend, self.encode = cuts, frontend, encode
        self.parts, seconds = micro_batches(batch_seconds, max_batch_seconds)
        self.plan = BatchPlan(cuts.durations, seconds, seed)

    def batch(self, number: int) -> Batch:
        """Build batch `number` of the plan."""
        return self.collate(self.plan[number])

    def collate(self, indices: Sequence[int]) -> Batch:
        """Pad the inputs and tokens of some cuts."""
        cuts = [self.cuts[index] for index in indices]
        inputs = [torch.from_numpy(load_input(cut, self.frontend)) for cut in cuts]
        tokens = [torch.tensor(self.encode(transcript(cut), cut.id), dtype=torch.long) for cut in cuts]
        return Batch(
            inputs=torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True),
            lengths=torch.tensor([len(x) for x in inputs]),
            tokens=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
            token_lengths=torch.tensor([len(x) for x in tokens]),
            ids=[cut.id for cut in cuts],
            seconds=sum(cut.duration for cut in cuts),
        )

    def epoch(self) -> "EpochOf":
        """Return a dataset of every cut once, shortest first: for validation and emission."""
        return EpochOf(self)


class EpochOf(Dataset):
    """Batch number -> a batch of neighbours in duration; together they hold every cut once."""

    def __init__(self, dataset: CtcDataset) -> None:
        self.dataset = dataset
        self.batches = dataset.plan.in_order()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        return self.dataset.collate(self.batches[number])


def transcript(cut: Cut) -> str:
    """Words of a cut; an utterance without text is an error, not an empty transcript."""
    text = " ".join(supervision.text or "" for supervision in cut.supervisions).strip()
    if not text:
        raise UserError(f"cut {cut.id} has no transcript")
    return text


def load_steps(dataset: Dataset, steps: range, workers: int) -> Iterator[Any]:
    """Iterate over dataset[step] for the given steps, prepared by `workers` processes ahead of time."""
    loader = DataLoader(
        dataset, sampler=steps, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None
    )
    try:
        yield from loader
    except UserError as error:  # torch puts the traceback of a worker before the message
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from error
