"""Tokens for a model to read in place of speech: labels of frames without repeats, joined to longer units by BPE.

The cuts that it writes have them as the array `tokens`, which has no times. The labels may be those of stage 4, or the
tokens of mt4ssl.bin.extract_features --kmeans --format lhotse.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from lhotse import CutSet

from mt4ssl.clustering.tokens import UNKNOWN, Pieces, labels_of
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelled", type=Path, required=True, help="cuts with labels")
    parser.add_argument("--labels", default="kmeans", help="name of the labels (default: kmeans)")
    parser.add_argument("--cuts", type=Path, help="cuts to give tokens to, if not to all: a part of --labelled")
    parser.add_argument("--bpe", type=Path, help="file of a BPE model: tokens are its pieces, not single labels")
    parser.add_argument(
        "--bpe-size",
        type=number(Count),
        help="number of pieces of that model, which is trained on these cuts if it is not there",
    )
    parser.add_argument("--out", type=Path, required=True, help="manifest to write, of the cuts with tokens")
    args = parser.parse_args()
    if args.bpe_size and not args.bpe:
        parser.error("--bpe-size needs --bpe: the file of the model")
    return args


def open_pieces(path: Path, size: int | None, sequences: list[np.ndarray]) -> Pieces:
    """Open a BPE model, and train it first if it is not there and has a size; UserError if it has another one."""
    pieces = Pieces.train(path, sequences, size) if size and not path.exists() else Pieces(path)
    if size and len(pieces) != size:
        raise UserError(f"{path} has {len(pieces)} pieces, not {size}: name another file, or leave --bpe-size out")
    return pieces


def main() -> None:
    args = get_args()
    labels = dict(labels_of(read_cuts(str(args.labelled))[0], args.labels))
    cuts = list(read_cuts(str(args.cuts or args.labelled))[0])
    missing = [cut.id for cut in cuts if cut.id not in labels]
    if missing:
        raise UserError(f"{args.labelled} lacks {len(missing)} of the cuts, {missing[0]} for example: label them first")
    tokens = [labels[cut.id] for cut in cuts]
    if args.bpe:
        pieces = open_pieces(args.bpe, args.bpe_size, tokens)
        tokens = [pieces.encode(sequence) for sequence in tokens]
    folder = args.out.with_name(f"tokens_{args.out.name.partition('.')[0]}")
    stored = store_arrays(folder, "tokens", None, zip(cuts, tokens))
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(stored).to_file(temporary)

    every = np.concatenate(tokens)
    classes = len(pieces) if args.bpe else every.max(initial=0) + 1
    unknown = int((every == UNKNOWN).sum()) if args.bpe else 0
    rate = len(every) / sum(cut.duration for cut in cuts)
    print_table(
        f"tokens of {args.labels}",
        ["cuts", "utterances in", "out", "tokens", "a second", "classes", "labels that the BPE model lacks"],
        [[args.out.name, len(labels), len(stored), len(every), rate, classes, unknown]],
    )


if __name__ == "__main__":
    run_main(main)
