"""Which cuts make up batch n: a pure function of (seed, n), so that resuming is exact and costs nothing."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

BUCKET_RATIO = 1.1  # longest over shortest in a bucket: what cropping loses or padding adds at most


class BatchPlan:
    """Batches of cuts of similar duration, shuffled anew each epoch; every cut comes at least once an epoch.

    Args:
        durations: seconds of each cut.
        batch_seconds: audio in a batch; a longer cut makes a batch of its own.
        seed: of the order.
    """

    def __init__(self, durations: Sequence[float], batch_seconds: float, seed: int) -> None:
        self.durations = np.asarray(durations, dtype=np.float32)
        self.seed = seed
        self.buckets = make_buckets(self.durations)
        # A bucket's batches hold as many of its longest cut as fit, so their number is the same in every epoch.
        self.sizes = [max(1, int(batch_seconds / self.durations[bucket].max())) for bucket in self.buckets]
        counts = [-(-len(bucket) // size) for bucket, size in zip(self.buckets, self.sizes)]
        self.batches_per_epoch = sum(counts)
        self._slots = [(bucket, nth) for bucket, count in enumerate(counts) for nth in range(count)]
        self._epoch = -1
        self._batches: List[np.ndarray] = []

    def __getitem__(self, number: int) -> np.ndarray:
        """Indices of the cuts of batch `number`, counted through all epochs."""
        epoch, position = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffle(epoch)
        return self._batches[position]

    def _shuffle(self, epoch: int) -> List[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        orders = [rng.permutation(bucket) for bucket in self.buckets]
        batches = []
        for slot in rng.permutation(len(self._slots)):
            bucket, nth = self._slots[slot]
            size = self.sizes[bucket]
            # The last batch of a bucket is filled up from its first cuts.
            batches.append(np.take(orders[bucket], range(nth * size, (nth + 1) * size), mode="wrap"))
        return batches


def make_buckets(durations: np.ndarray) -> List[np.ndarray]:
    """Part the cuts, sorted by duration, into runs whose longest is at most 1.1 times their shortest."""
    order = np.argsort(durations, kind="stable")
    buckets = []
    start = 0
    while start < len(order):
        limit = durations[order[start]] * BUCKET_RATIO
        end = int(np.searchsorted(durations[order], limit, side="right"))
        buckets.append(order[start:end])
        start = end
    return buckets


def micro_batches(batch_seconds: float, max_batch_seconds: float) -> Tuple[int, float]:
    """Split a global batch into the fewest equal parts that fit in memory; return their number and seconds."""
    parts = max(1, int(np.ceil(batch_seconds / max_batch_seconds)))
    return parts, batch_seconds / parts
