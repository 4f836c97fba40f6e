"""Processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import signal

SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Have the system end this process with the one that started it: in a pool it would wait for work for ever."""
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGTERM)
