"""Errors a user can act on."""

from __future__ import annotations

import errno
import sys
from typing import Callable

NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What the system says of a full disk, a used-up quota, a limit on the size of files, a disk that is read-only."""


class UserError(Exception):
    """One clear line: what is wrong, where (file, utterance), and what to do about it."""


def run_main(main: Callable[[], None]) -> None:
    """Run a verb; a UserError, or a disk that takes no more, becomes one line on stderr and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in NOT_WRITTEN:
            raise
        sys.exit(
            f"error: {error.filename or 'a file'} cannot be written ({error.strerror}): make room, and run it again"
        )
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run the same command again to continue")
