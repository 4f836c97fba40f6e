"""Make the graph G_N_gram.fst.txt of an n-gram that comes as an ARPA file."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.lang.ngram import arpa_to_g, ngram_counts
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arpa", type=Path, required=True, help="language model to read")
    parser.add_argument("--words", type=Path, required=True, help="words.txt; n-grams with other words are left out")
    parser.add_argument("--out", type=Path, required=True, help="G_N_gram.fst.txt to write")
    args = parser.parse_args()
    arpa_to_g(require(args.arpa, "made by stage 0 (data)"), args.words, args.out)
    rows = [[f"{order}-grams", count] for order, count in enumerate(ngram_counts(args.arpa), 1)]
    print_table(f"Language model {args.arpa}", ["", "count"], rows)


if __name__ == "__main__":
    run_main(main)
