"""Download what is missing of LibriSpeech, its language models and Libri-Light's lists: resumed, and checked."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lhotse.utils import resumable_download, safe_extract

from mt4ssl.errors import UserError, run_main

TRIES = 5
OPENSLR = "https://www.openslr.org/resources"
# Where each file or folder of --dl-dir comes from, and the SHA-256 of that, which lhotse does not check. They stand in
# torchaudio (librispeech.py, librilight_limited.py) and RWTH's i6_experiments (common/datasets/librispeech).
SOURCES = {
    "LibriSpeech/dev-clean": (
        f"{OPENSLR}/12/dev-clean.tar.gz",
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    ),
    "LibriSpeech/dev-other": (
        f"{OPENSLR}/12/dev-other.tar.gz",
        "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    ),
    "LibriSpeech/test-clean": (
        f"{OPENSLR}/12/test-clean.tar.gz",
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
    "LibriSpeech/test-other": (
        f"{OPENSLR}/12/test-other.tar.gz",
        "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    ),
    "LibriSpeech/train-clean-100": (
        f"{OPENSLR}/12/train-clean-100.tar.gz",
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    "LibriSpeech/train-clean-360": (
        f"{OPENSLR}/12/train-clean-360.tar.gz",
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    ),
    "LibriSpeech/train-other-500": (
        f"{OPENSLR}/12/train-other-500.tar.gz",
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    ),
    "librispeech_finetuning": (
        "https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz",
        "5d1efdc777b548194d7e09ba89126e2188026df9fd57aa57eb14408d2b2342af",
    ),
    "lm/3-gram.pruned.1e-7.arpa.gz": (
        f"{OPENSLR}/11/3-gram.pruned.1e-7.arpa.gz",
        "71dd880667cb6ea3942bb1982988c91fb1208839a21911eeec7e31c857c4bdfb",
    ),
    "lm/4-gram.arpa.gz": (
        f"{OPENSLR}/11/4-gram.arpa.gz",
        "f2b2d1507637ddf459d3579159f7e8099ed7d77452ff1059aeeeaea33d274613",
    ),
    "lm/librispeech-lexicon.txt": (
        f"{OPENSLR}/11/librispeech-lexicon.txt",
        "d722bc29908cd338ae738edd70f61826a6fca29aaa704a9493f0006773f79d71",
    ),
}


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


def obtain(dl_dir: Path, name: str) -> None:
    """Make `name` in dl_dir, a file or the folder of that name in an archive; it appears when it is whole."""
    url, checksum = SOURCES[name]
    archive = dl_dir / "archives" / Path(url).name
    archive.parent.mkdir(parents=True, exist_ok=True)
    fetch(url, checksum, archive)
    (dl_dir / name).parent.mkdir(parents=True, exist_ok=True)
    if not tarfile.is_tarfile(archive):
        archive.rename(dl_dir / name)
        return
    unpacked = archive.with_name(f"{archive.name}.unpacked")
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as tar:
        safe_extract(tar, unpacked)
    (unpacked / name).rename(dl_dir / name)
    shutil.rmtree(unpacked)
    archive.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dl-dir", type=Path, required=True)
    parser.add_argument("--nj", type=int, default=2, help="downloads at a time")
    args = parser.parse_args()
    missing = [name for name in SOURCES if not (args.dl_dir / name).exists()]
    print(f"{len(SOURCES) - len(missing)} of {len(SOURCES)} parts are in {args.dl_dir}; downloading: {missing}")
    with ThreadPoolExecutor(args.nj) as pool:
        list(pool.map(partial(obtain, args.dl_dir), missing))


if __name__ == "__main__":
    run_main(main)
