"""SIGTERM and SIGINT in a training: the update is finished and saved first."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType

SAME_REQUEST = 1.0  # seconds in which launchers pass on a signal that the process itself was sent too


class StopRequest:
    """Notes the first SIGTERM or SIGINT while it is entered; a second one, a second later or more, ends the process."""

    def __enter__(self) -> StopRequest:
        self.number = 0
        """The signal that came, 0 before that."""
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.number:
            self.number, self._since = number, now
        elif now - self._since > SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
