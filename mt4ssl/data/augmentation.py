"""Augmentation of training utterances: speed perturbation and SpecAugment, both by Lhotse."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from lhotse.cut import Cut
from lhotse.dataset import SpecAugment
from torch import Tensor

from mt4ssl.data.signals import FBANK_BINS

SHORTEST = 7  # frames; 15 % of fewer, which Lhotse may mask, is not one frame, and Lhotse fails


@dataclass
class AugmentConfig:
    """How training utterances are changed, drawn anew in each epoch; the defaults change nothing.

    SpecAugment, which needs fbank, leaves one utterance in ten as it is, and masks 15 % of the frames at most.
    """

    speeds: list[float] = field(default_factory=lambda: [1.0])
    """Speeds of which each training utterance gets one, drawn anew in each epoch: 0.9, 1.0 and 1.1 are usual. At 0.9 a
    batch may exceed loop.max_batch_seconds by 11 %."""
    time_warp_factor: int = 0
    """SpecAugment moves a moment of each utterance by up to so many frames of 10 ms, and stretches what is before and
    after it; 0 moves none, 80 is usual."""
    num_feature_masks: int = 0
    """Number of bands of fbank bins that SpecAugment masks in each utterance; 0 masks none, 2 is usual."""
    features_mask_size: int = 27
    """Number of fbank bins, of 80, that each masked band stays below."""
    num_frame_masks: int = 0
    """Greatest number of stretches of time that SpecAugment masks in each utterance; 0 masks none, 10 is usual."""
    frames_mask_size: int = 100
    """Number of frames of 10 ms that each masked stretch stays below."""

    def __post_init__(self) -> None:
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError(f"augment.speeds is {self.speeds}: give one or more, each from 0.5 to 2")
        if min(self.time_warp_factor, self.num_feature_masks, self.num_frame_masks) < 0:
            raise ValueError("augment: time_warp_factor, num_feature_masks and num_frame_masks must be 0 or more")
        if not 2 <= self.features_mask_size <= FBANK_BINS or self.frames_mask_size < 2:
            raise ValueError(
                f"augment: features_mask_size must be from 2 to {FBANK_BINS}, and frames_mask_size 2 or more"
            )

    @property
    def has_spec_augment(self) -> bool:
        """Whether any part of SpecAugment is on."""
        return max(self.time_warp_factor, self.num_feature_masks, self.num_frame_masks) > 0


def perturb_speed(cut: Cut, speed: float) -> Cut:
    """Return the cut as if spoken at another speed, without stored features (Ko et al. 2015)."""
    return cut if speed == 1 else cut.drop_features().perturb_speed(speed, affix_id=False)


def spec_augment(utterances: list[Tensor], config: AugmentConfig, rng: np.random.Generator) -> list[Tensor]:
    """Warp the time, and mask parts, of the fbank (T, 80) of each utterance (Park et al. 2019)."""
    # Lhotse divides by the number of stretches: one without width stands for none.
    stretches = (config.num_frame_masks, config.frames_mask_size) if config.num_frame_masks else (1, 1)
    augment = SpecAugment(config.time_warp_factor, config.num_feature_masks, config.features_mask_size, *stretches)
    with seeded(int(rng.integers(2**32))):
        return [augment(x[None])[0] if len(x) >= SHORTEST else x for x in utterances]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch's CPU, which Lhotse draws from, and put them back after."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
