"""Batches of pre-training: random crops with labels and a mask, by batch number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from mt4ssl.data.batches import BatchPlan, micro_batches
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import Batch, Frontend, has_times, load_input, load_labels
from mt4ssl.data.mixing import mix_utterances
from mt4ssl.data.signals import WAVEFORM
from mt4ssl.errors import UserError


@dataclass
class PretrainBatch(Batch):
    """Equally long crops with their labels, and which frames are masked."""

    labels: dict[str, Tensor]
    """Per name of a set of labels, a label for each of the model's frames (B, T')."""
    masked: Tensor
    """Numbers (N,) of the frames, counted through the batch, that the student may not see: found here, in a worker,
    since on a GPU a mask's frames would have to be counted, and waited for."""
    waveforms: Tensor | None = None
    """Waveforms (B, S) of the same crops, unmixed, where a target needs them beside fbank."""


DrawMask = Callable[[Sequence[int], int, np.random.Generator], np.ndarray]
"""From the frames of each utterance and the frames of the batch to a mask (B, T')."""


def frame_labels(cut: Cut, name: str, shift: float, frames: int) -> np.ndarray:
    """Return the label of each of `frames` model frames, `shift` seconds apart (T',).

    Labels of a higher rate are thinned to the one at the start of each frame; one or two that rounding lost at the
    end are repeated. Raises UserError if labels and audio differ by more, or if the cut has none.
    """
    labels = load_labels(cut, name, shift)
    if abs(len(labels) - frames) > 2:
        raise UserError(f"cut {cut.id} has {len(labels)} {name!r} labels for {frames} frames: run stage 4 again")
    return np.pad(labels, (0, max(0, frames - len(labels))), mode="edge")[:frames].astype(np.int64)


def fit(x: np.ndarray, size: int) -> np.ndarray:
    """Cut what is read of a crop (T, ...) to its size, or repeat its end where rounding left less."""
    return np.pad(x[:size], [(0, max(0, size - len(x)))] + [(0, 0)] * (x.ndim - 1), mode="edge")


def check_codes(cut: Cut, name: str, mixing_prob: float) -> None:
    """Raise UserError unless labels of that name can be read in crops, and nothing is to be mixed with them."""
    if not has_times(cut, name):
        raise UserError(f"{name!r} of cut {cut.id} have no times, so that no crop has its own: pre-train on the labels")
    if mixing_prob:
        raise UserError("mixing.prob: labels cannot be mixed as speech is: leave it 0 with frontend.type codes")


class PretrainDataset:
    """Batch number -> equally long random crops with labels and a mask; nothing is padded. `parts` make an update.

    Raises UserError if the front-end reads labels that have no times, or that should be mixed.
    """

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
        mixing_prob: float = 0.0,
        needs_waveforms: bool = False,
    ) -> None:
        self.cuts, self.frontend, self.label_names = cuts, frontend, label_names
        self.needs_waveforms = needs_waveforms
        self.draw_mask, self.seed, self.mixing_prob = draw_mask, seed, mixing_prob
        if frontend.reads.labels:
            check_codes(cuts[0], frontend.reads.labels, mixing_prob)
        self.parts, seconds = micro_batches(batch_seconds, max_batch_seconds)
        self.plan = BatchPlan(np.minimum(cuts.durations, max_seconds), seconds, seed)

    def crop_size(self, indices: np.ndarray) -> int:
        """Size of a batch's crops as it is read: its shortest cut in model frames, as crops start at a label."""
        rate = self.frontend.reads.rate
        hop = round(self.frontend.frame_shift * rate)
        return int(self.plan.durations[indices].min() * rate / hop + 1e-3) * hop

    def epoch_seconds(self) -> float:
        """Seconds of audio in the batches of the first epoch; the others differ little."""
        batches = [self.plan[number] for number in range(self.plan.batches_per_epoch)]
        return sum(len(indices) * self.crop_size(indices) for indices in batches) / self.frontend.reads.rate

    def batch(self, number: int) -> PretrainBatch:
        """Build batch `number` of the plan; crops, mask and mixing depend on (seed, number) alone."""
        rng = np.random.default_rng([self.seed, number, 1])
        indices = self.plan[number]
        rate, shift = self.frontend.reads.rate, self.frontend.frame_shift
        hop, size = round(shift * rate), self.crop_size(indices)
        frames = self.frontend.frames(size)
        inputs: list[np.ndarray] = []
        waveforms: list[np.ndarray] = []
        labels: dict[str, list[np.ndarray]] = {name: [] for name in self.label_names}
        for index in indices:
            cut = self.cuts[index]
            room = int((cut.duration * rate - size) / hop + 1e-3)
            start = int(rng.integers(0, room + 1)) * hop if room > 0 else 0
            crop = cut.truncate(offset=start / rate, duration=min(size / rate, cut.duration - start / rate))
            inputs.append(fit(load_input(crop, self.frontend.reads), size))
            if self.needs_waveforms:
                waveforms.append(fit(load_input(crop, WAVEFORM), round(size / rate * WAVEFORM.rate)))
            for name in self.label_names:
                labels[name].append(frame_labels(crop, name, shift, frames))
        # Draws of its own: crops and mask are the same with mixing and without.
        mixing_rng = np.random.default_rng([self.seed, number, 2])
        mixed = mix_utterances(np.stack(inputs), self.frontend.reads, self.mixing_prob, mixing_rng)
        return PretrainBatch(
            inputs=torch.from_numpy(mixed),
            lengths=torch.full((len(indices),), size),
            labels={name: torch.from_numpy(np.stack(rows)) for name, rows in labels.items()},
            masked=torch.from_numpy(np.flatnonzero(self.draw_mask([frames] * len(indices), frames, rng))),
            waveforms=torch.from_numpy(np.stack(waveforms)) if waveforms else None,
            seconds=len(indices) * size / rate,
        )
