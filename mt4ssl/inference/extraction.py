"""Features of a pre-trained model, or K-means tokens of them, in the files that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lhotse import CutSet, MonoCut
from lhotse.cut import Cut
from tqdm import tqdm

from mt4ssl.clustering.features import LayerFeatures
from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import Labeller
from mt4ssl.config import load_config
from mt4ssl.data.audio import Probe, make_recording, probe
from mt4ssl.data.signals import SAMPLING_RATE
from mt4ssl.data.storage import store_arrays
from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require

Extracted = Iterable[tuple[Cut, np.ndarray]]
"""Cuts with their features (T, C) or tokens (T,)."""
COMMAND = "a name that ends in | would be run as a command: rename it"


@dataclass
class Count:
    """What has been extracted so far, and what has not."""

    utterances: int = 0
    frames: int = 0
    left_out: list[str] = field(default_factory=list)
    """Of each utterance that cannot be used, its name and what is wrong."""

    def leave_out(self, problem: str) -> None:
        """Note an utterance that cannot be used, and say so at once."""
        self.left_out.append(problem)
        tqdm.write(f"left out: {problem}", file=sys.stderr)


def audio_cuts(paths: Sequence[Path], count: Count) -> list[Cut]:
    """Make a cut of each file that can be used, named after it: at 16 kHz, mixed down; UserError if one is missing."""
    cuts = []
    for path in tqdm(paths, unit="file", disable=None, desc="checking audio"):
        require(path, "no such audio file")
        found = Probe(problem=COMMAND) if str(path).endswith("|") else probe(str(path))
        if found.problem:
            count.leave_out(f"{path}: {found.problem} {found.detail}".strip())
        else:
            cuts.append(make_recording(path.stem, str(path), found, channel=None).to_cut())
    return cuts


def check_cuts(cuts: Iterable[Cut], kaldi: bool) -> None:
    """Raise UserError unless all cuts are mono, of 16 kHz, and differ in id; Kaldi's ids have no spaces either."""
    seen = set()
    for cut in cuts:
        if cut.id in seen:
            raise UserError(f"two utterances are called {cut.id!r}: rename an audio file, or a cut")
        if not isinstance(cut, MonoCut):
            raise UserError(f"{cut.id} is a {type(cut).__name__}: only plain cuts of one channel can be read")
        if cut.sampling_rate != SAMPLING_RATE:
            raise UserError(f"{cut.id} has {cut.sampling_rate} samples a second: convert it to {SAMPLING_RATE}")
        if kaldi and cut.id.split() != [cut.id]:
            raise UserError(f"{cut.id!r} cannot be an id in Kaldi's files: take out the spaces, or use --format lhotse")
        seen.add(cut.id)


def layer_labeller(folder: Path, features: LayerFeatures) -> Labeller:
    """Open the K-means of a folder as the tokeniser of these features; UserError if it was trained on others."""
    require(folder / "centroids.npy", "made by stage 3 (kmeans)")
    config = load_config(KMeansConfig, folder / "config.yaml")
    if config.features != "layer" or config.layer != features.layer:
        source = "MFCC" if config.features == "mfcc" else f"layer {config.layer}"
        raise UserError(f"{folder} was trained on {source}, not on layer {features.layer}")
    labeller, dim = Labeller(folder, features), features.architecture.encoder.dim
    trained_on = labeller.centroids.shape[1]
    if trained_on != dim:
        raise UserError(f"{folder} was trained on features of {trained_on} dimensions, not {dim}")
    return labeller


def extract(
    cuts: Iterable[Cut], features: Callable[[Cut], np.ndarray], count: Count
) -> Iterator[tuple[Cut, np.ndarray]]:
    """Yield and count each cut with its features or tokens; leave out those that cannot be read, or have no frame.

    Raises UserError if that leaves none.
    """
    for cut in tqdm(cuts, unit="cut", disable=None, desc="extracting"):
        try:
            frames = features(cut)
        except UserError as error:
            count.leave_out(str(error))
            continue
        if not len(frames):
            file = f" ({cut.recording.sources[0].source})" if cut.has_recording else ""
            count.leave_out(f"{cut.id}{file} lasts {cut.duration:g} s, too short for a frame of this model")
            continue
        count.utterances += 1
        count.frames += len(frames)
        yield cut, frames
    if not count.utterances:
        raise UserError(f"no utterance can be used: {count.left_out[0]}")


def write_tokens(folder: Path, extracted: Extracted) -> None:
    """Write tokens as Kaldi text, tokens.txt: one `id token token …` per line, in the order they come."""
    with atomic_path(folder / "tokens.txt") as temporary, open(temporary, "w", encoding="utf-8") as file:
        for cut, tokens in extracted:
            print(cut.id, *tokens, file=file)


def write_cuts(folder: Path, name: str, frame_shift: float, extracted: Extracted) -> None:
    """Write the cuts as cuts.jsonl.gz, with their arrays as the temporal array `name`, stored in a folder beside it."""
    cuts = store_arrays(folder / name, name, frame_shift, extracted)
    with atomic_path(folder / "cuts.jsonl.gz") as temporary:
        CutSet.from_cuts(cuts).to_file(temporary)
