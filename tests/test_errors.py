"""What the system refuses is a line that says what, where and what to do; a bug stays a traceback."""

import os
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from limits import error_of, limit, memory_for

from mt4ssl.errors import run_main


def open_many():
    with limit(resource.RLIMIT_NOFILE, 64):
        return [open(os.devnull) for _ in range(64)]


def lose_a_process():
    with ProcessPoolExecutor(1) as pool:
        pool.submit(os._exit, 1).result()


def fill_memory():
    with memory_for(100_000_000):
        np.empty(1 << 30)


@pytest.mark.parametrize(
    "work, line",
    [
        (lambda: Path("no/such/folder").write_text(""), "no/such/folder: No such file or directory: see whether"),
        (lambda: Path("/dev/null/x").write_text(""), "/dev/null/x: Not a directory: see what stands in its place"),
        (open_many, "too many files are open: raise the limit (ulimit -n"),
        (lose_a_process, "a process was killed, perhaps for lack of memory: lower"),
        (fill_memory, "there is not enough memory: lower"),
    ],
)
def test_refusals(work, line):
    assert error_of(work).startswith(f"error: {line}")


def test_a_bug_is_no_refusal():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="shapes"):
        run_main(lambda: (_ for _ in ()).throw(RuntimeError("shapes do not fit")))
