"""Check the configs of a recipe before hours of work; print the labels that its pre-training needs, one a line."""

from __future__ import annotations

import argparse
import math
import shlex
from pathlib import Path

import torch

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import load_config, parse_config
from mt4ssl.data.batches import micro_batches
from mt4ssl.data.ctc import check_augment
from mt4ssl.errors import UserError, run_main
from mt4ssl.models.pretrained import load_architecture
from mt4ssl.ranges import Count, number
from mt4ssl.train.finetuning import FinetuneConfig, check_reinit
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig, check_initial, make_model
from mt4ssl.train.processes import check_shares
from mt4ssl.train.task import LoopConfig


def get_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretrain", help="arguments of mt4ssl.bin.pretrain, quoted, without those that name its data")
    parser.add_argument("--kmeans", type=Path, nargs="*", default=[], help="configs of the K-means that makes labels")
    parser.add_argument(
        "--pretrained", type=Path, help="folder of the model to fine-tune, if it is there, where none is to be trained"
    )
    parser.add_argument(
        "--finetune", action="append", default=[], help="arguments of mt4ssl.bin.finetune, without those of its data"
    )
    parser.add_argument("--processes", type=number(Count), default=1, help="number of processes of each training")
    parser.add_argument("--avg", type=number(Count), default=1, help="number of checkpoints of these that are averaged")
    return parser.parse_args()


def main() -> None:
    args = get_args()
    model, labels = None, []
    if args.pretrain is not None:
        pretraining = parse_config(PretrainConfig, "", [*NO_DATA, *shlex.split(args.pretrain)])
        check_pretraining(pretraining, args.kmeans)
        model, labels = pretraining.model, pretraining.labels()
        if args.pretrained is None:
            check_processes("pre-training", pretraining.loop, args.processes)
    if args.pretrained is not None:
        model = load_architecture(args.pretrained) if (args.pretrained / "config.yaml").exists() else None
    for arguments in args.finetune:
        no_data = [*NO_DATA, "--lang", "", "--pretrained", ""]
        finetuning = parse_config(FinetuneConfig, "", [*no_data, *shlex.split(arguments)])
        check_kept(finetuning.loop, args.avg)
        check_processes("fine-tuning", finetuning.loop, args.processes)
        if model is not None:
            check_augment(finetuning.augment, model.frontend.reads)
            if not finetuning.from_scratch:
                check_reinit(finetuning.reinit_layers, model.encoder.layers)
    for name in labels:
        print(name)


def check_pretraining(config: PretrainConfig, kmeans: list[Path]) -> None:
    """Raise UserError if the model cannot be built, or a config of the K-means that makes its labels is wrong."""
    with torch.device("meta"):  # weights of no size: what cannot be built says so
        make_model(config)
    check_initial(config)
    for path in kmeans if config.labels() else []:
        check_kmeans(path, config.model.encoder.layers)


def check_processes(training: str, loop: LoopConfig, processes: int) -> None:
    """Raise UserError naming the training unless so many processes can share its updates."""
    try:
        check_shares(micro_batches(loop.batch_seconds, loop.max_batch_seconds)[0], processes, loop.batch_seconds)
    except UserError as error:
        raise UserError(f"{training}: {error}") from error


def check_kept(loop: LoopConfig, count: int) -> None:
    """Raise UserError unless a training keeps so many checkpoints."""
    kept = min(loop.keep, math.ceil(loop.updates / loop.save_every))
    if kept < count:
        raise UserError(
            f"--avg is {count}: by loop.keep, updates and save_every, fine-tuning keeps {kept} checkpoints: lower it, "
            "or change them, with which stage 8 trains again"
        )


def check_kmeans(path: Path, layers: int) -> None:
    """Raise UserError naming the file if it is no config of a K-means on MFCC, or on a model of so many layers."""
    try:
        config = load_config(KMeansConfig, path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if config.features == "layer" and config.layer > layers:
        raise UserError(f"{path}: layer is {config.layer}: the model has {layers}")


if __name__ == "__main__":
    run_main(main)
