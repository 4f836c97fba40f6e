"""Make a lang dir: tokens, words and lexicon from the labelled transcripts and the language-model text."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import require, write_lines
from mt4ssl.lang.lexicon import choose_words, count_words, write_lang
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.symbols import UNKNOWN
from mt4ssl.lang.tokens import find_unknown
from mt4ssl.lang.transcripts import read_transcripts
from mt4ssl.lang.units import UNITS
from mt4ssl.lang.units.base import Unit
from mt4ssl.lang.units.characters import CharacterWords
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--supervisions", type=Path, nargs="+", required=True, help="Lhotse supervisions of the labelled speech"
    )
    parser.add_argument("--held-out", type=Path, nargs="+", default=[], help="supervisions of dev, to compare with")
    parser.add_argument(
        "--lm-text", type=Path, required=True, help="text for the language model, one sentence per line"
    )
    parser.add_argument(
        "--vocab-size", type=number(Count), help="keep only this many words, the most frequent (default: all)"
    )
    parser.add_argument("--unit", choices=list(UNITS), default="char", help="what words are spelled with")
    parser.add_argument("--size", type=number(Count), default=500, help="number of units of --unit bpe (default: 500)")
    parser.add_argument(
        "--words", choices=["spaces", "characters"], default="spaces", help="what a word is: words of corpus.yaml"
    )
    parser.add_argument(
        "--lexicon", default="", help="pronunciations of --unit phone: Kaldi's lexicon.txt, or cmudict for English"
    )
    parser.add_argument("--out", type=Path, required=True, help="lang dir to write")
    args = parser.parse_args()
    if args.words == "characters" and args.unit != "char":
        parser.error("--words characters goes with --unit char: there is nothing to divide words into")
    return args


def compare(unit: Unit, held_out: Path) -> None:
    """Say which characters of a held-out set no token spells."""
    unknown = find_unknown(unit, read_transcripts(held_out))
    if unknown:
        examples = ", ".join(f"{character} in {utterance}" for character, utterance in list(unknown.items())[:5])
        print(
            f"warning: {held_out} has {len(unknown)} characters that no token spells ({examples}): each counts as an "
            "error; correct the transcripts, or normalise them by text: in corpus.yaml, if they are wrong",
            file=sys.stderr,
        )


def list_unpronounced(unit: Unit, words: Sequence[str], spoken: Counter[str], path: Path) -> int:
    """Write the words that have no pronunciation, and how often the transcripts have them; return their number."""
    found = unit.unpronounced(words)
    if found:
        write_lines(path, (f"{word} {spoken[word]}" for word in found))
    else:
        path.unlink(missing_ok=True)
    return len(found)


def main() -> None:
    args = get_args()
    transcripts = {name: text for path in args.supervisions for name, text in read_transcripts(path).items()}
    require(args.lm_text, "made by stage 6 (lang)")
    spoken = count_words(transcripts.values())
    words = choose_words(spoken + count_words(read_lines(args.lm_text)), args.vocab_size)
    if not words:
        raise UserError(f"{args.supervisions[0]} and {args.lm_text} have no words")

    args.out.mkdir(parents=True, exist_ok=True)
    kind = CharacterWords if args.words == "characters" else UNITS[args.unit]
    unit = kind.make(args.out, list(transcripts.values()), read_lines(args.lm_text), words, args.size, args.lexicon)
    unknown = find_unknown(unit, transcripts)
    if unknown:
        character, utterance = next(iter(unknown.items()))
        raise UserError(
            f"utterance {utterance} has {character!r}, which no unit spells: correct the transcript, or normalise "
            "it by text: in corpus.yaml"
        )
    for name in {name for other in UNITS.values() for name in other.files} - set(kind.files):
        (args.out / name).unlink(missing_ok=True)  # it would say that the lang dir is another unit's
    write_lang(args.out, unit, words)
    unpronounced = list_unpronounced(unit, sorted({*words, *spoken}), spoken, args.out / "unpronounced.txt")

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
            *([["words nobody can pronounce (unpronounced.txt)", unpronounced]] if unpronounced else []),
        ],
    )
    for path in args.held_out:
        compare(unit, path)


if __name__ == "__main__":
    run_main(main)
