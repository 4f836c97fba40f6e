"""Which utterances to have transcribed next: those whose labels are most like other speech, without any text.

Each utterance gets a cross-entropy difference: how much better a trigram model of the labels of the pool knows it than
one of the speech that the recogniser is for. The lowest are selected, as many as the budget of seconds holds. A random
choice of as many seconds is written too, to compare with. Both lists can be `ids` of a split in conf/corpus.yaml.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mt4ssl.clustering.tokens import labels_of
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import read_cuts
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import write_lines
from mt4ssl.lang.selection import cross_entropy_difference, within_budget
from mt4ssl.ranges import CountOrZero, Positive, number
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=Path, required=True, help="pool to select from: cuts with labels")
    parser.add_argument("--like", type=Path, required=True, help="speech that the recogniser is for: cuts with labels")
    labels = "name of the labels, whose repeats count once: of frames (kmeans), or of mt4ssl.bin.make_tokens (tokens)"
    parser.add_argument("--labels", default="kmeans", help=f"{labels}; default: kmeans")
    parser.add_argument("--seconds", type=number(Positive), required=True, help="seconds of speech to select")
    parser.add_argument("--seed", type=number(CountOrZero), default=0, help="seed of the random choice (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write: selected.txt, random.txt")
    return parser.parse_args()


def sentences(cuts: Cuts, name: str) -> list[str]:
    """Return the deduplicated labels of each cut as a sentence, whose words are numbers."""
    return [" ".join(map(str, labels)) for _, labels in labels_of(cuts, name)]


def main() -> None:
    args = get_args()
    pool = read_cuts(str(args.cuts))[0]
    differences = cross_entropy_difference(
        sentences(pool, args.labels), sentences(read_cuts(str(args.like))[0], args.labels)
    )
    orders = {
        "selected": np.argsort(differences, kind="stable"),
        "random": np.random.default_rng(args.seed).permutation(len(pool)),
    }
    rows = []
    for name, order in orders.items():
        chosen = within_budget(order, pool.durations, args.seconds)
        if not len(chosen):
            raise UserError(f"--seconds {args.seconds:g} hold no utterance of {args.cuts}: raise it")
        rows.append(row(name, pool, chosen, differences))
        write_lines(args.out / f"{name}.txt", (pool[index].id for index in chosen))
    rows.append(row("pool", pool, np.arange(len(pool)), differences))
    header = ["list", "utterances", "seconds", "speakers", "cross-entropy difference (nats)"]
    print_table(f"{args.seconds:g} s of {args.cuts.name} that are most like {args.like.name}", header, rows)


def row(name: str, pool: Cuts, chosen: np.ndarray, differences: np.ndarray) -> list[str | int | float]:
    """Return what the table says of some cuts of the pool."""
    speakers = {supervision.speaker for index in chosen for supervision in pool[index].supervisions}
    return [name, len(chosen), float(pool.durations[chosen].sum()), len(speakers), float(differences[chosen].mean())]


if __name__ == "__main__":
    run_main(main)
