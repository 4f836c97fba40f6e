"""Stage 8: CTC fine-tuning of a pre-trained model, or the same training without pre-training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mt4ssl.config import parse_config
from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.results import read_log
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import FinetuneConfig, FinetuneTask, describe_ctc, finetune_groups
from mt4ssl.train.loop import train
from mt4ssl.train.optim import make_optimizer
from mt4ssl.train.processes import is_first, join_processes


def main() -> None:
    config = parse_config(FinetuneConfig, __doc__ or "")
    require(Path(config.pretrained) / "config.yaml", "made by stage 5 (pretrain)")
    device = join_processes()
    folder = Path(config.exp_dir)
    task = FinetuneTask(config, device)
    if is_first():
        describe_ctc(folder, task)
    data = task.train_data
    print_table(
        f"fine-tuning {folder.name}",
        ["weights from", "cuts", "rejected (more tokens than frames)", "minutes", "updates", "batch s", "tokens"],
        [[
            "scratch" if config.from_scratch else config.pretrained, len(data.cuts), task.rejected,
            data.cuts.durations.sum() / 60, config.loop.updates, config.loop.batch_seconds,
            len(task.tokens),
        ]],
    )  # fmt: skip
    optimizer = make_optimizer(finetune_groups(task.model, config), config.optim)
    train(task, optimizer, data, config.optim, config.loop, folder, device, asdict(config))
    rows = [[entry["step"], entry["loss"], entry["wer"], entry["cer"]] for entry in read_log(folder, "dev")]
    print_table(f"fine-tuning {folder.name}, greedy search on dev", ["update", "loss", "WER %", "CER %"], rows)


if __name__ == "__main__":
    run_main(main)
