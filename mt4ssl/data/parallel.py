"""Work on many files in parallel, which a run that was stopped goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mt4ssl.errors import UserError


def cached_map(
    work: Callable[[Any], Any],
    items: Mapping[str, Any],
    cache: Path,
    jobs: int,
    title: str,
    keep: Callable[[Any], bool] = lambda result: True,
) -> dict[str, Any]:
    """Return what `work` makes of each item, by its key; what the cache, a file of JSON lines, has is not done again.

    Results are plain data; the cache gets those that are to be kept. Raises UserError where a process is killed.
    """
    known: dict[str, Any] = {}
    if cache.exists():
        for line in cache.read_text(encoding="utf-8").split("\n"):
            try:
                key, result = json.loads(line)
                known[key] = result
            except (ValueError, TypeError):  # noqa: PERF203  (a line of a run that was killed)
                continue
    todo = [key for key in items if key not in known]
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a", encoding="utf-8") as file, ProcessPoolExecutor(jobs) as pool:
        results = pool.map(work, [items[key] for key in todo], chunksize=max(1, min(64, len(todo) // (4 * jobs))))
        try:
            for key, result in tqdm(zip(todo, results), desc=title, total=len(todo), disable=None):
                known[key] = result
                if keep(result):
                    file.write(f"\n{json.dumps([key, result])}")
        except BrokenProcessPool as error:
            raise UserError(
                f"{title}: a process was killed, by lack of memory or by one of the files: run stage 1 again, which "
                "goes on from there, with --nj 1 if need be"
            ) from error
    return {key: known[key] for key in items}
