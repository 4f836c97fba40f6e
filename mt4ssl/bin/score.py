"""Score every hyps-SPLIT*.txt of a directory: a table of error rates, and files in icefall's layout beside them."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from mt4ssl.decode.weights import Weights, on_edge
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import write_lines
from mt4ssl.lang.symbols import read_text
from mt4ssl.results import interval_cell, log_probs_id
from mt4ssl.scoring.icefall import errs_lines, recogs_lines, summary_lines
from mt4ssl.scoring.wer import check_same_utterances, score
from mt4ssl.table import print_table

RATES = {"spaces": "WER", "characters": "CER", "phones": "PER"}


def find_hypotheses(directory: Path, split: str) -> dict[str, Path]:
    """Return {key: file}: `lm_scale_X` of hyps-SPLIT-lm_scale_X.txt, the directory's name of hyps-SPLIT."""
    found = {
        path.stem[len(f"hyps-{split}-") :]: path for path in sorted(directory.glob(f"hyps-{split}-lm_scale_*.txt"))
    }
    if (directory / f"hyps-{split}.txt").exists():
        found[directory.resolve().name] = directory / f"hyps-{split}.txt"
    if not found:
        raise UserError(f"{directory} has no hyps-{split}*.txt; decode {split} first")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ref", type=Path, required=True, help="Kaldi text file of the references: id and words")
    parser.add_argument("--split", required=True, help="name of the split")
    parser.add_argument("--out", type=Path, required=True, help="directory of the hypotheses, and of the scores")
    parser.add_argument("--note", default="", help="a sentence about the split, to stand beside its scores for good")
    parser.add_argument(
        "--words",
        choices=list(RATES),
        default="spaces",
        help="what a word is: words of corpus.yaml, or phones; errors in characters are CER, in phones PER",
    )
    args = parser.parse_args()

    ref, name = read_text(args.ref), RATES[args.words]
    if not ref:
        raise UserError(f"{args.ref} has no utterances")
    rates = {}
    for key, path in find_hypotheses(args.out, args.split).items():
        hyp = read_text(path)
        check_same_utterances(ref, hyp, str(path))
        rates[key] = score(ref, hyp)
        write_lines(args.out / f"recogs-{args.split}-{key}.txt", recogs_lines(ref, hyp))
        write_lines(args.out / f"errs-{args.split}-{key}.txt", errs_lines(ref, hyp, rates[key], name))
    tried = [weights for weights in map(Weights.parse, rates) if weights]
    edge = {str(weights) for weights in tried if on_edge(weights, tried)}
    rates = dict(sorted(rates.items(), key=lambda item: (item[1].wer, item[0] in edge)))
    best = next(iter(rates))
    write_lines(args.out / f"wer-summary-{args.split}.txt", summary_lines(rates, name))
    results, rows = {}, []
    for key, rate in rates.items():
        counts = {"ins": rate.ins, "del": rate.dele, "sub": rate.sub, "words": rate.words}
        cer = rate.cer if name == "WER" else rate.wer
        results[key] = {"wer": rate.wer, "cer": cer, **counts, "ci95": rate.ci95}
        mark = "best" if key == best else ""
        rows.append(
            [key, rate.wer, interval_cell(rate.ci95), *([cer] if name == "WER" else []), *counts.values(), mark]
        )
    path = args.out / f"wer-{args.split}.json"
    scores = {"rate": name, "best": best, "note": args.note, "log_probs": log_probs_id(path), "results": results}
    write_lines(path, [json.dumps(scores, indent=2)])
    header = ["settings", name, "95 % interval", *(["CER"] if name == "WER" else []), "ins", "del", "sub", "words", ""]
    print_table(f"{name} of {args.split} in {args.out}", header, rows)
    if best in edge:
        print("The best lies on the edge of the LM scales and word scores that were tried: others may be better.")
    if args.note:
        print(args.note)


cli = partial(run_main, main)

if __name__ == "__main__":
    cli()
