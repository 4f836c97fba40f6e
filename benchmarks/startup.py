"""How soon things start: the import, `--help` of every verb, and a pre-training on the manifests of 960 hours.

The manifests are made up, with durations and lines as LibriSpeech's; all cuts share the arrays of four recordings.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from lhotse import LilcomChunkyWriter, NumpyFilesWriter, Recording
from lhotse.supervision import SupervisionSegment
from rows import Row, out_argument, seconds, write_rows

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.clustering.labels import write_label_config
from mt4ssl.config import save_config
from mt4ssl.data.features import make_extractor
from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig
from mt4ssl.table import markdown_table
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import TeacherTarget
from mt4ssl.train.pretraining import PretrainConfig
from mt4ssl.train.task import LoopConfig

ROOT = Path(__file__).parent.parent
LIBRISPEECH = 281_241  # utterances of its three training sets
LONGEST = 25  # seconds


def durations(count: int) -> np.ndarray:
    """Seconds of utterances (N,) spread as in LibriSpeech: two thirds last 12 to 17 s, the mean is 12.3 s."""
    rng = np.random.default_rng(0)
    drawn = np.where(rng.random(count) < 0.68, rng.normal(14.5, 1.2, count), rng.uniform(1.5, 14, count))
    return drawn.clip(1.3, LONGEST - 0.5).round(3)


def store_recordings(folder: Path) -> list[dict[str, Any]]:
    """Store noise, its fbank and random labels; return cuts of them in the form of JSON."""
    rng, clusters, stored = np.random.default_rng(0), KMeansConfig().clusters, []
    labels = NumpyFilesWriter(folder / "labels")
    with LilcomChunkyWriter(folder / "fbank.lca") as fbank:
        for name in "abcd":
            soundfile.write(folder / f"{name}.flac", rng.normal(0, 0.1, LONGEST * 16000), 16000)
            cut = Recording.from_file(folder / f"{name}.flac").to_cut()
            text = " ".join("".join(rng.choice(list("ETAOINSHR"), 4)) for _ in range(34))
            cut.supervisions = [SupervisionSegment(name, name, 0, cut.duration, text=text, speaker=name)]
            cut = cut.compute_and_store_features(make_extractor("fbank"), fbank)
            array = rng.integers(0, clusters, LONGEST * 100).astype(np.int16)
            cut.kmeans = labels.store_array(name, array, frame_shift=0.01, temporal_dim=0, start=0)
            stored.append(cut.to_dict())
    write_label_config(KMeansConfig(), folder)
    return stored


def write_cuts(path: Path, stored: list[dict[str, Any]], lengths: np.ndarray) -> str:
    """Write a manifest of cuts that last `lengths` seconds (N,); return its path."""
    with gzip.open(path, "wt", compresslevel=6) as file:
        for number, length in enumerate(lengths.tolist()):
            cut = {**stored[number % len(stored)], "id": f"utterance-{number * 7919 % 999983:06d}", "duration": length}
            file.write(json.dumps(cut) + "\n")
    return str(path)


def tiny_config(train: str, dev: str, folder: Path, **loop: Any) -> PretrainConfig:
    """A pre-training of a model so small that what surrounds it is seen: 30 s of audio an update."""
    return PretrainConfig(
        train, dev, str(folder / "exp"),
        model=ModelConfig(
            FrontendConfig("fbank", 24, [3, 3], [2, 2]),
            EncoderConfig(layers=2, dim=32, ffn_dim=64, heads=4, pos_conv_width=5, pos_conv_depth=1, pos_conv_groups=4),
        ),
        targets=[KMeansTarget("kmeans", layer=2), TeacherTarget("teacher", top_k=2, layer=2)],
        loop=LoopConfig(batch_seconds=30.0, max_batch_seconds=30.0, dtype="fp32", **loop),
    )  # fmt: skip


def run(*arguments: str) -> float:
    """Seconds of a Python process."""
    return seconds(lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True))


def first_update(config: Path) -> float:
    """Seconds from the start of the process `pretrain` to what it logs after its first update."""
    begin, logged = time.perf_counter(), 0.0
    command = [sys.executable, "-m", "mt4ssl.bin.pretrain", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "update 1 train" in line:
                logged = time.perf_counter() - begin
    if process.returncode or not logged:
        sys.exit(f"error: {' '.join(command)} failed")
    return logged


def verb_help(verb: str) -> str:
    """Seconds that `--help` of a verb takes the second time, or why it has none here."""
    command = [sys.executable, "-m", f"mt4ssl.bin.{verb}", "--help"]
    for _ in range(2):
        begin = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        took = time.perf_counter() - begin
    return f"{took:.2f}" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def main() -> None:
    out = out_argument(__doc__ or "")
    with TemporaryDirectory() as name:
        folder = Path(name)
        # As where the library has been used before: Python finds the byte code that the first run of a bench leaves.
        os.environ.update(PYTHONPYCACHEPREFIX=str(folder / "pycache"), PYTHONDONTWRITEBYTECODE="", PYTHONUNBUFFERED="1")
        stored = store_recordings(folder)
        train = write_cuts(folder / "train.jsonl.gz", stored, durations(LIBRISPEECH))
        dev = write_cuts(folder / "dev.jsonl.gz", stored, durations(8))
        starts = []
        for number in range(4):
            exp = folder / f"exp{number}"
            save_config(tiny_config(train, dev, exp, updates=1), exp / "pretrain.yaml")
            starts.append(first_update(exp / "pretrain.yaml"))
        nothing, importing, torch_alone = (
            median([run("-c", code) for _ in range(6)][1:])
            for code in ("", "import mt4ssl, sys; sys.exit('torch' in sys.modules)", "import torch")
        )
        verbs = sorted(path.stem for path in (ROOT / "mt4ssl/bin").glob("*.py") if path.stem != "__init__")
        table = markdown_table(["`--help` of", "s"], [[verb, verb_help(verb)] for verb in verbs])
    start = median(starts[1:])
    rows = [
        Row("`import mt4ssl` in a fresh process", importing, "s", "< 0.3", importing < 0.3,
            f"torch is not loaded; the interpreter alone takes {nothing:.3f} s; torch, which the models import, "
            f"{torch_alone:.2f} s"),
        Row(f"from the start of `pretrain` to its first update, {durations(LIBRISPEECH).sum() / 3600:.0f} h", start,
            "s", "<= 10", start <= 10,
            f"median of 3, and {starts[0]:.1f} s once without byte code; {torch_alone:.2f} s of it import torch; tiny "
            f"model, manifest of {LIBRISPEECH} cuts"),
    ]  # fmt: skip
    write_rows(rows, out, table)


if __name__ == "__main__":
    main()
