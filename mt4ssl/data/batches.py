"""Which cuts make up batch n: a pure function of (seed, n), so that resuming is exact and costs nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

JITTER = 0.03  # durations are blurred by so much before sorting, so that neighbours change from epoch to epoch


class BatchPlan:
    """Batches of cuts of similar duration, shuffled anew each epoch; every cut comes once an epoch.

    Args:
        durations: seconds of each cut.
        batch_seconds: audio in a batch, on average; a cut that is longer is a batch of its own.
        seed: of the order.

    """

    def __init__(self, durations: ArrayLike, batch_seconds: float, seed: int) -> None:
        self.durations = np.asarray(durations, dtype=np.float32)
        self.seed = seed
        self.long = np.flatnonzero(self.durations > batch_seconds)
        short = self.durations[self.durations <= batch_seconds]
        # No short cut is longer than a batch's share of their total, so that no batch stays empty.
        self.shared = max(1, int(float(short.sum()) / batch_seconds)) if len(short) else 0
        self.batches_per_epoch = self.shared + len(self.long)
        self._epoch = -1

    def __getitem__(self, number: int) -> np.ndarray:
        """Indices of the cuts of batch `number`, counted through all epochs."""
        epoch, position = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            blurred = self.durations * rng.uniform(1 - JITTER, 1 + JITTER, len(self.durations))
            self._batches = self._split(np.argsort(blurred))
            self._epoch, self._shuffled = epoch, rng.permutation(self.batches_per_epoch)
        return self._batches[self._shuffled[position]]

    def in_order(self) -> list[np.ndarray]:
        """One epoch from the shortest cut to the longest: for validation and emission."""
        return self._split(np.argsort(self.durations, kind="stable"))

    def _split(self, order: np.ndarray) -> list[np.ndarray]:
        """Split an order of the cuts into batches of equal seconds, each cut where its middle lies; long ones last."""
        is_long = np.isin(order, self.long)
        short, batches = order[~is_long], []
        if self.shared:
            durations = self.durations[short].astype(np.float64)
            middles = np.cumsum(durations) - durations / 2
            share = durations.sum() / self.shared
            batches = np.split(short, np.searchsorted(middles, share * np.arange(1, self.shared)))
        return [*batches, *order[is_long][:, None]]


def micro_batches(batch_seconds: float, max_batch_seconds: float) -> tuple[int, float]:
    """Split a global batch into the fewest equal parts that fit in memory; return their number and seconds."""
    parts = max(1, int(np.ceil(batch_seconds / max_batch_seconds)))
    return parts, batch_seconds / parts
