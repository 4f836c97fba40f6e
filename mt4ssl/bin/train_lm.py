"""Train a modified Kneser-Ney word n-gram: an ARPA file, and beside it the graph G_N_gram.fst.txt."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.lexicon import count_words
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.ngram import arpa_to_g, map_unknown, ngram_counts, prune_ngram, train_ngram
from mt4ssl.lang.symbols import BACKOFF, BEGIN, END, EPSILON, UNKNOWN, read_symbols
from mt4ssl.ranges import Positive, number
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="text to train on, one sentence per line")
    parser.add_argument("--words", type=Path, required=True, help="words.txt; other words of the text become <UNK>")
    parser.add_argument("--order", type=int, choices=range(2, 6), default=3, help="length of the n-grams")
    parser.add_argument(
        "--prune",
        type=number(Positive),
        help="leave out n-grams that raise perplexity by a smaller share than this: 1e-6, say",
    )
    parser.add_argument("--out", type=Path, required=True, help="ARPA file to write")
    args = parser.parse_args()

    words = read_symbols(args.words).keys() - {EPSILON, UNKNOWN, BACKOFF, BEGIN, END}
    sentences = map_unknown(read_lines(require(args.text, "made by stage 6 (lang)")), words)
    if not sentences:
        raise UserError(f"{args.text} has no sentences")
    with atomic_path(args.out) as arpa:
        train_ngram(sentences, args.order, arpa)
        if args.prune:
            prune_ngram(arpa, args.prune)
    arpa_to_g(args.out, args.words, args.out.parent / f"G_{args.order}_gram.fst.txt")

    counts = count_words(sentences)
    rows = [
        ["sentences", len(sentences)],
        ["words", counts.total()],
        [f"  of them {UNKNOWN}", counts[UNKNOWN]],
        ["words of words.txt never seen", len(words - counts.keys())],
        *([f"{order}-grams", count] for order, count in enumerate(ngram_counts(args.out), 1)),
    ]
    print_table(f"Language model {args.out}", ["", "value"], rows)


if __name__ == "__main__":
    run_main(main)
