"""Check the configs of a recipe before hours of work; print the labels that its pre-training needs, one a line."""

from __future__ import annotations

import argparse
import math
import shlex
from pathlib import Path

import torch

from mt4ssl.clustering.kmeans import KMeansConfig
from mt4ssl.config import load_config, parse_config
from mt4ssl.errors import UserError, run_main
from mt4ssl.ranges import Count, number
from mt4ssl.train.finetuning import FinetuneConfig
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig, make_model
from mt4ssl.train.task import LoopConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretrain", help="arguments of mt4ssl.bin.pretrain, quoted, without those that name its data")
    parser.add_argument("--kmeans", type=Path, nargs="*", default=[], help="configs of the K-means that makes labels")
    parser.add_argument(
        "--finetune", action="append", default=[], help="arguments of mt4ssl.bin.finetune, without those of its data"
    )
    parser.add_argument("--avg", type=number(Count), default=1, help="number of checkpoints of these that are averaged")
    args = parser.parse_args()
    for arguments in args.finetune:
        no_data = [*NO_DATA, "--lang", "", "--pretrained", ""]
        check_kept(parse_config(FinetuneConfig, "", [*no_data, *shlex.split(arguments)]).loop, args.avg)
    if args.pretrain is not None:
        pretraining = parse_config(PretrainConfig, "", [*NO_DATA, *shlex.split(args.pretrain)])
        with torch.device("meta"):  # weights of no size: what cannot be built says so
            make_model(pretraining)
        if pretraining.labels():
            for path in args.kmeans:
                check_kmeans(path, pretraining.model.encoder.layers)
        for name in pretraining.labels():
            print(name)


def check_kept(loop: LoopConfig, count: int) -> None:
    """Raise UserError unless a training keeps so many checkpoints."""
    kept = min(loop.keep, math.ceil(loop.updates / loop.save_every))
    if kept < count:
        raise UserError(f"--avg is {count}: by loop.keep, updates and save_every, fine-tuning keeps {kept} checkpoints")


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
