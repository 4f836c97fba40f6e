"""Batches of CTC training and emission: whole utterances with tokens, by batch number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor
from torch.utils.data import Dataset

from mt4ssl.data.batches import BatchPlan, micro_batches
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import Batch, Frontend, load_input
from mt4ssl.errors import UserError


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


class CtcDataset:
    """Batch number -> whole utterances, padded, with tokens. `parts` batches make an update."""

    def __init__(
        self,
        cuts: Cuts,
        frontend: Frontend,
        encode: Callable[[str, str], list[int]],
        batch_seconds: float,
        max_batch_seconds: float,
        seed: int,
    ) -> None:
        self.cuts, self.frontend, self.encode = cuts, frontend, encode
        self.parts, seconds = micro_batches(batch_seconds, max_batch_seconds)
        self.plan = BatchPlan(cuts.durations, seconds, seed)

    def batch(self, number: int) -> CtcBatch:
        """Build batch `number` of the plan."""
        return self.collate(self.plan[number])

    def collate(self, indices: np.ndarray) -> CtcBatch:
        """Pad the inputs and tokens of some cuts."""
        cuts = [self.cuts[index] for index in indices]
        inputs = [torch.from_numpy(load_input(cut, self.frontend.reads)) for cut in cuts]
        texts = [transcript(cut) for cut in cuts]
        tokens = [torch.tensor(self.encode(text, cut.id), dtype=torch.long) for text, cut in zip(texts, cuts)]
        return CtcBatch(
            inputs=torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True),
            lengths=torch.tensor([len(x) for x in inputs]),
            tokens=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
            token_lengths=torch.tensor([len(x) for x in tokens]),
            texts=texts,
            ids=[cut.id for cut in cuts],
            seconds=sum(cut.duration for cut in cuts),
        )

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
