"""Stage 8: CTC fine-tuning of a pre-trained model, or the same training without pre-training."""

from __future__ import annotations

from pathlib import Path

from mt4ssl.config import parse_config
from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.results import read_log
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import FinetuneConfig, FinetuneTask
from mt4ssl.train.loop import train
from mt4ssl.train.processes import join_processes


def main() -> None:
    config = parse_config(FinetuneConfig, __doc__ or "")
    require(Path(config.pretrained) / "config.yaml", "made by stage 5 (pretrain)")
    device = join_processes()
    folder, loop = Path(config.exp_dir), config.loop
    task = FinetuneTask(config, device)
    print_table(
        f"fine-tuning {folder.name} from {'scratch' if config.from_scratch else config.pretrained}: "
        f"{len(task.tokens)} tokens, {loop.updates} updates of {loop.batch_seconds:g} s",
        ["split", "cuts", "rejected (more tokens than frames)", "rejected (longer than max_seconds)", "minutes"],
        [
            [split, len(data.cuts), rejected, too_long, data.cuts.durations.sum() / 60]
            for split, data, rejected, too_long in (
                ("train", task.train_data, task.rejected, task.too_long),
                ("dev", task.dev_data, task.dev_rejected, task.dev_too_long),
            )
        ],
    )  # fmt: skip
    unknown = task.unknown_in_dev()
    if unknown:
        utterance, characters = next(iter(unknown.items()))
        print(
            f"warning: {len(unknown)} utterances of dev have characters that no token spells, {utterance} for example "
            f"{' '.join(characters)}: they count as errors, and the loss of dev leaves them out"
        )
    train(task)
    rates = task.tokens.unit.measures
    rows = [[entry["step"], entry["loss"], *(entry[name] for name in rates)] for entry in read_log(folder, "dev")]
    header = ["update", "loss", *(f"{name.upper()} %" for name in rates)]
    print_table(f"fine-tuning {folder.name}, greedy search on dev", header, rows)


if __name__ == "__main__":
    run_main(main)
