"""Stage 5: masked pre-training with offline and online targets."""

from __future__ import annotations

from pathlib import Path

from mt4ssl.config import parse_config
from mt4ssl.errors import run_main
from mt4ssl.results import read_log
from mt4ssl.table import print_table
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask, with_clusters
from mt4ssl.train.processes import join_processes


def main() -> None:
    config = with_clusters(parse_config(PretrainConfig, __doc__ or ""))
    device = join_processes()
    folder, loop = Path(config.exp_dir), config.loop
    task = PretrainTask(config, device)
    parameters = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
    print_table(
        f"pre-training {folder.name}: {parameters / 1e6:.2f} M parameters, {loop.updates} updates of "
        f"{loop.batch_seconds:g} s in {task.train_data.parts} micro-batches",
        ["split", "cuts", f"rejected (< {config.min_seconds:g} s)", "hours"],
        [
            [split, len(data.cuts), rejected, data.cuts.durations.sum() / 3600]
            for split, data, rejected in (
                ("train", task.train_data, task.rejected), ("dev", task.dev_data, task.dev_rejected)
            )
        ],
    )  # fmt: skip
    train(task)
    last = {split: read_log(folder, split)[-1] for split in ("train", "dev")}
    rows = [
        [name, value, last["train"].get(name, "")]
        for name, value in last["dev"].items()
        if name not in ("step", "split")
    ]
    print_table(f"pre-training {folder.name} after {last['dev']['step']} updates", ["measure", "dev", "train"], rows)


if __name__ == "__main__":
    run_main(main)
