"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mt4ssl.errors import NOT_WRITTEN, UserError, number_of

UNFINISHED = ("inline_container", "PytorchStreamWriter", "cannot be opened")
"""What torch says of a file that it cannot write, and not why."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes its place on success and is removed on any error.

    Works for a file and for a directory that the caller makes; the suffixes are kept, since writers choose by them.
    Raises UserError where there is no room for it, or nothing can be written.
    """
    path = Path(path)
    temporary = path.with_name(f".tmp{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)  # of a process of the same number that was killed: in containers numbers repeat
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except Exception as error:
        reason = error.__cause__ if isinstance(error, UserError) else error  # it may name what was to be written
        number = number_of(reason, NOT_WRITTEN)
        if number is not None:
            problem, remedy = os.strerror(number), NOT_WRITTEN[number]
        elif any(words in str(reason) for words in UNFINISHED):
            problem, remedy = "not all of it", "make room"
        else:
            raise
        raise UserError(f"{path} cannot be written ({problem}): {remedy}, and run it again") from error
    finally:
        with suppress(OSError):  # of a disk that is read-only, or gone
            _remove(temporary)


def _remove(path: Path) -> None:
    """Remove a file or a directory, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write lines of text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def require(path: str | Path, hint: str) -> Path:
    """Return `path`, or raise UserError naming it and what makes it."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} is missing: {hint}")
    return path
