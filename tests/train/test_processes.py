"""Two processes that share every update's micro-batches give what one gives, dropout and all."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest
import torch

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


def train(verb: str, config: PretrainConfig | FinetuneConfig, folder: Path, count: int) -> str:
    """Train in `folder` with `count` processes; return what they print."""
    folder.mkdir()
    save_config(replace(config, exp_dir=str(folder / "exp")), folder / "config.yaml")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *launch, "-m", f"mt4ssl.bin.{verb}", "--config", str(folder / "config.yaml")]
    return run(command, check=True, capture_output=True, text=True).stdout


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
    outputs = [train("pretrain", pretraining, tmp_path / f"pretrain{count}", count) for count in (1, 2)]
    check_equal(tmp_path / "pretrain1/exp", tmp_path / "pretrain2/exp")
    assert outputs[1].count("update 4 dev") == outputs[0].count("update 4 dev") == 1
    pretrained = str(tmp_path / "pretrain1/exp")
    finetuning = replace(finetune_config, pretrained=pretrained, from_scratch=False, dropout=0.1, loop=pretraining.loop)
    for count in (1, 2):
        train("finetune", finetuning, tmp_path / f"finetune{count}", count)
    check_equal(tmp_path / "finetune1/exp", tmp_path / "finetune2/exp")


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
