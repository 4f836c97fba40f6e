"""Decode CTC log-probabilities with k2: one-best over HLG, or rescored with a larger n-gram, with several weights."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from mt4ssl.decode.decoder import Decoder
from mt4ssl.decode.graph import load_graph
from mt4ssl.decode.log_probs import load_log_probs, log_prob_offsets
from mt4ssl.decode.search import Beam
from mt4ssl.decode.weights import Weights, grid, search
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import require
from mt4ssl.lang.symbols import read_symbols, read_text, write_text
from mt4ssl.lang.tokens import Tokens
from mt4ssl.ranges import Count, CountOrZero, Finite, Positive, number
from mt4ssl.scoring.wer import check_same_utterances, count_errors
from mt4ssl.table import print_table

LM_SCALES = [0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 2.0]
WORD_SCORES = [-1.0, 0.0, 2.0, 4.0, 6.0]


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--log-probs", type=Path, required=True, help="scp file of CTC log-probs (T, V) by utterance")
    parser.add_argument("--lang", type=Path, required=True, help="lang dir, which has HLG.pt")
    parser.add_argument("--method", choices=["1best", "whole-lattice-rescoring"], default="1best", help="search")
    parser.add_argument("--rescore-with", type=Path, help="G_4_gram.pt, the LM of whole-lattice-rescoring")
    parser.add_argument(
        "--lm-scales", type=number(Positive), nargs="+", default=LM_SCALES, help="weights of the LM to try"
    )
    parser.add_argument(
        "--word-scores", type=number(Finite), nargs="+", default=WORD_SCORES, help="scores added per word, to try"
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--weights-from", type=Path, help="take the best weights of another split's wer-SPLIT.json")
    choice.add_argument(
        "--ref",
        type=Path,
        help="Kaldi text file: where its best weights lie on an edge of those to try, try others beyond",
    )
    parser.add_argument("--split", required=True, help="name of the split, in the output files")
    parser.add_argument("--out", type=Path, required=True, help="directory of hyps-SPLIT-lm_scale_X_word_score_Y.txt")
    parser.add_argument(
        "--hlg-scale", type=number(Positive), default=1.0, help="LM scale of the search that makes the lattices"
    )
    parser.add_argument(
        "--blank-penalty",
        type=number(Finite),
        default=0.0,
        help="nats to take from the blank's log-prob in every frame: CTC is surer of blanks than right",
    )
    parser.add_argument("--prior", type=Path, help="log-priors of the tokens, SPLIT.prior of stage 9")
    parser.add_argument(
        "--prior-scale",
        type=number(Finite),
        default=0.0,
        help="part of the log-priors to take from the log-probs, as a hybrid system takes all of them",
    )
    parser.add_argument("--search-beam", type=number(Positive), default=20.0, help="beam of the search")
    parser.add_argument("--output-beam", type=number(Positive), default=8.0, help="beam of the lattices that are kept")
    parser.add_argument(
        "--min-active-states", type=number(CountOrZero), default=30, help="least states kept in a frame"
    )
    parser.add_argument("--max-active-states", type=number(Count), default=10000, help="most states kept in a frame")
    parser.add_argument(
        "--arcs-per-frame",
        type=number(Count),
        default=50,
        help="mean size of rescored lattices: it bounds memory and time",
    )
    parser.add_argument(
        "--max-frames", type=number(Count), default=1000, help="most frames in a batch; a GPU takes far more"
    )
    parser.add_argument("--nj", type=number(Count), default=1, help="number of processes; on a GPU it is always one")
    parser.add_argument("--device", default="cpu", help="torch device: cpu or cuda")
    args = parser.parse_args()
    if (args.rescore_with is None) == (args.method == "whole-lattice-rescoring"):
        parser.error("--rescore-with G_4_gram.pt goes with --method whole-lattice-rescoring")
    return args


def best_weights(path: Path) -> Weights:
    """Return the best weights of a wer-SPLIT.json."""
    key = json.loads(require(path, "decode and score dev first").read_text())["best"]
    weights = Weights.parse(key)
    if weights is None:
        raise UserError(f"{path}: its best result is {key!r}, not an LM scale")
    return weights


def without_gaps(hypotheses: Mapping[str, list[str] | None]) -> dict[str, list[str]]:
    """Return the words of each utterance, none where there is no path."""
    return {utterance: words or [] for utterance, words in hypotheses.items()}


def main() -> None:
    args = get_args()
    torch.set_num_threads(1)  # k2 on the CPU is serial, and torch's tensors here are small: more threads only spin
    pairs = [best_weights(args.weights_from)] if args.weights_from else grid(args.lm_scales, args.word_scores)
    tokens = Tokens(args.lang)
    matrices, lengths = load_log_probs(args.log_probs, len(tokens))
    if args.ref:
        ref = read_text(args.ref)
        check_same_utterances(ref, lengths, str(args.log_probs))
    decoder = Decoder(
        hlg=load_graph(args.lang / "HLG.pt", args.device),
        words=list(read_symbols(args.lang / "words.txt")),
        g=load_graph(args.rescore_with, args.device) if args.rescore_with else None,
        hlg_scale=args.hlg_scale,
        offsets=log_prob_offsets(tokens.symbols, args.blank_penalty, args.prior, args.prior_scale),
        beam=Beam(args.search_beam, args.output_beam, args.min_active_states, args.max_active_states),
        arcs_per_frame=args.arcs_per_frame,
    )
    start = time.time()
    jobs = args.nj if args.device == "cpu" else 0
    with tempfile.TemporaryDirectory() as folder:
        lattices = decoder.make_lattices(matrices, lengths, args.max_frames, Path(folder), jobs)
        searched = {name for batch, _ in lattices for name in batch}
        failed = {name for name, frames in lengths.items() if frames and name not in searched}
        if failed and not lattices:
            raise UserError(f"{args.log_probs}: k2 fails at every utterance, as the lines above say")
        decode = partial(decoder.decode, lattices, lengths, jobs)
        if args.ref:
            hypotheses = search(decode, lambda texts: count_errors(ref, without_gaps(texts)), pairs)
        else:
            hypotheses = decode(pairs)
    seconds = time.time() - start
    made = {args.out / f"hyps-{args.split}-{weights}.txt": texts for weights, texts in hypotheses.items()}
    for path, texts in made.items():
        write_text(path, without_gaps(texts))
    for kind in ("hyps", "recogs", "errs"):  # of other scales, not to be scored with these
        for old in set(args.out.glob(f"{kind}-{args.split}-lm_scale_*.txt")) - made.keys():
            old.unlink()
    without_path = {utterance for utterance, words in hypotheses[pairs[0]].items() if words is None} - failed
    frames = sum(lengths.values())
    rows = [
        ["utterances", len(lengths)],
        ["  without a path (empty hypotheses)", len(without_path)],
        ["  that k2 fails at (empty hypotheses)", len(failed)],
        ["frames", frames],
        ["seconds", seconds],
        ["frames per second", round(frames / seconds)],
        ["pairs of LM scale and word score", len(hypotheses)],
        ["  of them beyond the edges of the grid", len(hypotheses.keys() - set(pairs))],
    ]
    print_table(f"Decoded {args.split} with {args.method}", ["", "value"], rows)
    if without_path:
        print(f"no path was found for: {' '.join(sorted(without_path))}", file=sys.stderr)
    if failed:
        names = " ".join(sorted(failed))
        print(f"warning: k2 fails, even with narrower beams, at: {names}; give it more memory", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
