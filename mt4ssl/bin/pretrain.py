"""Stage 5: masked pre-training with offline and online targets."""

from __future__ import annotations

from pathlib import Path

from mt4ssl.config import parse_config
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.pretraining import PretrainDataset
from mt4ssl.errors import run_main
from mt4ssl.results import read_log
from mt4ssl.table import print_table
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask, with_clusters
from mt4ssl.train.processes import join_processes

ENOUGH = 0.95  # of the hours; crops to the shortest cut of a batch alone cost two or three in a hundred


def main() -> None:
    config = with_clusters(parse_config(PretrainConfig, __doc__ or ""))
    device = join_processes()
    folder, loop = Path(config.exp_dir), config.loop
    task = PretrainTask(config, device)
    parameters = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
    train_hours, dev_hours = hours(task.train_data, task.rejected), hours(task.dev_data, task.dev_rejected)
    print_table(
        f"pre-training {folder.name}: {parameters / 1e6:.2f} M parameters, {loop.updates} updates of "
        f"{loop.batch_seconds:g} s in {task.train_data.parts} micro-batches",
        ["split", "cuts", f"rejected (< {config.min_seconds:g} s)", "hours in the corpus", "hours an epoch sees"],
        [
            ["train", len(task.train_data.cuts), len(task.rejected), *train_hours],
            ["dev", len(task.dev_data.cuts), len(task.dev_rejected), *dev_hours],
        ],
    )
    warn_of_crops(*train_hours, config.max_seconds)
    warn_of_layers(config)
    train(task)
    last = {split: read_log(folder, split)[-1] for split in ("train", "dev")}
    rows = [
        [name, value, last["train"].get(name, "")]
        for name, value in last["dev"].items()
        if name not in ("step", "split")
    ]
    print_table(f"pre-training {folder.name} after {last['dev']['step']} updates", ["measure", "dev", "train"], rows)


def hours(data: PretrainDataset, rejected: Cuts) -> tuple[float, float]:
    """Hours of all cuts, the rejected ones too, and of what an epoch sees of them."""
    seconds = data.cuts.durations.sum() + rejected.durations.sum()
    return float(seconds) / 3600, data.epoch_seconds() / 3600


def warn_of_crops(corpus: float, seen: float, max_seconds: float) -> None:
    """Say so when an epoch sees few of the hours of the corpus."""
    if seen < ENOUGH * corpus:
        print(
            f"warning: an epoch sees {seen / corpus:.0%} of the hours of train: longer cuts are cropped to max_seconds "
            f"({max_seconds:g}), and each batch to its shortest cut: raise max_seconds, or cut recordings without text "
            "into windows no longer than that (max_seconds in conf/corpus.yaml)"
        )


def warn_of_layers(config: PretrainConfig) -> None:
    """Say so when nothing trains the last layers."""
    layers, read = config.model.encoder.layers, max(target.layer for target in config.targets)
    if config.initial is None and read < layers:
        print(f"warning: no target reads a layer above {read}: the last {layers - read} of {layers} stay random")


if __name__ == "__main__":
    run_main(main)
