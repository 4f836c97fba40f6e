"""Download what --dl-dir lacks of the parts of a corpus: resumed, checked by SHA-256, unpacked inside of it alone."""

from __future__ import annotations

import argparse
import hashlib
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from lhotse.utils import resumable_download

from mt4ssl.errors import UserError, run_main

TRIES = 5


class Part(NamedTuple):
    """A part of a corpus."""

    name: str
    """A file in --dl-dir, or a folder in it that the archive has under that name."""
    url: str
    checksum: str
    """SHA-256 of what is at the URL."""


def read_parts(sources: Path) -> Iterator[Part]:
    """Yield the parts that a file names, one a line."""
    for line in sources.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield Part(*line.split())


def fetch(url: str, checksum: str, archive: Path) -> None:
    """Make `archive` what the checksum promises; a part of it that is there is continued."""
    if archive.exists() and file_checksum(archive) == checksum:
        return
    for _ in range(TRIES):  # a connection that ends too early looks like the end of the file
        try:
            resumable_download(url, archive)
        except OSError as error:
            raise UserError(
                f"cannot download {url} ({error}): run again to go on, or put it into {archive.parent} yourself"
            ) from error
        if file_checksum(archive) == checksum:
            return
    archive.unlink()
    raise UserError(f"{url} came with a wrong SHA-256 and was removed: run again")


def file_checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder; UserError if it would write or link outside of that, or cannot."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except OSError as error:
        raise UserError(f"cannot unpack {archive} ({error}): make room, and run it again") from error
    except tarfile.FilterError as error:
        raise UserError(f"{archive} is no archive to trust ({error}): remove it, and see where it came from") from error


def obtain(dl_dir: Path, part: Part) -> None:
    """Make a part of a corpus in dl_dir; it appears when it is whole."""
    archive = dl_dir / "archives" / Path(part.url).name
    archive.parent.mkdir(parents=True, exist_ok=True)
    fetch(part.url, part.checksum, archive)
    (dl_dir / part.name).parent.mkdir(parents=True, exist_ok=True)
    if not tarfile.is_tarfile(archive):
        archive.rename(dl_dir / part.name)
        return
    with TemporaryDirectory(dir=archive.parent) as unpacked:
        unpack(archive, Path(unpacked))
        Path(unpacked, part.name).rename(dl_dir / part.name)
    archive.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, required=True, help="list of the parts: name, URL and SHA-256")
    parser.add_argument("--dl-dir", type=Path, required=True)
    parser.add_argument("--nj", type=int, default=2, help="downloads at a time")
    args = parser.parse_args()
    parts = list(read_parts(args.sources))
    missing = [part for part in parts if not (args.dl_dir / part.name).exists()]
    names = [part.name for part in missing]
    print(f"{len(parts) - len(missing)} of {len(parts)} parts are in {args.dl_dir}; downloading: {names}")
    with ThreadPoolExecutor(args.nj) as pool:
        list(pool.map(partial(obtain, args.dl_dir), missing))


if __name__ == "__main__":
    run_main(main)
