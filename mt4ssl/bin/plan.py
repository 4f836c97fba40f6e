"""What a training of stage 5 or 8 would take on this machine, or on a GPU that is not here; it needs no data.

Here a short step is measured, and elsewhere its operations are counted.
Where the cuts are there already, also how often the training goes through them.
"""

from __future__ import annotations

import argparse
import math
import shlex
from contextlib import nullcontext
from pathlib import Path

import torch

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import load_config, parse_config
from mt4ssl.errors import run_main
from mt4ssl.lang.tokens import Tokens
from mt4ssl.models.pretrained import load_architecture
from mt4ssl.ranges import Count, number
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import FinetuneConfig, with_dropouts
from mt4ssl.train.planning import (
    MANY_EPOCHS,
    Plan,
    advise_on_updates,
    corpus_hours,
    epochs,
    plan_finetuning,
    plan_pretraining,
)
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig
from mt4ssl.train.projection import GPUS, SHARE, Gpu, shapes_alone
from mt4ssl.train.task import LoopConfig

UNKNOWN = "unknown before stage 1"
CHARACTERS = 30  # tokens, where no lang dir says how many: blank, boundary, letters, apostrophe


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["pretrain", "finetune"], help="kind of training")
    parser.add_argument(
        "--processes", type=number(Count), default=1, help="number of GPUs that the training is to have"
    )
    parser.add_argument(
        "--gpu", choices=GPUS, help="GPU that is not here, for which the time is projected from its data sheet"
    )
    parser.add_argument(
        "--kmeans",
        type=Path,
        help="config of the K-means that makes the labels, which says how many clusters there are",
    )
    parser.add_argument(
        "--corpus", type=Path, help="manifest of cuts or supervisions, where the cuts of the training are made later"
    )
    parser.add_argument(
        "--pretraining", help="arguments of the pre-training whose model is fine-tuned, where there is no model yet"
    )
    parser.add_argument(
        "arguments", nargs="+", help="after --, the arguments of mt4ssl.bin.pretrain or mt4ssl.bin.finetune"
    )
    return parser.parse_args()


def main() -> None:
    args = get_args()
    gpu = GPUS[args.gpu] if args.gpu else None
    device = torch.device("cuda" if gpu or torch.cuda.is_available() else "cpu")
    with shapes_alone() if gpu else nullcontext():
        plan, loop, cuts, most_epochs = make_plan(args, device, gpu)
    hours = corpus_hours(args.corpus or Path(cuts))
    show(plan, args.processes, loop, device, gpu, hours)
    if hours and (advice := advise_on_updates(loop, hours, most_epochs)):
        print(advice)


def make_plan(args: argparse.Namespace, device: torch.device, gpu: Gpu | None) -> tuple[Plan, LoopConfig, str, float]:
    """Return the plan, what it is of, the manifest of its cuts, and how many epochs are not too many."""
    if args.verb == "pretrain":
        pretraining = parse_config(PretrainConfig, "", args.arguments)
        if args.kmeans:
            clusters = load_config(KMeansConfig, args.kmeans).clusters
            pretraining = pretraining.with_classes(lambda _: clusters)
        plan = plan_pretraining(pretraining, args.processes, device, gpu)
        return plan, pretraining.loop, pretraining.train_cuts, MANY_EPOCHS
    finetuning = parse_config(FinetuneConfig, "", args.arguments)
    if args.pretraining is None:
        model = load_architecture(Path(finetuning.pretrained))
    else:
        model = parse_config(PretrainConfig, "", [*NO_DATA, *shlex.split(args.pretraining)]).model
    tokens = len(Tokens(finetuning.lang)) if (Path(finetuning.lang) / "tokens.txt").exists() else CHARACTERS
    plan = plan_finetuning(finetuning, with_dropouts(model, finetuning), tokens, args.processes, device, gpu)
    # fairseq's base_10m.yaml goes 35,000 times through its ten minutes: no number of epochs is too high.
    return plan, finetuning.loop, finetuning.train_cuts, math.inf


def show(
    plan: Plan, processes: int, loop: LoopConfig, device: torch.device, gpu: Gpu | None, hours: float | None
) -> None:
    """Print the plan as a table."""
    if gpu:
        name, source = f"{gpu.name}; none here", f"{SHARE:.0%} of its data sheet, not compiled"
    else:
        name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
        name, source = f"{name}; {max(1, torch.cuda.device_count())} here", f"steps of {plan.measured_seconds:g} s"
    rows = [
        ["parameters", f"{plan.parameters / 1e6:.2f} M and {plan.fixed / 1e6:.2f} M that are not trained"],
        ["global batch", f"{loop.batch_seconds:g} s of audio"],
        ["processes", f"{processes} ({name})"],
        ["accumulation", f"{plan.micro_batches} x {plan.micro_batch_seconds:g} s in each process"],
        ["updates", str(loop.updates)],
        ["hours in the corpus", f"{hours:.2f}" if hours else UNKNOWN],
        ["epochs", f"{epochs(loop, hours):.2f}" if hours else UNKNOWN],
        ["memory", f"{plan.memory / 2**30:.1f} GiB in each process"],
        ["speed", f"{plan.speed:.1f} s of audio a second, from {source}"],
        ["projected", f"{plan.hours:.1f} hours"],
    ]
    print_table("plan", ["", "value"], rows)


if __name__ == "__main__":
    run_main(main)
