"""Cuts that get arrays, in shards: in parallel, and a run that was stopped goes on with the shards that are missing."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from lhotse import CutSet
from lhotse.cut import Cut
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from mt4ssl.data.parallel import workers
from mt4ssl.files import atomic_path, write_lines

T = TypeVar("T")
SHARD_SIZE = 500
ORIGIN = "origin.txt"


def map_shards(
    work: Callable[[Sequence[T], Path], Iterable[Cut]],
    items: Iterable[T],
    count: int,
    origin: str,
    folder: Path,
    jobs: int,
    title: str,
) -> list[Path]:
    """Return the manifests of the cuts that `work` makes of `count` items, 500 at a time, in their order.

    `work(items, stem)` writes arrays to a file <stem>.SUFFIX, whole, and returns the cuts that have them; then their
    manifest appears in `folder`, and vouches for the arrays. The shards of an earlier run are kept if its `origin`, all
    that they are made of, was the same. Of the items only those that are worked on are in memory.
    """
    origin = hashlib.sha256(origin.encode()).hexdigest()
    if not (folder / ORIGIN).exists() or (folder / ORIGIN).read_text(encoding="utf-8") != f"{origin}\n":
        shutil.rmtree(folder, ignore_errors=True)
        write_lines(folder / ORIGIN, [origin])
    manifests = [folder / f"{number:05d}.jsonl.gz" for number in range(-(-count // SHARD_SIZE))]
    done = min(count, SHARD_SIZE * sum(manifest.exists() for manifest in manifests))
    remaining = iter(items)
    shards = ((list(islice(remaining, SHARD_SIZE)), manifest) for manifest in manifests)
    missing = ((work, shard, manifest) for shard, manifest in shards if not manifest.exists())
    progress = tqdm(total=count, initial=done, unit="cut", disable=None, desc=title)
    with progress, workers(jobs, title) as found:
        for made in found.each(make_shard, missing):
            progress.update(made)
    for half_written in folder.glob(".tmp*"):  # by a worker that was lost
        half_written.unlink()
    return manifests


def make_shard(work: Callable[[Sequence[T], Path], Iterable[Cut]], items: Sequence[T], manifest: Path) -> int:
    """Do the work of one shard; return how many cuts it has."""
    with threadpool_limits(1):  # of torch and of numpy, whose products are too small for more
        cuts = list(work(items, manifest.with_suffix("").with_suffix("")))
    with atomic_path(manifest) as temporary:
        CutSet.from_cuts(cuts).to_file(temporary)
    return len(cuts)
