"""Limits of the system, for this process and those that it starts.

A limit on the size of files stands for a full disk: it needs no rights. The system then says EFBIG in place of ENOSPC,
and a library what it says of any write that fails.
"""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

from mt4ssl.errors import run_main


@contextmanager
def limit(kind, most):
    """Nothing beyond `most` of a kind that `resource` knows."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def room_for(size):
    """No file grows beyond so many bytes."""
    return limit(resource.RLIMIT_FSIZE, size)


def memory_for(size):
    """So many bytes of memory can be had, beside what this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return limit(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + size)


def error_of(main):
    """The line that a verb ends with; its work is done as from the command line, in this process."""
    try:
        run_main(main)
    except SystemExit as end:
        line = str(end.code)
        assert line.startswith("error: ") and "\n" not in line
        return line
    return ""
