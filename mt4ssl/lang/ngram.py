"""Word n-grams: Kneser-Ney models in ARPA format, pruned ones, ARPA to a G graph by kaldilm, perplexity."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Collection, Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np
from kaldingram.prune import ArpaParser, prune

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path
from mt4ssl.lang.kneser_ney import count_ngrams, estimate
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.symbols import BACKOFF, BEGIN, END, UNKNOWN


def map_unknown(sentences: Iterable[str], words: Collection[str]) -> list[str]:
    """Return the non-empty sentences with every word that is not in `words` replaced by `<UNK>`."""
    mapped = (" ".join(word if word in words else UNKNOWN for word in line.split()) for line in sentences)
    return [line for line in mapped if line]


def train_ngram(sentences: Iterable[str], order: int, arpa: str | Path) -> None:
    """Write a modified Kneser-Ney model of order 2 to 5 to the file `arpa`: all n-grams of the text, none pruned."""
    words, tables = count_ngrams(list(sentences), order)
    probs, backoffs = estimate(tables)
    probs[0][0] = 1e-99  # <s>, which is never predicted
    with atomic_path(arpa) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("\\data\\\n")
        file.writelines(f"ngram {n}={len(table.counts)}\n" for n, table in enumerate(tables, 1))
        ngrams = [""]
        for n, (table, prob) in enumerate(zip(tables, probs), 1):
            ngrams = [f"{ngrams[context]} {words[last]}".lstrip() for context, last in zip(table.context, table.last)]
            weights = backoffs[n - 1] if n < order else np.full(len(prob), np.nan)
            file.write(f"\n\\{n}-grams:\n")
            for ngram, log_prob, log_weight in zip(ngrams, np.log10(prob), np.log10(weights)):
                ending = "" if np.isnan(log_weight) else f"\t{log_weight:.7f}"
                file.write(f"{log_prob:.7f}\t{ngram}{ending}\n")
        file.write("\n\\end\\\n")


def prune_ngram(arpa: str | Path, threshold: float) -> None:
    """Take the n-grams out of the file `arpa` without which the model's perplexity rises by less than `threshold`.

    The rise is relative, and counted for each n-gram alone (Stolcke, 1998). No unigram is taken out.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        model = ArpaParser().loadf(arpa, encoding="utf-8")[0]
        prune(model, threshold, minorder=2)
        with atomic_path(arpa) as temporary:
            ArpaParser().dumpf(model, temporary, encoding="utf-8")


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
    with atomic_path(g) as temporary:
        with temporary.open("wb") as graph:
            done = subprocess.run(command, stdout=graph, stderr=subprocess.PIPE, encoding="utf-8", check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(f"kaldilm cannot read {arpa}: {reason}")


def ngram_counts(arpa: str | Path) -> list[int]:
    """Return how many n-grams of each order the header of an ARPA file names."""
    header = takewhile(lambda line: line != "\\1-grams:", read_lines(Path(arpa)))
    return [int(line.split("=")[1]) for line in header if line.startswith("ngram ")]


def perplexity(arpa: str | Path, sentences: Iterable[str]) -> tuple[float, int]:
    """Return the perplexity per word, ends of sentences included, and how many words the model lacks.

    Those words are left out; the ones after them are predicted from what stands between, as in SRILM.
    """
    order = len(ngram_counts(arpa))
    texts = [(BEGIN, *line.split(), END) for line in sentences]
    needed = {
        " ".join(words[max(0, end - length) : end])
        for words in texts
        for end in range(1, len(words) + 1)
        for length in range(1, order + 1)
    }
    with contextlib.redirect_stderr(io.StringIO()):
        # Only what these sentences need: as Python's objects, a large model does not fit in memory.
        lines = (line for line in read_lines(Path(arpa)) if "\t" not in line or line.split("\t")[1] in needed)
        model = ArpaParser().load(lines)[0]
    log_probs = [
        model.log_p_raw(words[max(0, end - order) : end])
        for words in texts
        for end in range(2, len(words) + 1)
        if model.contains_word(words[end - 1])
    ]
    predicted = sum(len(words) - 1 for words in texts)
    return 10 ** (-sum(log_probs) / max(len(log_probs), 1)), predicted - len(log_probs)
