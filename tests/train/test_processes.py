"""Two processes that share every update's micro-batches give what one gives, dropout and all."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run
from types import ModuleType

import pytest
import torch

from mt4ssl.bin import finetune, pretrain
from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.config import save_config
from mt4ssl.data.batches import micro_batches
from mt4ssl.errors import UserError
from mt4ssl.results import read_log
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.train import processes
from mt4ssl.train.finetuning import FinetuneConfig
from mt4ssl.train.pretraining import PretrainConfig

MEASURED = {"split", "audio_s_per_s", "utilisation", "data_wait"}


@pytest.fixture
def pretraining(pretrain_config: PretrainConfig) -> PretrainConfig:
    """Three micro-batches an update, LayerDrop and dropout, and a codebook that all of an update moves."""
    pretrain_config.model.encoder.layerdrop = 0.3
    pretrain_config.targets.append(CodebookTarget("codebook", clusters=4, layer=2, teacher_layer=2))
    loop = replace(pretrain_config.loop, batch_seconds=12, max_batch_seconds=4, updates=4, validate_every=4)
    return replace(pretrain_config, loop=loop)


def train(verb: ModuleType, config: PretrainConfig | FinetuneConfig, folder: Path) -> Path:
    """Train in `folder` in this process, and in <folder>2 with two others; return the folder of the experiment."""
    for count, place in ((1, folder), (2, folder.with_name(f"{folder.name}2"))):
        place.mkdir()
        save_config(replace(config, exp_dir=str(place / "exp")), place / "config.yaml")
        arguments = ["--config", str(place / "config.yaml")]
        if count == 1:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", ["verb", *arguments])
                verb.main()
        else:
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", verb.__name__]
            output = run([sys.executable, *launch, *arguments], check=True, capture_output=True, text=True).stdout
            assert output.count(f"update {config.loop.updates} dev") == 1
    check_equal(folder / "exp", place / "exp")
    return folder / "exp"


def results(values: dict) -> dict[str, float]:
    """What is logged of an update, without what depends on the machine."""
    return {name: value for name, value in values.items() if name not in MEASURED}


def check_equal(one: Path, two: Path) -> None:
    """Compare logs and weights of two trainings."""
    for split in ("train", "dev"):
        first, second = read_log(one, split), read_log(two, split)
        assert len(first) == len(second) > 0
        for a, b in zip(map(results, first), map(results, second)):
            assert b == pytest.approx(a, rel=1e-5)
    weights = load_checkpoint(two / "final.pt")["model"]
    for name, weight in load_checkpoint(one / "final.pt")["model"].items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-4, atol=1e-5)


def test_two_processes_train_as_one(
    pretraining: PretrainConfig, finetune_config: FinetuneConfig, tmp_path: Path
) -> None:
    pretrained = str(train(pretrain, pretraining, tmp_path / "pretrain"))
    finetuning = replace(finetune_config, pretrained=pretrained, from_scratch=False, dropout=0.1, loop=pretraining.loop)
    train(finetune, finetuning, tmp_path / "finetune")


def test_more_processes_than_micro_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        parts = micro_batches(12, 4)[0]

    monkeypatch.setattr(processes.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(processes.dist, "get_rank", lambda: 1)
    monkeypatch.setattr(processes.dist, "get_world_size", lambda: 2)
    assert list(processes.MicroBatches(Data(), 12).numbers) == [1]
    monkeypatch.setattr(processes.dist, "get_world_size", lambda: 4)
    with pytest.raises(UserError, match="4 processes cannot share 3 micro-batches: set loop.max_batch_seconds to 3 or"):
        processes.MicroBatches(Data(), 12)
