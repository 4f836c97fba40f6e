"""Work on many files in parallel, on this machine or behind a Dask scheduler, which a stopped run goes on with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from mt4ssl.children import end_with_parent
from mt4ssl.errors import UserError

SCHEDULER = "MT4SSL_DASK"  # variable of the environment that run.sh --dask sets
LOST = "a process was killed, by lack of memory or by one of the files: run the stage again, which goes on from there"


@dataclass
class Workers:
    """Processes of this machine, or the workers of a Dask scheduler."""

    pool: Executor
    count: Callable[[], int]
    """How many of them there are now: with Dask they come and go."""

    def each(self, work: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield what `work` makes of each of the arguments, in the order it is done.

        They are read as they are needed, two for each worker, so that there can be more of them than memory holds.
        """
        waiting: set[Future[Any]] = set()
        for each in arguments:
            waiting.add(self.pool.submit(work, *each))
            if len(waiting) >= 2 * self.count():
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in as_completed(waiting))


@contextmanager
def workers(jobs: int, title: str) -> Iterator[Workers]:
    """Yield `jobs` processes of this machine, or all workers of the Dask scheduler that MT4SSL_DASK names.

    Dask does again, elsewhere, what a worker that is lost has not finished: work has to be written whole. `title` is
    what errors call the work. Raises UserError where processes are killed, and where no scheduler answers.
    """
    scheduler = os.environ.get(SCHEDULER)
    if scheduler:
        with dask_workers(scheduler, title) as found:
            yield found
        return
    try:
        with ProcessPoolExecutor(jobs, initializer=end_with_parent) as pool:
            yield Workers(pool, lambda: jobs)
    except BrokenProcessPool as error:
        raise UserError(f"{title}: {LOST}, with --nj 1 if need be") from error


@contextmanager
def dask_workers(scheduler: str, title: str) -> Iterator[Workers]:
    """Yield the workers of a scheduler, an address or the file that it wrote."""
    try:
        from distributed import Client, KilledWorker
    except ModuleNotFoundError as error:
        raise UserError(f"--dask needs the package distributed ({error}): pip install mt4ssl[cluster]") from error
    where = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    try:
        client = Client(**where)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--dask {scheduler}: no Dask scheduler answers ({reason}); docs/cluster.md says how to start one"
        ) from error
    with client:
        client.register_worker_callbacks(setup=partial(os.chdir, Path.cwd()))  # a recipe's paths are relative
        try:
            yield Workers(client.get_executor(pure=False), lambda: sum(client.nthreads().values()))
        except KilledWorker as error:
            raise UserError(f"{title}: {LOST}") from error


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
    with cache.open("a", encoding="utf-8") as file, workers(jobs, title) as found:
        chunk = max(1, min(64, len(todo) // (4 * jobs)))
        mapped = cast("Generator[Any]", found.pool.map(work, [items[key] for key in todo], chunksize=chunk))
        with closing(mapped) as results:
            for key, result in tqdm(zip(todo, results), desc=title, total=len(todo), disable=None):
                known[key] = result
                if keep(result):
                    file.write(f"\n{json.dumps([key, result])}")
    return {key: known[key] for key in items}
