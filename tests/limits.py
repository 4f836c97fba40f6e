"""Limits of the system, for this process and those that it starts.

A limit on the size of files stands for a full disk: it needs no rights. The system then says EFBIG in place of ENOSPC,
and a library what it says of any write that fails. A file system that is read-only is a real one.
"""

import ctypes
import os
import resource
import sys
import traceback
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import pytest

from mt4ssl.errors import run_main

NEW_MOUNTS, NEW_USERS = 0x20000, 0x10000000  # of sched.h
READ_ONLY, REMOUNT, BIND, KEPT, DETACH = 1, 32, 4096, 2 | 4 | 8, 2  # of sys/mount.h; kept: nosuid, nodev, noexec
NOT_POSSIBLE = 77


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


def call(name, *arguments):
    """Call a function of the system that Python has not."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def may_mount():
    """Let this process mount, whoever runs it, unless it has several threads, or the system lets nobody do so."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_USERS | NEW_MOUNTS)
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(line)


def with_mounts(test):
    """Run a test in a process of its own that may mount; skip it where that is not possible."""

    @wraps(test)
    def run(**fixtures):
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            status = NOT_POSSIBLE
            try:
                may_mount()
                status = 1
                test(**fixtures)
                status = 0
            except BaseException:  # noqa: BLE001  (pytest.fail raises one)
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == NOT_POSSIBLE:
            pytest.skip("this system lets no user mount: it has no namespaces of users")
        assert status == 0, "the test has failed in its own process: see what that has written"

    return run


@contextmanager
def read_only(folder):
    """The file system of a folder is read-only; in a test of `with_mounts`."""
    place = os.fsencode(folder)
    call("mount", place, place, None, BIND, None)
    call("mount", None, place, None, REMOUNT | BIND | READ_ONLY | (os.statvfs(place).f_flag & KEPT), None)
    try:
        yield
    finally:
        call("umount2", place, DETACH)


@contextmanager
def small_disk(folder, size):
    """A disk of so many bytes is in place of a folder; in a test of `with_mounts`."""
    place = os.fsencode(folder)
    call("mount", b"none", place, b"tmpfs", 0, b"size=%d" % size)
    try:
        yield
    finally:
        call("umount2", place, DETACH)
