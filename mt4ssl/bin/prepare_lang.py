"""Make a lang dir: tokens, words and lexicon from the labelled transcripts and the language-model text."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import require
from mt4ssl.lang.lexicon import choose_words, count_words, write_lang
from mt4ssl.lang.symbols import UNKNOWN
from mt4ssl.lang.tokens import BLANK, BOUNDARY, spell
from mt4ssl.table import print_table


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--supervisions", type=Path, required=True, help="Lhotse supervisions of the labelled speech")
    parser.add_argument("--lm-text", type=Path, required=True, help="one sentence per line")
    parser.add_argument("--vocab-size", type=int, help="keep only this many words, the most frequent (default: all)")
    parser.add_argument("--bpe", type=int, metavar="N", help="N sentencepiece units (default: characters)")
    parser.add_argument("--out", type=Path, required=True, help="lang dir to write")
    return parser.parse_args()


def read_transcripts(path: Path) -> list[str]:
    """Return the texts of a Lhotse supervision manifest (.jsonl.gz)."""
    require(path, "python -m mt4ssl.bin.prepare_manifests makes it")
    transcripts = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for supervision in map(json.loads, lines):
            text = " ".join((supervision.get("text") or "").split())
            if not text:
                raise UserError(f"{path}: utterance {supervision['id']} has no text; label it or leave it out")
            transcripts.append(text)
    return transcripts


def main() -> None:
    args = get_args()
    transcripts = read_transcripts(args.supervisions)
    sentences = require(args.lm_text, "stage 0 makes it").read_text(encoding="utf-8").splitlines()
    spoken = count_words(transcripts)
    words = choose_words(spoken + count_words(sentences), args.vocab_size)
    if not words:
        raise UserError(f"{args.supervisions} and {args.lm_text} have no words")

    args.out.mkdir(parents=True, exist_ok=True)
    if args.bpe:
        from mt4ssl.lang.bpe import train_bpe

        bpe = train_bpe(transcripts + [line for line in sentences if line], args.bpe, args.out / "bpe.model")
        tokens = [bpe.id_to_piece(number) for number in range(bpe.get_piece_size())]
        write_lang(args.out, tokens, words, lambda word: bpe.encode(word, out_type=str))
    else:
        (args.out / "bpe.model").unlink(missing_ok=True)
        characters = sorted(set("".join([*spoken, *words])))
        tokens = [BLANK, BOUNDARY, *characters]
        write_lang(args.out, tokens, words, lambda word: spell([word]))

    missing = sum(spoken[word] for word in spoken.keys() - set(words))
    print_table(
        f"Lang dir {args.out}",
        ["", "count"],
        [
            ["tokens (blank included)", len(tokens)],
            ["words (without " + UNKNOWN + ")", len(words)],
            ["transcripts", len(transcripts)],
            ["words in transcripts", spoken.total()],
            ["  of them out of vocabulary", f"{missing} ({100 * missing / max(spoken.total(), 1):.2f} %)"],
        ],
    )


if __name__ == "__main__":
    run_main(main)
