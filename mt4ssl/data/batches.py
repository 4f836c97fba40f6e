"""Which cuts make up batch n: a pure function of (seed, n), so that resuming is exact and costs nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

JITTER = 0.03  # durations are blurred by so much before sorting, so that neighbours change from epoch to epoch


class BatchPlan:
    """Batches of cuts of similar duration, shuffled anew each epoch; every cut comes once an epoch.

    Args:
        durations: seconds of each cut.
        batch_seconds: audio in a batch, on average; at least the longest cut.
        seed: of the order.

    """

    def __init__(self, durations: ArrayLike, batch_seconds: float, seed: int) -> None:
        self.durations = np.asarray(durations, dtype=np.float32)
        self.seed = seed
        total = float(self.durations.sum())
        # No cut is longer than a batch's share of the total, so that no batch stays empty.
        self.batches_per_epoch = max(1, int(total / max(batch_seconds, float(self.durations.max()))))
        self._epoch = -1

    def __getitem__(self, number: int) -> np.ndarray:
        """Indices of the cuts of batch `number`, counted through all epochs."""
        epoch, position = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            blurred = self.durations * rng.uniform(1 - JITTER, 1 + JITTER, len(self.durations))
            self._order = np.argsort(blurred)
            self._bounds = np.concatenate([[0], self._ends(self._order), [len(self._order)]])
            self._epoch, self._shuffled = epoch, rng.permutation(self.batches_per_epoch)
        batch = self._shuffled[position]
        return self._order[self._bounds[batch] : self._bounds[batch + 1]]

    def in_order(self) -> list[np.ndarray]:
        """One epoch from the shortest cut to the longest: for validation and emission."""
        order = np.argsort(self.durations, kind="stable")
        return np.split(order, self._ends(order))

    def _ends(self, order: np.ndarray) -> np.ndarray:
        """Where an order of the cuts is split into batches of equal seconds: each cut falls where its middle lies."""
        durations = self.durations[order].astype(np.float64)
        middles = np.cumsum(durations) - durations / 2
        share = durations.sum() / self.batches_per_epoch
        return np.searchsorted(middles, share * np.arange(1, self.batches_per_epoch))


def micro_batches(batch_seconds: float, max_batch_seconds: float) -> tuple[int, float]:
    """Split a global batch into the fewest equal parts that fit in memory; return their number and seconds."""
    parts = max(1, int(np.ceil(batch_seconds / max_batch_seconds)))
    return parts, batch_seconds / parts
