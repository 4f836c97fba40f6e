"""Synthesise a corpus in the layout of LibriSpeech, with phone times; the same bytes on every run."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from espeak import SAMPLING_RATE as SYNTHESIS_RATE
from espeak import Synthesiser
from scipy.signal import resample_poly
from sentences import split_text
from speakers import Speaker, make_speakers
from tqdm import tqdm

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, write_lines
from mt4ssl.table import markdown_table, print_table

SAMPLING_RATE = 16000
SEED = 2022
MOST_CHARACTERS_PER_SECOND = 15  # speech is slower than this, so that held-out text suffices
HEADER = ["split", "speakers", "utterances", "minutes", "sentences", "words", "vocabulary", "characters/s"]


@dataclass(frozen=True)
class Utterance:
    """What was spoken: `duration` in seconds, `phones` as (symbol, start ms, end ms), each word with its phones."""

    id: str
    split: str
    speaker: int
    text: str
    duration: float
    phones: list[tuple[str, int, int]]
    words: list[tuple[str, tuple[str, ...]]]


def record(
    synthesiser: Synthesiser, speaker: Speaker, text: str, seed: int
) -> tuple[np.ndarray, list[tuple[str, int, int]], list[tuple[str, tuple[str, ...]]]]:
    """Return int16 samples at 16 kHz, the phones and the words of one sentence, with a short silence on both sides."""
    generator = np.random.default_rng([SEED, speaker.id, seed])
    speech, events = synthesiser.speak(text, speaker.voice, speaker.rate, speaker.pitch, seed)
    speech = resample_poly(speech.astype(np.float64), SAMPLING_RATE // 50, SYNTHESIS_RATE // 50)
    before, after = generator.integers(SAMPLING_RATE // 10, 3 * SAMPLING_RATE // 10, size=2)
    signal = np.pad(speech, (before, after)) * 10 ** (speaker.level / 20) / np.sqrt(np.mean(speech**2))
    signal += generator.normal(scale=10 ** ((speaker.level - speaker.snr) / 20), size=len(signal))
    samples = np.round(signal.clip(-1, 1) * 32767).astype(np.int16)

    starts = [("sil", 0)]
    starts += [(name, int(1000 * (before / SAMPLING_RATE + start / SYNTHESIS_RATE))) for name, start, _ in events]
    starts = [next(group) for _, group in itertools.groupby(starts, key=lambda event: event[0])]
    ends = [start for _, start in starts[1:]] + [1000 * len(samples) // SAMPLING_RATE]
    phones = [(name, start, end) for (name, start), end in zip(starts, ends) if end > start]
    return samples, phones, pronunciations(text, events)


def pronunciations(text: str, events: list[tuple[str, int, int]]) -> list[tuple[str, tuple[str, ...]]]:
    """Return each word of a text with its phones, but for words that are spoken as one, as espeak-ng does `of the`."""
    spoken = defaultdict(list)
    for name, _, position in events:
        if name != "sil":
            spoken[position].append(name)
    starts = [match.start() for match in re.finditer(r"\S+", text)]
    alone = [start for start, following in zip(starts, [*starts[1:], None]) if following is None or following in spoken]
    return [(text[start:].partition(" ")[0], tuple(spoken[start])) for start in alone if start in spoken]


def read_aloud(speaker: Speaker, sentences: list[str], seconds: float, corpus: Path) -> list[Utterance]:
    """Let a speaker read the sentences for so long; write the FLAC files and their trans.txt."""
    chapter = corpus / speaker.split / str(speaker.id) / "1"
    chapter.mkdir(parents=True)
    synthesiser = Synthesiser()
    utterances: list[Utterance] = []
    spoken = 0.0
    for number, text in enumerate(sentences):
        samples, phones, words = record(synthesiser, speaker, text, number)
        duration = len(samples) / SAMPLING_RATE
        if utterances and spoken + duration / 2 > seconds:
            break
        spoken += duration
        name = f"{speaker.id}-1-{number:04d}"
        soundfile.write(chapter / f"{name}.flac", samples, SAMPLING_RATE)
        utterances.append(Utterance(name, speaker.split, speaker.id, text, duration, phones, words))
    else:
        raise UserError(f"{len(sentences)} sentences are too few for the split {speaker.split}: ask for fewer minutes")
    transcript = "".join(f"{utterance.id} {utterance.text}\n" for utterance in utterances)
    (chapter / f"{speaker.id}-1.trans.txt").write_text(transcript)
    return utterances


def choose_labelled(utterances: list[Utterance], seconds: float) -> list[Utterance]:
    """Return the first training utterances that sum up to `seconds`: all that the first few speakers said.

    Text for a few speakers, speech of many: as in Libri-light, this is what pre-training is for.
    """
    train = [utterance for utterance in utterances if utterance.split == "train"]
    ends = list(itertools.accumulate(utterance.duration for utterance in train))
    return [utterance for utterance, end in zip(train, ends) if end - utterance.duration / 2 <= seconds]


def reading_list(sentences: list[str], speakers: list[Speaker]) -> list[tuple[Speaker, list[str]]]:
    """Give each speaker of a split sentences of their own and, should they not suffice, everyone's."""
    share = len(speakers)
    return [
        (speaker, sentences[index::share] + random.Random(speaker.id).sample(sentences, len(sentences)))
        for index, speaker in enumerate(speakers)
    ]


