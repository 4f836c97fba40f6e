"""What stages 1 to 4 would take of a corpus, by the rates that were measured elsewhere: docs/scale.md says where."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.data.rates import MEASURED, Corpus, brief, data_steps
from mt4ssl.errors import run_main
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="supervisions of the training set, if they exist")
    parser.add_argument("--types", nargs="+", choices=["fbank", "mfcc"], required=True, help="features of stage 2")
    parser.add_argument("--on-the-fly", choices=["true", "false"], required=True, help="whether no features are stored")
    parser.add_argument("--nj", type=number(Count), default=2, help="number of processes")
    args = parser.parse_args()

    if args.manifest.exists():
        corpus = Corpus.read(args.manifest)
        what = f"{corpus.hours:.2f} hours in {corpus.utterances:.0f} utterances"
    else:
        corpus = Corpus.like_librispeech(1000)
        what = "every 1000 hours: how many there are is unknown before stage 1"
    steps = data_steps(args.on_the_fly == "true", "mfcc" in args.types)
    rows = [
        [
            name, brief(rates.hours(corpus)), brief(rates.hours(corpus, args.nj)),
            brief(rates.bytes_in_memory(corpus) / 1e9), brief(rates.bytes_on_disk(corpus) / 1e9),
        ]
        for name, rates in steps.items()
    ]  # fmt: skip
    header = ["stage", "core-hours", f"hours with --nj {args.nj}", "GB of memory", "GB on disk"]
    print_table(f"plan of {what}", header, rows)
    print(f"measured on {MEASURED}")


if __name__ == "__main__":
    run_main(main)
