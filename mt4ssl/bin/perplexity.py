"""Stage 7: how well the language models know dev and the test sets: OOV rate, perplexity, sentences in their text."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mt4ssl.errors import run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.ngram import perplexity
from mt4ssl.lang.transcripts import read_transcripts
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arpa", type=Path, nargs="+", required=True, help="language models of the same words")
    parser.add_argument("--corpus", required=True, help="name of the corpus, the start of every file name")
    parser.add_argument("--manifests", type=Path, required=True, help="folder that stage 1 wrote")
    parser.add_argument("--splits", nargs="+", required=True, help="splits to measure on")
    parser.add_argument("--lm-text", type=Path, help="text that the language models were made of, a sentence a line")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()

    known = set(read_lines(args.lm_text)) if args.lm_text else set()
    results = {}
    for split in args.splits:
        texts = list(read_transcripts(args.manifests / f"{args.corpus}_supervisions_{split}.jsonl.gz").values())
        words = sum(len(text.split()) for text in texts)
        scores = {arpa.stem: perplexity(require(arpa, "made by stage 7 (graph)"), texts) for arpa in args.arpa}
        results[split] = {
            "words": words,
            "OOV %": 100 * scores[args.arpa[0].stem][1] / words,
            **{f"perplexity, {name}": value for name, (value, _) in scores.items()},
        }
        if known:
            results[split]["sentences in the LM text, %"] = 100 * sum(text in known for text in texts) / len(texts)
    with atomic_path(args.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n")
    header = ["set", *results[args.splits[0]]]
    print_table("Language models", header, [[split, *result.values()] for split, result in results.items()])


if __name__ == "__main__":
    run_main(main)