def write_lists(corpus: Path, utterances: list[Utterance], labelled: list[Utterance], lm_text: list[str]) -> None:
    """Write phone times (CTM), pronunciations, the ids of the labelled utterances and the text for language models."""
    for split, group in itertools.groupby(utterances, key=lambda utterance: utterance.split):
        with open(corpus / f"phones_{split}.ctm", "w", encoding="utf-8") as ctm:
            for utterance in group:
                ctm.writelines(
                    f"{utterance.id} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} {name}\n"
                    for name, start, end in utterance.phones
                )
    counts = Counter(word for utterance in utterances for word in utterance.words)
    lines = (f"{word} {' '.join(phones)}" for (word, phones), _ in counts.most_common())
    write_lines(corpus / "lexicon.txt", lines)
    (corpus / "train_labelled.txt").write_text("".join(f"{utterance.id}\n" for utterance in labelled))
    (corpus / "lm.txt").write_text("".join(f"{sentence}\n" for sentence in lm_text))


def write_speakers(path: Path, speakers: list[Speaker], minutes: dict[int, float]) -> None:
    """Write SPEAKERS.TXT as LibriSpeech does, with the settings of the voice as the name."""
    with open(path, "w") as file:
        file.write(";ID  |SEX| SUBSET |MINUTES| NAME\n")
        for speaker in speakers:
            name = (
                f"{speaker.voice} rate {speaker.rate} pitch {speaker.pitch}"
                f" level {speaker.level:.1f} dB snr {speaker.snr:.1f} dB"
            )
            file.write(f"{speaker.id:<5}| {speaker.sex} | {speaker.split:<6} | {minutes[speaker.id]:5.2f} | {name}\n")


def summarise(name: str, utterances: list[Utterance]) -> list:
    """Return the row of a split for the table."""
    seconds = sum(utterance.duration for utterance in utterances)
    words = [word for utterance in utterances for word in utterance.text.split()]
    return [
        name,
        len({utterance.speaker for utterance in utterances}),
        len(utterances),
        seconds / 60,
        len({utterance.text for utterance in utterances}),
        len(words),
        len(set(words)),
        sum(len(utterance.text) for utterance in utterances) / seconds,
    ]


def parse_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    for option in ("train-minutes", "labelled-minutes", "dev-minutes", "test-minutes"):
        parser.add_argument(f"--{option}", type=float, required=True)
    for option in ("vocab-size", "train-speakers", "dev-speakers", "test-speakers", "nj"):
        parser.add_argument(f"--{option}", type=int, required=True)
    return parser.parse_args()


def main() -> None:
    """Make the corpus and print its table."""
    options = parse_arguments()
    minutes = {"dev": options.dev_minutes, "test": options.test_minutes, "train": options.train_minutes}
    counts = {"dev": options.dev_speakers, "test": options.test_speakers, "train": options.train_speakers}
    if min(value for name, value in vars(options).items() if name != "out") <= 0:
        raise UserError("every size of the corpus must be above zero")
    if options.labelled_minutes > options.train_minutes:
        raise UserError("--labelled-minutes is a part of --train-minutes and cannot be more")

    held_out = {split: 60 * minutes[split] * MOST_CHARACTERS_PER_SECOND for split in ("dev", "test")}
    sentences, lm_text = split_text(options.vocab_size, held_out, SEED)
    speakers = make_speakers(counts, SEED)
    # A voice of espeak-ng leaves traces in the next one (the same bytes for any --nj need a fresh process per
    # speaker), and a fork server that has the libraries makes such a process cheap.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["espeak", "scipy.signal", "soundfile"])
    with atomic_path(options.out) as corpus, processes.Pool(options.nj, maxtasksperchild=1) as pool:
        jobs = [
            pool.apply_async(read_aloud, (speaker, texts, 60 * minutes[split] / counts[split], corpus))
            for split in counts
            for speaker, texts in reading_list(sentences[split], [s for s in speakers if s.split == split])
        ]
        results = [job.get() for job in tqdm(jobs, desc="speakers", disable=None)]
        utterances = [utterance for of_speaker in results for utterance in of_speaker]
        labelled = choose_labelled(utterances, 60 * options.labelled_minutes)
        write_lists(corpus, utterances, labelled, lm_text)
        spoken = {of[0].speaker: sum(utterance.duration for utterance in of) / 60 for of in results}
        write_speakers(corpus / "SPEAKERS.TXT", speakers, spoken)
        splits = {split: [u for u in utterances if u.split == split] for split in ("train", "dev", "test")}
        rows = [summarise(*item) for item in {**splits, "train_labelled": labelled}.items()]
        (corpus / "REPORT.md").write_text(f"# Synthesised corpus\n\n{markdown_table(HEADER, rows)}\n")
    print_table(f"Corpus in {options.out} ({len(lm_text)} lines of text for language models)", HEADER, rows)


if __name__ == "__main__":
    run_main(main)
