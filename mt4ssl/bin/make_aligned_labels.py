"""Labels of frames from alignments, for a target of `type: kmeans`: supervised, where the alignments are of text.

Each symbol of the alignments is a class, or, with --triphones, each phone in a frequent context and each third of the
others. One call labels all splits of a pre-training, so that they share the classes.
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from lhotse import CutSet
from lhotse.cut import Cut

from mt4ssl.clustering.contexts import frequent_triphones, in_context
from mt4ssl.clustering.labels import AlignmentLabels, aligned_symbols, label_by_alignment
from mt4ssl.config import save_config
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.signals import FBANK_SHIFT
from mt4ssl.data.storage import store_labels
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, write_lines
from mt4ssl.ranges import CountOrZero, number
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=Path, nargs="+", required=True, help="aligned cuts, a file for each split")
    parser.add_argument("--alignment", choices=["phone", "token"], default="phone", help="type of the alignments")
    parser.add_argument("--name", default="phones", help="name of the labels, and of the target that learns them")
    parser.add_argument(
        "--triphones",
        type=number(CountOrZero),
        default=0,
        help="number of the most frequent phones in context, of the first cuts, that are classes (default: none)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the labelled cuts, under the same names")
    args = parser.parse_args()

    splits: dict[str, Cuts] = {path.name: read_cuts(str(path))[0] for path in args.cuts}
    if len(splits) < len(args.cuts):
        raise UserError("two files of --cuts have the same name: --out can hold but one of them")
    aligned: dict[str, Cuts | list[Cut]] = dict(splits)
    if args.triphones:
        frequent = frequent_triphones(next(iter(splits.values())), args.alignment, args.triphones)
        aligned = {name: [in_context(cut, args.alignment, frequent) for cut in cuts] for name, cuts in splits.items()}
    symbols = aligned_symbols(chain(*aligned.values()), args.alignment)
    rows = []
    for name, cuts in splits.items():  # which keep the phones that they are aligned with
        labels = zip(cuts, label_by_alignment(aligned[name], args.alignment, symbols))
        stored = args.out / f"{args.name}_{name.partition('.')[0]}.npys"
        labelled = store_labels(stored, args.name, FBANK_SHIFT, labels)
        with atomic_path(args.out / name) as temporary:
            CutSet.from_cuts(labelled).to_file(temporary)
        rows.append([name, len(cuts), len(labelled), len(cuts) - len(labelled), len(symbols)])
    write_lines(args.out / f"{args.name}.txt", (f"{symbol} {number}" for number, symbol in enumerate(symbols)))
    save_config(AlignmentLabels(args.name, len(symbols)), args.out / f"{args.name}.yaml")
    print_table(f"labels {args.name}", ["cuts", "utterances in", "out", "rejected", "classes"], rows)


if __name__ == "__main__":
    run_main(main)
