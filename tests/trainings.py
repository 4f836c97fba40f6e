"""Runs of small pre-trainings, and what two of them that are the same have in common."""

from pathlib import Path

import torch

from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.results import read_log
from mt4ssl.train.loop import train
from mt4ssl.train.pretraining import PretrainTask

MEASURED = {"audio_s_per_s", "utilisation", "data_wait"}


def run(config):
    """Run a training to its end; return its final weights."""
    train(PretrainTask(config, torch.device("cpu")))
    return weights(config)


def weights(config):
    """Final weights of a training."""
    return load_checkpoint(Path(config.exp_dir) / "final.pt")["model"]


def logged(config):
    """All that is logged of a training, but for what is measured."""
    entries = [entry for split in ("train", "dev") for entry in read_log(Path(config.exp_dir), split)]
    return [{name: value for name, value in entry.items() if name not in MEASURED} for entry in entries]


def check_as_whole(config, whole):
    """Run a training to its end; its weights and its log must be those of another one."""
    resumed = run(config)
    assert all(torch.equal(weight, resumed[name]) for name, weight in weights(whole).items())
    assert logged(config) == logged(whole)
