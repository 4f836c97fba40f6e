"""Updates whose numbers are not healthy: what is skipped, and when a training has seen too much of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median

from mt4ssl.errors import UserError

BAD_UPDATES = "bad_updates.jsonl"
"""File in the folder of a training with the cuts of every update that was not healthy."""
WINDOW = 100
"""Number of updates whose gradient norms the median is of."""
FACTOR = 100.0
"""Gradient norms over so many times their median are high. Those of a healthy training stay within a factor of ten
(Megatron-LM warns of ten times the largest of 100); another ten is for levels that change for good, as where
`freeze_updates` end."""
LONGEST = 100
"""Number of updates in a row with high norms that end a training: a few of them may come from the data."""


@dataclass
class Health:
    """What is remembered of a training's updates, to judge the next one; checkpoints hold it.

    Every process judges the same sums over all processes, and so comes to the same result.
    """

    skipped: int = 0
    """Number of updates that were skipped, in the whole training."""
    in_a_row: int = 0
    """Number of them that came last, without another between them; 0 if the last update was not skipped."""
    high: int = 0
    """Number of high gradient norms that came last, skipped updates aside."""
    norms: list[float] = field(default_factory=list)
    """The last WINDOW gradient norms that were not high."""

    def judge(self, norm: float, losses: list[float]) -> str:
        """Take in an update; return what is wrong with it, "" where nothing is.

        It is to be skipped where `in_a_row` is not 0 then.

        Args:
            norm: of the update's gradients.
            losses: of its micro-batches.

        """
        if not all(map(math.isfinite, (norm, *losses))):
            self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
            return f"is skipped, with a loss of {sum(losses):.3g} and a gradient norm of {norm:.3g}"
        self.in_a_row = 0
        usual = median(self.norms) if len(self.norms) == WINDOW else math.inf
        if norm > FACTOR * usual:
            self.high += 1
            return f"has a gradient norm of {norm:.3g}, over {FACTOR:g} times the median of {usual:.3g}"
        self.high = 0
        self.norms = [*self.norms, norm][-WINDOW:]
        return ""

    def check(self, max_skipped: int, seen: str) -> None:
        """Raise UserError, which begins with what was seen, where too many updates in a row were not healthy."""
        if self.in_a_row <= max_skipped and self.high < LONGEST:
            return
        what = f"skipped, more than loop.max_skipped {max_skipped}" if self.in_a_row else "as high"
        raise UserError(
            f"{seen}: {self.in_a_row or self.high} updates in a row were {what}; {BAD_UPDATES} there names their cuts: "
            "leave those out, lower optim.lr, set optim.clip_norm, or use fp32"
        )
