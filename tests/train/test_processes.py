"""Two processes that share every update's micro-batches give what one gives, dropout and all."""

from __future__ import annotations

import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from subprocess import run
from types import ModuleType

import pytest
import torch
import torch.distributed as dist

from mt4ssl.bin import finetune, pretrain
from mt4ssl.checkpoint import load_checkpoint, save_checkpoint
from mt4ssl.config import save_config
from mt4ssl.data.batches import micro_batches
from mt4ssl.errors import UserError
from mt4ssl.results import read_log
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.train import processes
from mt4ssl.train.finetuning import FinetuneConfig
from mt4ssl.train.pretraining import PretrainConfig
from mt4ssl.train.resuming import resume
from mt4ssl.train.task import Averages, Task

MEASURED = {"split", "audio_s_per_s", "utilisation", "data_wait"}


@pytest.fixture
def pretraining(pretrain_config: PretrainConfig, loud: str) -> PretrainConfig:
    """Three micro-batches an update, LayerDrop and dropout, a codebook that all of an update moves; updates that have
    the loud utterance are skipped."""
    pretrain_config.model.encoder.layerdrop = 0.3
    pretrain_config.targets.append(CodebookTarget("codebook", clusters=4, layer=2, teacher_layer=2))
    loop = replace(pretrain_config.loop, batch_seconds=12, max_batch_seconds=4, updates=4, validate_every=4)
    return replace(pretrain_config, loop=loop, train_cuts=loud)


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
    skipped = [(tmp_path / name / "exp/bad_updates.jsonl").read_text() for name in ("pretrain", "pretrain2")]
    assert skipped[0] == skipped[1] and "loud" in skipped[0]
    finetuning = replace(finetune_config, pretrained=pretrained, from_scratch=False, dropout=0.1, loop=pretraining.loop)
    train(finetune, finetuning, tmp_path / "finetune")


def in_a_process(rank: int, folder: Path) -> tuple[str, dict[str, float], list[int]]:
    """What one of two processes is told when it goes on from its own folder; means over both; its share of 5 things."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    averages = Averages()
    averages.add({"loss": (1.0 + rank, 1), f"only of {rank}": (4.0, 2)})
    with pytest.raises(UserError) as caught:
        resume(Task(), folder / str(rank), Averages())
    return str(caught.value), averages.over_processes().values(), list(processes.share(5))


def test_processes_compare_where_they_start_and_share_what_they_validate(tmp_path: Path) -> None:
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
        save_checkpoint(tmp_path / str(rank) / "last.pt", {"step": 4 + 2 * rank})
    with get_context("fork").Pool(2) as pool:
        told, means, shares = zip(*pool.starmap(in_a_process, [(0, tmp_path), (1, tmp_path)], chunksize=1))
    assert all("(process 0 after update 4, process 1 after update 6)" in error for error in told)
    assert means == ({"loss": 1.5, "only of 0": 2.0, "only of 1": 2.0},) * 2
    assert shares == ([0, 2, 4], [1, 3])


def test_more_processes_than_micro_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Data:
        parts = micro_batches(12, 4)[0]

    monkeypatch.setattr(processes.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(processes.dist, "get_rank", lambda: 1)
    monkeypatch.setattr(processes.dist, "get_world_size", lambda: 2)
    data = processes.MicroBatches(Data(), 12)
    assert list(data.numbers) == [1] and list(data.of_updates(range(2, 4))) == [7, 10]
    monkeypatch.setattr(processes.dist, "get_world_size", lambda: 4)
    with pytest.raises(UserError, match="4 processes cannot share 3 micro-batches: set loop.max_batch_seconds to 3 or"):
        processes.MicroBatches(Data(), 12)
