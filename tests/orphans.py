"""What becomes of a process when the one that started it is killed."""

import os
import signal
import time
from pathlib import Path


def check_ends_with_parent(start):
    """Fail unless a process ends when its parent is killed; `start(tell)` starts it in a fork, and tells its number."""
    reader, writer = os.pipe()

    def tell(process):
        os.write(writer, str(process).encode())
        time.sleep(60)

    parent = os.fork()
    if parent == 0:
        start(tell)
    status = Path("/proc", os.read(reader, 20).decode(), "status")
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    end = time.monotonic() + 10
    while status.exists() and "\nState:\tZ" not in status.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
