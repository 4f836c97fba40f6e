"""Measure the rates of stages 1 to 4, in some minutes, and print the lines of mt4ssl/data/rates.py that hold them.

What is measured is CPU time, so that other work on the machine changes little. The audio is noise in the shape of
speech; all files are in the page cache, so that no disk is measured.
"""

from __future__ import annotations

import gzip
import importlib
import io
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything reads it: threads that wait for work would count as work

import numpy as np
import soundfile
import torch
from lhotse import load_manifest_lazy
from scipy.signal import lfilter
from startup import durations

from mt4ssl.data.loading import load_input
from mt4ssl.data.rates import LOADING, Rates
from mt4ssl.data.signals import FBANK, SAMPLING_RATE, WAVEFORM
from mt4ssl.scoring.report import machine

AN_HOUR = 300  # utterances, spread as in LibriSpeech
DIFFERENT = 100  # recordings, of which all utterances are links
FEW, MANY, SHORT = 1_000, 10_000, 0.3  # utterances, and their seconds: what more of them take, each of them takes
LOUDNESS = 0.012  # makes FLAC as large as LibriSpeech's, of whose 960 h it is 60 GB
CUTS = "x_cuts_train.jsonl.gz"


@dataclass
class Cost:
    """What a verb took."""

    own: float
    """CPU seconds of its process."""
    workers: float
    """CPU seconds of the processes that it started."""
    memory: float
    """Bytes that its process held at most."""
    arrays: int = 0
    """Bytes that it wrote, but for manifests."""
    manifests: int = 0
    """Bytes of manifests that it wrote."""


def speech_like(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Return noise (S,) with the spectrum of a vowel, in three syllables a second."""
    size = round(seconds * SAMPLING_RATE)
    syllables = np.sin(3 * np.pi * np.arange(size) / SAMPLING_RATE) ** 2 + 0.02
    vowel = lfilter([1.0], np.convolve([1.0, -1.6, 0.8], [1.0, -0.3, 0.5]), rng.normal(size=size))
    return (LOUDNESS * syllables * vowel).clip(-1, 1)


def write_corpus(folder: Path, lengths: np.ndarray, count: int) -> float:
    """Write a FLAC file for each length (N,) in seconds, and links to them up to `count` files; return their hours."""
    rng, paths = np.random.default_rng(0), []
    for number in range(count):
        path = folder / f"audio/{number // 1000:03d}/{number:06d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < len(lengths):
            soundfile.write(path, speech_like(lengths[number], rng), SAMPLING_RATE)
        else:
            os.link(paths[number % len(lengths)], path)
        paths.append(path)
    (folder / "corpus.yaml").write_text("splits: {train: {audio: audio}}\nmax_seconds: 30\n")  # a file is an utterance
    (folder / "kmeans.yaml").write_text("{max_frames: 3000, clusters: 100}\n")
    return float(np.resize(lengths, count).sum()) / 3600


def alone(function: Callable[..., Any], folder: Path, *args: Any) -> Any:
    """Call a function in a process of its own, in that folder, which has loaded most modules already."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork"), os.chdir, (folder,)) as pool:
        return pool.submit(function, *args).result()


def call(verb: str, arguments: list[str]) -> Cost:
    """Run a verb in this process."""
    torch.set_num_threads(1)
    sys.argv = [verb, *arguments]
    main = importlib.import_module(f"mt4ssl.bin.{verb}").main
    before, begin = os.times(), time.process_time()
    with redirect_stdout(io.StringIO()):
        main()
    own, after = time.process_time() - begin, os.times()
    workers = after.children_user + after.children_system - before.children_user - before.children_system
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return Cost(own, workers, int(peak[1]) * 1024)


def run_stages(folder: Path) -> dict[str, Cost]:
    """Run stages 1 to 4 on the corpus in a folder; return what each step took."""
    costs = {}

    def step(name: str, verb: str, options: str) -> None:
        costs[name] = cost = alone(call, folder, verb, options.split())
        for path in (folder / name.replace(", on the fly", "_fly")).rglob("*"):
            if ".jsonl" in path.name:
                cost.manifests += path.stat().st_size
            elif path.is_file():
                cost.arrays += path.stat().st_size
        print(f"{folder.name}: {name}: {cost}", file=sys.stderr)

    split = "--corpus x --split train --nj 1"
    step("manifests", "prepare_manifests", f"--config corpus.yaml {split} --out manifests")
    for kind in ("fbank", "mfcc"):
        features = f"--type {kind} {split} --manifests manifests"
        step(kind, "compute_features", f"{features} --out {kind}")
        step(f"{kind}, on the fly", "compute_features", f"{features} --out {kind}_fly --on-the-fly")
    step("kmeans", "train_kmeans", f"--config kmeans.yaml --cuts mfcc/{CUTS} --out kmeans")
    for name, fly in (("labels", ""), ("labels, on the fly", "_fly")):
        step(name, "make_labels", f"--kmeans kmeans --features mfcc{fly}/{CUTS} --cuts fbank{fly}/{CUTS} --split train "
             f"--nj 1 --out labels{fly}/{CUTS}")  # fmt: skip
    return costs


def loading_speed(kind: str) -> float:
    """Seconds of audio that a data worker of a training reads in a second of its core."""
    torch.set_num_threads(1)
    cuts = list(load_manifest_lazy(f"{'fbank' if kind == 'fbank' else 'fbank_fly'}/{CUTS}"))
    signal = WAVEFORM if kind == "waveform" else FBANK
    load_input(cuts[0], signal)  # with what is made once
    begin = time.process_time()
    for cut in cuts:
        load_input(cut, signal)
    return sum(cut.duration for cut in cuts) / (time.process_time() - begin)


def made_of_short_files(folder: Path, count: int) -> dict[str, Cost]:
    """What stages 1 to 4 take of so many files of SHORT seconds."""
    write_corpus(folder, np.full(DIFFERENT, SHORT), count)
    return run_stages(folder)


def main() -> None:
    with TemporaryDirectory() as name:
        few, many = (made_of_short_files(Path(name) / str(count), count) for count in (FEW, MANY))
        folder = Path(name) / "an hour"
        hours = write_corpus(folder, durations(DIFFERENT), AN_HOUR)
        costs = run_stages(folder)
        audio = sum(path.stat().st_size for path in folder.rglob("*.flac"))
        lines = gzip.decompress((folder / f"labels/{CUTS}").read_bytes())
        speeds = {kind: float(f"{alone(loading_speed, folder, kind):.3g}") for kind in LOADING}
    print(f"MEASURED: {machine()}\nFLAC = {audio / hours:.3g}\nCOPY = {len(lines) / AN_HOUR:.3g}\nLOADING = {speeds}")
    for step, cost in costs.items():
        own, memory, manifests = (
            (getattr(many[step], what) - getattr(few[step], what)) / (MANY - FEW)
            for what in ("own", "memory", "manifests")
        )
        rates = Rates(cost.workers / hours, 0.0, own, memory, cost.arrays / hours, manifests)
        if step == "kmeans":  # one cut at a time is in its memory, and a sample of frames, however many there are
            rates = Rates(utterance=own)
        values = ", ".join(f"{key}={value:.3g}" for key, value in vars(rates).items() if value)
        print(f'    "{step}": Rates({values}),')


if __name__ == "__main__":
    main()
