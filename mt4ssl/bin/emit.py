"""Stage 9: average checkpoints, write CTC log-probs as Kaldi ark/scp, their prior, and hypotheses of greedy search."""

from __future__ import annotations

import argparse
from pathlib import Path

import kaldiio

from mt4ssl.checkpoint import average_last
from mt4ssl.data.ctc import transcript
from mt4ssl.data.loading import read_cuts
from mt4ssl.data.storage import write_ark
from mt4ssl.decode.greedy import greedy_search
from mt4ssl.decode.log_probs import write_prior
from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.inference.log_probs import log_probs
from mt4ssl.lang.symbols import write_text
from mt4ssl.lang.tokens import Tokens
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import load_ctc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder that stage 8 wrote")
    parser.add_argument(
        "--avg", type=number(Count), default=5, help="number of last checkpoints to average (default: 5)"
    )
    parser.add_argument("--cuts", type=Path, required=True, help="cuts of the split, with transcripts")
    parser.add_argument("--split", required=True, help="name of the split, in the output files")
    args = parser.parse_args()

    require(args.model / "final.pt", "made by stage 8 (finetune)")
    model, config, architecture = load_ctc(args.model, average_last(args.model, args.avg))
    cuts, _ = read_cuts(str(args.cuts))
    path = args.model / "log_probs" / args.split
    write_ark(path, log_probs(model, architecture, cuts, config.loop.workers, args.split))
    tokens = Tokens(args.model)
    matrices = kaldiio.load_scp(str(path.with_name(f"{args.split}.scp")))
    hypotheses = {name: tokens.decode(greedy_search(matrices[name])).split() for name in matrices}
    write_prior(path.with_name(f"{args.split}.prior"), (matrices[name] for name in matrices), tokens.symbols)
    texts = {cut.id: transcript(cut) for cut in cuts}
    write_text(path.with_name(f"{args.split}.text"), {name: text.split() for name, text in texts.items()})
    greedy = args.model / "ctc-greedy-search"
    write_text(
        greedy / f"refs-{args.split}.txt", {name: tokens.reference(text).split() for name, text in texts.items()}
    )
    write_text(greedy / f"hyps-{args.split}.txt", hypotheses)
    print_table(
        f"log-probs of {args.split} from {args.model}",
        ["split", "utterances in", "out", "rejected", "checkpoints averaged"],
        [[args.split, len(cuts), len(hypotheses), len(cuts) - len(hypotheses), args.avg]],
    )


if __name__ == "__main__":
    run_main(main)
