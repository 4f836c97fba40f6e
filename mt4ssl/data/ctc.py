"""Batches of CTC training and emission: whole utterances with tokens, by batch number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from mt4ssl.data.augmentation import AugmentConfig, perturb_speed, spec_augment
from mt4ssl.data.batches import BatchPlan, micro_batches
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import Batch, Frontend, input_size, load_input
from mt4ssl.data.signals import FBANK, Signal
from mt4ssl.errors import UserError

STEP = 0.64
"""Seconds of which the length of a batch is a multiple: on a CPU convolutions are prepared anew for a length that was
not seen lately, which takes a fifth of a small model's step."""


@dataclass
class CtcBatch(Batch):
    """Whole utterances with the tokens of their transcripts."""

    tokens: Tensor
    """(B, U)."""
    token_lengths: Tensor
    """(B,)."""
    texts: list[str]
    """Transcripts: the tokens may leave out characters of dev."""
    ids: list[str]
    """Ids of the cuts."""


def transcript(cut: Cut) -> str:
    """Words of a cut; an utterance without text is an error, not an empty transcript."""
    text = " ".join(supervision.text or "" for supervision in cut.supervisions).strip()
    if not text:
        raise UserError(f"cut {cut.id} has no transcript")
    return text


def alignable(tokens: list[int], frames: int) -> bool:
    """Whether CTC can emit these tokens in so many frames: one each, and a blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens)) <= frames


def fits(tokens: list[int], cut: Cut, frontend: Frontend, slots: int) -> bool:
    """Whether CTC can emit these tokens in the frames of a cut, of which each emits up to `slots`."""
    return alignable(tokens, frontend.frames(input_size(cut, frontend.reads)) * slots)


def check_augment(augment: AugmentConfig, reads: Signal) -> None:
    """Raise UserError if what is not fbank should get SpecAugment, or labels another speed."""
    if augment.has_spec_augment and reads != FBANK:
        raise UserError(
            "augment: SpecAugment needs fbank, and this model reads no fbank: set time_warp_factor, "
            "num_feature_masks and num_frame_masks to 0, and ctc.time_mask_prob and ctc.channel_mask_prob instead"
        )
    if reads.labels and set(augment.speeds) != {1.0}:
        raise UserError("augment.speeds: stored labels have the speed that they have: set it to [1.0]")


class CtcDataset:
    """Batch number -> whole utterances, padded, with tokens; `parts` batches make an update.

    Batches by number are augmented, those of `epoch` are not. Raises UserError as `check_augment` does.
    """

    def __init__(
        self,
        cuts: Cuts,
        frontend: Frontend,
        encode: Callable[[str, str], list[int]],
        batch_seconds: float,
        max_batch_seconds: float,
        seed: int,
        augment: AugmentConfig | None = None,
        slots: int = 1,
    ) -> None:
        self.cuts, self.frontend, self.encode, self.seed = cuts, frontend, encode, seed
        self.augment, self.slots = augment or AugmentConfig(), slots
        check_augment(self.augment, frontend.reads)
        self.parts, seconds = micro_batches(batch_seconds, max_batch_seconds)
        self.plan = BatchPlan(cuts.durations, seconds, seed)

    def batch(self, number: int) -> CtcBatch:
        """Build batch `number` of the plan; how it is augmented depends on (seed, number) alone."""
        return self.collate(self.plan[number], np.random.default_rng([self.seed, number, 3]))

    def collate(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> CtcBatch:
        """Pad the inputs and tokens of some cuts, which are augmented if there is an `rng` to draw from."""
        cuts = [self.cuts[index] for index in indices]
        texts = [transcript(cut) for cut in cuts]
        tokens = [self.encode(text, cut.id) for text, cut in zip(texts, cuts)]
        if rng:
            speeds = rng.choice(self.augment.speeds, len(cuts)).tolist()
            cuts = [self.at_speed(speed, cut, row) for speed, cut, row in zip(speeds, cuts, tokens)]
        inputs = [torch.from_numpy(load_input(cut, self.frontend.reads)) for cut in cuts]
        if rng and self.augment.has_spec_augment:
            inputs = spec_augment(inputs, self.augment, rng)
        return CtcBatch(
            inputs=self.pad(inputs),
            lengths=torch.tensor([len(x) for x in inputs]),
            tokens=pad_sequence([torch.tensor(row, dtype=torch.long) for row in tokens], batch_first=True),
            token_lengths=torch.tensor([len(x) for x in tokens]),
            texts=texts,
            ids=[cut.id for cut in cuts],
            seconds=sum(cut.duration for cut in cuts),
        )

    def pad(self, inputs: list[Tensor]) -> Tensor:
        """Pad inputs (T, ...) to one length, a multiple of STEP."""
        padded = pad_sequence(inputs, batch_first=True)
        step = round(STEP * self.frontend.reads.rate)
        rest = padded.new_zeros(len(padded), -padded.size(1) % step, *padded.shape[2:])
        return torch.cat([padded, rest], 1)

    def at_speed(self, speed: float, cut: Cut, tokens: list[int]) -> Cut:
        """Return a cut at another speed, but as it is where its tokens would no longer fit into its frames."""
        perturbed = perturb_speed(cut, speed)
        return perturbed if fits(tokens, perturbed, self.frontend, self.slots) else cut

    def epoch(self) -> EpochOf:
        """Return a dataset of every cut once, shortest first: for validation and emission."""
        return EpochOf(self)


class EpochOf(Dataset):
    """Batch number -> a batch of neighbours in duration; together they hold every cut once."""

    def __init__(self, dataset: CtcDataset) -> None:
        self.dataset = dataset
        self.batches = dataset.plan.in_order()

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> CtcBatch:
        return self.dataset.collate(self.batches[number])
