"""Cuts that get arrays, in shards: in parallel, and a run that was stopped goes on with the shards that are missing."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import TypeVar

import torch
from lhotse import CutSet
from lhotse.cut import Cut
from tqdm import tqdm

from mt4ssl.data.parallel import workers
from mt4ssl.files import atomic_path, write_lines

T = TypeVar("T")
SHARD_SIZE = 500
ORIGIN = "origin.txt"


def map_shards(
    work: Callable[[Sequence[T], Path], Iterable[Cut]],
    items: Sequence[T],
    origin: str,
    folder: Path,
    jobs: int,
    title: str,
) -> CutSet:
    """Return the cuts that `work` makes of items, 500 at a time, in their order.

    `work(items, stem)` writes arrays to a file <stem>.SUFFIX, whole, and returns the cuts that have them; then their
    manifest appears in `folder`, and vouches for the arrays. The shards of an earlier run are kept if its `origin`, all
    that they are made of, was the same.
    """
    origin = hashlib.sha256(origin.encode()).hexdigest()
    if not (folder / ORIGIN).exists() or (folder / ORIGIN).read_text(encoding="utf-8") != f"{origin}\n":
        shutil.rmtree(folder, ignore_errors=True)
        write_lines(folder / ORIGIN, [origin])
    starts = range(0, len(items), SHARD_SIZE)
    shards = {folder / f"{n:05d}.jsonl.gz": items[start : start + SHARD_SIZE] for n, start in enumerate(starts)}
    todo = {manifest: shard for manifest, shard in shards.items() if not manifest.exists()}
    with workers(jobs, title) as pool, tqdm(total=len(items), unit="cut", disable=None, desc=title) as progress:
        progress.update(len(items) - sum(map(len, todo.values())))
        futures = [pool.submit(make_shard, work, shard, manifest) for manifest, shard in todo.items()]
        for future in as_completed(futures):
            progress.update(future.result())
    for half_written in folder.glob(".tmp*"):  # by a worker that was lost
        half_written.unlink()
    return CutSet.from_cuts(cut for manifest in shards for cut in CutSet.from_file(manifest))


def make_shard(work: Callable[[Sequence[T], Path], Iterable[Cut]], items: Sequence[T], manifest: Path) -> int:
    """Do the work of one shard; return how many cuts it has."""
    torch.set_num_threads(1)
    cuts = list(work(items, manifest.with_suffix("").with_suffix("")))
    with atomic_path(manifest) as temporary:
        CutSet.from_cuts(cuts).to_file(temporary)
    return len(cuts)
