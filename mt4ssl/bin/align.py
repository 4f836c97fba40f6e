"""Add token alignments, type `token`, to cuts: forced alignments by the log-probs of a fine-tuned model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem
from lhotse.utils import fastcopy
from tqdm import tqdm

from mt4ssl.data.datasets import read_cuts, transcript
from mt4ssl.decode.batches import load_log_probs
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path
from mt4ssl.lang.tokens import Tokens
from mt4ssl.table import print_table
from mt4ssl.targets.alignment import align_tokens


def with_alignment(cut: Cut, items: List[AlignmentItem]) -> Cut:
    """Return the cut with one alignment more; UserError unless one supervision has all of its text."""
    if len(cut.supervisions) != 1:
        raise UserError(f"cut {cut.id} has {len(cut.supervisions)} supervisions: trim cuts to one each")
    (supervision,) = cut.supervisions
    alignment = {**(supervision.alignment or {}), "token": items}
    return fastcopy(cut, supervisions=[fastcopy(supervision, alignment=alignment)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--exp", type=Path, required=True, help="folder of a fine-tuned model, with log_probs/SPLIT.scp"
    )
    parser.add_argument("--split", required=True)
    parser.add_argument("--cuts", type=Path, required=True, help="the cuts of the split, labelled or not")
    parser.add_argument("--out", type=Path, required=True, help="the same cuts with alignments")
    args = parser.parse_args()

    tokens = Tokens(args.exp)
    matrices, _ = load_log_probs(args.exp / "log_probs" / f"{args.split}.scp", len(tokens))
    cuts, aligned = read_cuts(str(args.cuts))[0], []
    for cut in tqdm(cuts, unit="cut", disable=None, desc=f"aligning {args.split}"):
        if cut.id not in matrices:
            raise UserError(f"{args.exp} has no log-probs of {cut.id}: run stage 9 (emit) for these cuts")
        ids = tokens.encode(transcript(cut), cut.id)
        try:
            items = align_tokens(matrices[cut.id], ids, tokens.symbols, cut.duration)
        except UserError as error:
            raise UserError(f"cut {cut.id}: {error}") from error
        aligned.append(with_alignment(cut, items))
    with atomic_path(args.out) as temporary:
        CutSet.from_cuts(aligned).to_file(temporary)
    print_table(
        f"alignments of {args.split} by {args.exp}",
        ["split", "utterances in", "out", "rejected"],
        [[args.split, len(cuts), len(aligned), len(cuts) - len(aligned)]],
    )


if __name__ == "__main__":
    run_main(main)
