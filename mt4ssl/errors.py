"""Errors a user can act on."""

from __future__ import annotations

import sys
from typing import Callable


class UserError(Exception):
    """One clear line: what is wrong, where (file, utterance), and what to do about it."""


def run_main(main: Callable[[], None]) -> None:
    """Run a verb; a UserError becomes one line on stderr and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run the same command again to continue")
