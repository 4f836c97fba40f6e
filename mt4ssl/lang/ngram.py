"""Word n-grams: Kneser-Ney by kaldingram, ARPA to a G graph by kaldilm, perplexity."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Collection, Iterable

from kaldingram import train as kaldingram_train
from kaldingram.ppl import compute_ppl
from kaldingram.prune import ArpaParser

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.symbols import BACKOFF, UNKNOWN


def map_unknown(sentences: Iterable[str], words: Collection[str]) -> list[str]:
    """Return the non-empty sentences with every word that is not in `words` replaced by `<UNK>`."""
    mapped = (" ".join(word if word in words else UNKNOWN for word in line.split()) for line in sentences)
    return [line for line in mapped if line]


def train_ngram(sentences: Iterable[str], order: int, arpa: str | Path) -> None:
    """Write a back-off Kneser-Ney model of order 2 to 5 to the file `arpa`."""
    with tempfile.TemporaryDirectory() as directory, atomic_path(arpa) as temporary:
        text = Path(directory) / "text"
        text.write_text("".join(f"{line}\n" for line in sentences), encoding="utf-8")
        with contextlib.redirect_stderr(io.StringIO()):  # kaldingram draws one progress bar per n-gram order
            kaldingram_train.main(["--ngram-order", str(order), "--text", str(text), "--lm", str(temporary)])


def arpa_to_g(arpa: str | Path, words: str | Path, g: str | Path) -> None:
    """Write the ARPA model as a G acceptor in OpenFst text: word ids of words.txt, `#0` on back-off arcs."""
    command = [
        sys.executable,
        "-m",
        "kaldilm",
        f"--read-symbol-table={words}",
        f"--disambig-symbol={BACKOFF}",
        str(arpa),
    ]
    # A process of its own, since kaldilm logs from C++ to stderr.
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"kaldilm cannot read {arpa}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    with atomic_path(g) as temporary:
        temporary.write_text(done.stdout)


def ngram_counts(arpa: str | Path) -> list[int]:
    """Return how many n-grams of each order the header of an ARPA file names."""
    with open(arpa, encoding="utf-8") as file:
        header = [line for line in iter(file.readline, "\\1-grams:\n")]
    return [int(line.split("=")[1]) for line in header if line.startswith("ngram ")]


def perplexity(arpa: str | Path, sentences: Iterable[str]) -> tuple[float, int]:
    """Return the perplexity per word (ends counted), and how many sentences, of probability 0, it lacks."""
    with contextlib.redirect_stderr(io.StringIO()):
        model = ArpaParser().loadf(str(arpa), encoding="utf-8")[0]
        stats = compute_ppl(model, sentences)
    return stats["ppl"], stats["num_zeroprobs"]
