"""Make the text for language models: lm_text of corpus.yaml, or else the transcripts, normalised, a sentence a line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mt4ssl.data.corpus import read_corpus
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path
from mt4ssl.lang.lexicon import count_words
from mt4ssl.lang.lm_text import check_form, find_files, read_sentences, write_sentences
from mt4ssl.lang.transcripts import read_transcripts
from mt4ssl.table import print_table

MOST = 0.9  # a text with fewer of the words of the transcripts gets a warning


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="conf/corpus.yaml: lm_text, and the form of text")
    parser.add_argument(
        "--supervisions", type=Path, nargs="+", required=True, help="Lhotse supervisions of the labelled speech"
    )
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="supervisions of dev, to compare with")
    parser.add_argument("--out", type=Path, required=True, help="text file to write")
    return parser.parse_args()


def main() -> None:
    args = get_args()
    corpus = read_corpus(args.corpus)
    transcripts = {name: text for path in args.supervisions for name, text in read_transcripts(path).items()}
    held_out = {text for path in args.held_out for text in read_transcripts(path).values()}
    spoken = count_words(transcripts.values())
    sentences = (
        read_sentences(find_files(corpus.lm_text), corpus.text.normalise) if corpus.lm_text else transcripts.values()
    )
    with atomic_path(args.out) as temporary:
        text = write_sentences(sentences, temporary, held_out)
        if not text.sentences:
            raise UserError(f"{args.corpus}: no file of lm_text has a sentence: give text, or leave lm_text out")
        check_form(text, spoken)

    share = text.share(spoken)
    print_table(
        f"Text for language models {args.out}",
        ["", "count"],
        [
            ["sentences", text.sentences],
            ["  of them in a held-out set", text.held_out],
            ["words", text.words.total()],
            ["vocabulary", len(text.words)],
            ["words of the transcripts in the vocabulary", f"{100 * share:.2f} %"],
        ],
    )
    if corpus.lm_text and text.held_out:
        print(
            f"warning: {text.held_out} sentences of lm_text are sentences of dev too: error rates will be too "
            "low unless you take them out",
            file=sys.stderr,
        )
    if share < MOST:
        print(
            f"warning: the text for language models has {100 * share:.0f} % of the words of the transcripts: "
            "more text, or another form of it (text: in corpus.yaml), would help",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_main(main)
