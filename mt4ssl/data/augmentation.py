"""Augmentation of training utterances, by Lhotse."""

from __future__ import annotations

from dataclasses import dataclass, field

from lhotse.cut import Cut


@dataclass
class AugmentConfig:
    """How training utterances are changed, drawn anew in each epoch; the defaults change nothing."""

    speeds: list[float] = field(default_factory=lambda: [1.0])
    """Speeds of which each training utterance gets one, drawn anew in each epoch: 0.9, 1.0 and 1.1 are usual."""

    def __post_init__(self) -> None:
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError(f"augment.speeds is {self.speeds}: give one or more, each from 0.5 to 2")


def perturb_speed(cut: Cut, speed: float) -> Cut:
    """Return the cut as if spoken at another speed, without stored features (Ko et al. 2015)."""
    return cut if speed == 1 else cut.drop_features().perturb_speed(speed, affix_id=False)
