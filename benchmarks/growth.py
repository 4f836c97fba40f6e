"""What grows with the corpus: time to open it, memory, time of a step; and what waiting and padding cost."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rows import Row, out_argument, seconds, write_rows
from startup import ROOT, durations, store_recordings, tiny_config, write_cuts

from mt4ssl.config import parse_config
from mt4ssl.data.batches import BatchPlan, micro_batches
from mt4ssl.results import read_log
from mt4ssl.table import markdown_table
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask, with_clusters
from mt4ssl.train.task import LoopConfig

SIZES = (1_000, 10_000, 100_000, 300_000)


def alone(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def peak_memory() -> float:
    """MiB that this process has held at most (VmHWM)."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def run(config: PretrainConfig) -> tuple[PretrainTask, list[dict[str, Any]]]:
    """Pre-train; return the task and what the training logged."""
    config, device = with_clusters(config), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task = PretrainTask(config, device)
    train(task)
    return task, read_log(Path(config.exp_dir), "train")


def opening(config: PretrainConfig) -> tuple[float, float]:
    """Seconds to open the training set with its plan, and to the first batch's cuts: medians of three."""
    task = PretrainTask(with_clusters(replace(config, train_cuts=config.dev_cuts)), torch.device("cpu"))
    opened, begun = [], []
    for _ in range(3):
        made: list[Any] = []
        opened.append(seconds(lambda: made.append(task.dataset(config.train_cuts)[0])))  # noqa: B023
        begun.append(seconds(lambda: made[0].plan[0]))  # noqa: B023
    return median(opened), median(begun)


def growing(config: PretrainConfig) -> tuple[float, float]:
    """Seconds of a step in the best of some windows, and peak MiB, of a pre-training that reads its data itself."""
    torch.set_num_threads(1)  # a second thread, where others compute too, waits more than it works
    _, log = run(config)
    return min(config.loop.batch_seconds / entry["audio_s_per_s"] for entry in log[1:]), peak_memory()


def waiting(config: PretrainConfig) -> tuple[float, float, float]:
    """Percent of the time that steps wait for data; of the frames, padding; of the audio, what crops leave out."""
    task, log = run(config)
    data = task.train_data
    batches = [data.batch(number) for number in range(20)]
    places = sum(len(batch.inputs) * batch.inputs.size(1) for batch in batches)
    padded = 1 - sum(int(batch.lengths.sum()) for batch in batches) / places
    whole = sum(data.plan.durations[data.plan[number]].sum() for number in range(20))
    cropped = 1 - sum(batch.seconds for batch in batches) / whole
    return 100 * log[-1]["data_wait"], 100 * padded, 100 * cropped


def padding(lengths: np.ndarray, loop: LoopConfig) -> float:
    """Percent of padded frames in an epoch of fine-tuning on utterances of so many seconds (N,)."""
    plan = BatchPlan(lengths, micro_batches(loop.batch_seconds, loop.max_batch_seconds)[1], seed=0)
    batches = [lengths[plan[number]] for number in range(plan.batches_per_epoch)]
    return 100 * (1 - float(lengths.sum() / sum(len(batch) * batch.max() for batch in batches)))


def main() -> None:
    out = out_argument(__doc__ or "")
    with TemporaryDirectory() as name:
        folder = Path(name)
        stored = store_recordings(folder)
        dev = write_cuts(folder / "dev.jsonl.gz", stored, durations(8))
        opened, begun, steps, memory = [], [], [], []
        for size in SIZES:
            cuts = write_cuts(folder / f"{size}.jsonl.gz", stored, durations(size))
            config = tiny_config(cuts, dev, folder / str(size), updates=100, log_every=20, workers=0)
            for kept, value in zip((opened, begun, steps, memory), (*alone(opening, config), *alone(growing, config))):
                kept.append(value)
        small = parse_config(PretrainConfig, "", [
            "--config", str(ROOT / "egs/espeak/conf/pretrain.yaml"), "--train-cuts", str(folder / "1000.jsonl.gz"),
            "--dev-cuts", dev, "--exp-dir", str(folder / "small"), "--loop.updates", "100", "--loop.log-every", "50",
        ])  # fmt: skip
        wait, padded, cropped = alone(waiting, small)
    finetune = LoopConfig(batch_seconds=1600.0)
    shares = {hours: padding(durations(round(hours * 3600 / 12.3)), finetune) for hours in (1, 10, 100)}
    starts = [sum(parts) for parts in zip(opened, begun)]
    times, grown, extra = SIZES[-1] / SIZES[1], starts[-1] / starts[1], memory[-1] - memory[0]
    each = extra * 2**20 / (SIZES[-1] - SIZES[0])
    rows = [
        Row(f"sampler start with {SIZES[-1]} utterances: manifest, batch plan, first batch", starts[-1], "s",
            f"<= {1.1 * times:.0f} x that of {SIZES[1]} (linear, give or take a tenth)", grown <= 1.1 * times,
            f"{grown:.1f} x; {1e6 * starts[-1] / SIZES[-1]:.1f} us an utterance, most of them reading the manifest"),
        Row(f"memory that {SIZES[-1]} utterances take over {SIZES[0]} in a pre-training", extra, "MiB",
            f"<= 5 % of the process ({memory[0]:.0f} MiB)", extra <= 0.05 * memory[0],
            f"{each:.0f} B an utterance, {each / 12.3 * 3600 / 1024:.1f} KiB an hour, {each * 281_241 / 2**20:.0f} MiB "
            "for 960 h: 24 B are kept of a cut, the rest is the sort of an epoch; audio, features and labels are "
            "never held"),
        Row(f"step of a pre-training on {SIZES[-1]} utterances", 1000 * steps[-1], "ms", f"<= 1.2 x that on {SIZES[0]}",
            steps[-1] <= 1.2 * steps[0],
            f"{steps[-1] / steps[0]:.2f} x; best of four windows of 20; tiny model, one thread, 30 s of audio"),
        Row("time that steps wait for data, pre-training of `egs/espeak`", wait, "%", "< 3", wait < 3,
            "stored fbank and labels in the page cache, one worker"),
        Row("padded frames in pre-training batches", padded, "%", "0", padded == 0,
            f"crops to the shortest of a batch leave out {cropped:.1f} % of the audio of an epoch"),
        Row("padded frames in fine-tuning batches, 10 h in the shape of LibriSpeech", shares[10], "%", "< 5",
            shares[10] < 5, f"{shares[1]:.1f} % with 1 h, {shares[100]:.1f} % with 100 h; up to 240 s a batch"),
    ]  # fmt: skip
    table = markdown_table(
        ["utterances", "hours", "open, s", "first batch of the plan, ms", "peak memory, MiB", "step, ms"],
        [
            [size, f"{durations(size).sum() / 3600:.1f}", *(f"{x:.3g}" for x in (o, 1000 * b, m, 1000 * s))]
            for size, o, b, m, s in zip(SIZES, opened, begun, memory, steps)
        ],
    )
    write_rows(rows, out, table)


if __name__ == "__main__":
    main()
