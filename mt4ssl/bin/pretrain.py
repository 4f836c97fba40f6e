"""Stage 5: masked pre-training with offline and online targets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mt4ssl.config import parse_config, save_config
from mt4ssl.errors import run_main
from mt4ssl.results import read_log
from mt4ssl.table import print_table
from mt4ssl.train.loop import train
from mt4ssl.train.optim import make_optimizer
from mt4ssl.train.pretraining import PretrainConfig, PretrainTask, with_clusters
from mt4ssl.train.processes import is_first, join_processes


def main() -> None:
    config = with_clusters(parse_config(PretrainConfig, __doc__ or ""))
    device = join_processes()
    folder = Path(config.exp_dir)
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)
        save_config(config, folder / "config.yaml")
    task = PretrainTask(config, device)
    parameters = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
    data = task.train_data
    print_table(
        f"pre-training {folder.name}",
        ["parameters", "cuts", f"rejected (< {config.min_seconds} s)", "hours", "updates", "batch s", "micro-batches"],
        [[
            f"{parameters / 1e6:.2f} M", len(data.cuts), task.rejected, data.cuts.durations.sum() / 3600,
            config.loop.updates, config.loop.batch_seconds, data.parts,
        ]],
    )  # fmt: skip
    optimizer = make_optimizer([(task.model, 1.0)], config.optim)
    train(task, optimizer, data, config.optim, config.loop, folder, device, asdict(config))
    last = {split: read_log(folder, split)[-1] for split in ("train", "dev")}
    rows = [
        [name, value, last["train"].get(name, "")]
        for name, value in last["dev"].items()
        if name not in ("step", "split")
    ]
    print_table(f"pre-training {folder.name} after {last['dev']['step']} updates", ["measure", "dev", "train"], rows)


if __name__ == "__main__":
    run_main(main)
