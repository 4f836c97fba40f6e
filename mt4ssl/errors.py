"""Errors a user can act on."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection
from concurrent.futures import BrokenExecutor
from typing import Callable

NOT_WRITTEN = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make it writable",
}
"""What the system says of a full disk, a used-up quota, a limit on the size of files, a disk that is read-only."""
MEMORY = "lower loop.max_batch_seconds, loop.workers or --nj, or raise the limit (ulimit -v)"
FILES = "raise the limit (ulimit -n 4096), or lower loop.workers or --nj"
SHARED_MEMORY = "make /dev/shm larger (docker run --shm-size 1g), or lower loop.workers or loop.max_batch_seconds"
REMEDIES = {
    **NOT_WRITTEN,
    errno.EACCES: "make it readable and writable",
    errno.EPERM: "make it readable and writable",
    errno.ENOENT: "see whether somebody removed it",
    errno.ENOTDIR: "see what stands in its place",
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
    errno.ENOMEM: MEMORY,
    errno.EIO: "see whether its disk, or the network to it, is well",
    errno.ESTALE: "see whether its disk, or the network to it, is well",
}
"""What to do about the numbers of an OSError."""
SIGNS = {
    "Bus error": f"there is no room for batches in shared memory: {SHARED_MEMORY}",
    "DataLoader worker": f"a process that prepares batches was killed, perhaps for lack of memory: {MEMORY}",
    "received 0 items of ancdata": f"too many files are open: {FILES}",
    "Too many open files": f"too many files are open: {FILES}",
    "allocate memory": f"there is not enough memory: {MEMORY}",
    "not enough memory": f"there is not enough memory: {MEMORY}",
    "bad_alloc": f"there is not enough memory: {MEMORY}",
    "start new thread": f"there is not enough memory for another thread: {MEMORY}",
    "usable temporary directory": "no folder takes temporary files: make room in /tmp, or set TMPDIR",
}
"""What messages without a number have in them, above all torch's, and a line for each; the first that fits counts."""


class UserError(Exception):
    """One clear line: what is wrong, where (file, utterance), and what to do about it."""


def number_of(error: BaseException | None, among: Collection[int]) -> int | None:
    """Return the number of what the system refused; libraries may pass on its words alone."""
    number = getattr(error, "errno", None)
    return number if number in among else next((each for each in among if os.strerror(each) in str(error)), None)


def refusal(error: Exception) -> str | None:
    """Return a line on what the system refused and what to do about it; None of an error that is no refusal."""
    text = str(error)
    if isinstance(error, MemoryError):
        return SIGNS["not enough memory"]
    if isinstance(error, BrokenExecutor):
        return f"a process was killed, perhaps for lack of memory: {MEMORY}"
    if isinstance(error, (OSError, RuntimeError)):
        for sign, line in SIGNS.items():
            if sign in text:
                return line
    number = number_of(error, REMEDIES)
    if isinstance(error, OSError) and number is not None:
        return f"{error.filename or 'a file'}: {os.strerror(number)}: {REMEDIES[number]}"
    return None


def run_main(main: Callable[[], None]) -> None:
    """Run a verb; a UserError, or what the system refuses, becomes one line on stderr and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run the same command again to continue")
    except Exception as error:
        line = refusal(error)
        if line is None:
            raise
        sys.exit(f"error: {line}; then run the same command again")
