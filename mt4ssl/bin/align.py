"""Add forced alignments to cuts, by the log-probs of a fine-tuned model: type `phone`, or `token` of other units.

Cuts with words that no token spells, or with more tokens than frames, are named, counted and left out.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lhotse import CutSet
from tqdm import tqdm

from mt4ssl.clustering.alignment import align_cuts, write_ctm
from mt4ssl.data.loading import read_cuts
from mt4ssl.decode.log_probs import load_log_probs
from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path
from mt4ssl.lang.tokens import Tokens
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="fine-tuned model, with log_probs/SPLIT.scp")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--cuts", type=Path, required=True, help="the cuts of the split, labelled or not")
    parser.add_argument("--out", type=Path, required=True, help="the cuts with alignments")
    parser.add_argument("--ctm", type=Path, help="the alignments alone, for `phones:` of a conf/corpus.yaml")
    args = parser.parse_args()

    tokens = Tokens(args.model)
    matrices, _ = load_log_probs(args.model / "log_probs" / f"{args.split}.scp", len(tokens))
    cuts, _ = read_cuts(str(args.cuts))
    bar = tqdm(cuts, unit="cut", disable=None, desc=f"aligning {args.split}")
    aligned, left_out = align_cuts(bar, matrices, tokens)
    for cut_id, reason in left_out.items():
        print(f"{cut_id} is left out: {reason}")
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(aligned).to_file(temporary)
    if args.ctm:
        write_ctm(args.ctm, aligned, tokens.unit.kind)
    print_table(
        f"alignments of {args.split} by {args.model}",
        ["split", "utterances in", "out", "rejected"],
        [[args.split, len(cuts), len(aligned), len(left_out)]],
    )


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
