"""Make a lang dir: tokens, words and lexicon from the labelled transcripts and the language-model text."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import require
from mt4ssl.lang.lexicon import choose_words, count_words, write_lang
from mt4ssl.lang.symbols import UNKNOWN
from mt4ssl.lang.transcripts import read_transcripts
from mt4ssl.lang.units import UNITS
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--supervisions", type=Path, required=True, help="Lhotse supervisions of the labelled speech")
    parser.add_argument(
        "--lm-text", type=Path, required=True, help="text for the language model, one sentence per line"
    )
    parser.add_argument("--vocab-size", type=int, help="keep only this many words, the most frequent (default: all)")
    parser.add_argument("--unit", choices=list(UNITS), default="char", help="what words are spelled with")
    parser.add_argument("--size", type=int, default=500, help="number of units of --unit bpe (default: 500)")
    parser.add_argument("--out", type=Path, required=True, help="lang dir to write")
    return parser.parse_args()


def main() -> None:
    args = get_args()
    transcripts = read_transcripts(args.supervisions)
    sentences = require(args.lm_text, "stage 0 makes it").read_text(encoding="utf-8").splitlines()
    spoken = count_words(transcripts)
    words = choose_words(spoken + count_words(sentences), args.vocab_size)
    if not words:
        raise UserError(f"{args.supervisions} and {args.lm_text} have no words")

    args.out.mkdir(parents=True, exist_ok=True)
    kind = UNITS[args.unit]
    unit = kind.make(args.out, transcripts, sentences, words, args.size)
    for name in {name for other in UNITS.values() for name in other.files} - set(kind.files):
        (args.out / name).unlink(missing_ok=True)  # it would say that the lang dir is another unit's
    write_lang(args.out, unit.tokens, words, lambda word: unit.spell([word]))

    missing = sum(spoken[word] for word in spoken.keys() - set(words))
    print_table(
        f"Lang dir {args.out}",
        ["", "count"],
        [
            ["tokens (blank included)", len(unit.tokens)],
            ["words (without " + UNKNOWN + ")", len(words)],
            ["transcripts", len(transcripts)],
            ["words in transcripts", spoken.total()],
            ["  of them out of vocabulary", f"{missing} ({100 * missing / max(spoken.total(), 1):.2f} %)"],
        ],
    )


if __name__ == "__main__":
    run_main(main)
