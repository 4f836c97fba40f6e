"""Updates whose numbers are not finite are skipped, named and counted, exactly; too many of them end a training."""

import json
import math
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from trainings import check_as_whole, run

from mt4ssl.checkpoint import load_checkpoint, step_checkpoints
from mt4ssl.errors import UserError
from mt4ssl.results import read_log
from mt4ssl.targets.codebook import CodebookTarget
from mt4ssl.train.finetuning import FinetuneTask
from mt4ssl.train.health import FACTOR, LONGEST, WINDOW, Health
from mt4ssl.train.loop import train
from mt4ssl.train.optim import OptimConfig
from mt4ssl.train.pretraining import PretrainTask

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_measuring(monkeypatch):
    """Leave out what takes most of the time of a few updates."""
    monkeypatch.setattr("mt4ssl.train.speed.matrix_peak", lambda *_: 1.0)


@pytest.fixture
def loud_loop(loop):
    """Twelve micro-batches in six updates, of which seven are an epoch: one or two of them have the loud utterance."""
    return replace(loop, batch_seconds=8, max_batch_seconds=4, save_every=1, keep=10)


@pytest.fixture
def loud_pretraining(pretrain_config, loud, loud_loop):
    pretrain_config.targets.append(CodebookTarget("codebook", clusters=4, layer=2, teacher_layer=2))
    return replace(pretrain_config, train_cuts=loud, loop=loud_loop)


def batches_with(task, cut):
    """Ids of the cuts in those micro-batches that have a cut, by update, counted from 1."""
    data, found = task.train_data, {}
    for number in range(task.config.loop.updates * data.parts):
        ids = [data.cuts[index].id for index in data.plan[number]]
        if cut in ids:
            found.setdefault(1 + number // data.parts, []).extend(ids)
    return found


def bad_updates(config):
    return [json.loads(line) for line in (Path(config.exp_dir) / "bad_updates.jsonl").read_text().splitlines()]


def check_skips(task, out):
    """Train; no update that has the loud utterance, and every other one, may change the model."""
    config, skipped, states = task.config, batches_with(task, "loud"), [deepcopy(task.model.state_dict())]
    assert 0 < len(skipped) < config.loop.updates
    train(task)
    states += [load_checkpoint(path)["model"] for path in step_checkpoints(Path(config.exp_dir))]
    for step in range(1, config.loop.updates + 1):
        before, after = states[step - 1 : step + 1]
        assert all(torch.equal(weight, after[name]) for name, weight in before.items()) == (step in skipped)
    assert {entry["step"]: entry["cuts"] for entry in bad_updates(config)} == skipped
    log = read_log(Path(config.exp_dir), "train")
    assert [values["skipped"] for values in log] == [sum(step <= values["step"] for step in skipped) for values in log]
    assert all(math.isfinite(value) for values in log for value in values.values() if value != "train")
    printed = out.readouterr().out
    assert printed.count("warning: ") == len(skipped)
    assert f"{len(skipped)} of 6 updates were skipped: {config.exp_dir}/bad_updates.jsonl" in printed


def test_pre_training_skips_and_so_it_does_when_resumed(loud_pretraining, tmp_path, kill_in_update, capsys):
    whole = replace(loud_pretraining, exp_dir=str(tmp_path / "whole"))
    check_skips(PretrainTask(whole, CPU), capsys)
    config = replace(loud_pretraining, loop=replace(loud_pretraining.loop, save_every=2))
    last = max({3, 4, 5, 6} - {entry["step"] for entry in bad_updates(whole)})
    kill_in_update(last, lambda: run(config))
    check_as_whole(config, whole)
    assert bad_updates(config) == bad_updates(whole)
    one, other = (load_checkpoint(Path(each.exp_dir) / "last.pt")["health"] for each in (config, whole))
    assert one == other and one["skipped"] == len(bad_updates(whole))


def test_fine_tuning_skips(finetune_config, pretrained, loud, loud_loop, capsys):
    check_skips(FinetuneTask(replace(finetune_config, train_cuts=loud, loop=loud_loop), CPU), capsys)


def test_too_many_in_a_row_end_a_training_which_may_allow_more(pretrain_config):
    """After one update with this learning rate no loss is finite."""
    config = replace(pretrain_config, optim=OptimConfig(lr=1e30, warmup=0.0))
    strict = replace(config, loop=replace(config.loop, max_skipped=2))
    with pytest.raises(UserError, match=r"update 4 is skipped.* nan.*: 3 updates in a row were skipped, more than"):
        run(strict)
    assert [entry["step"] for entry in bad_updates(strict)] == [2, 3, 4]
    assert load_checkpoint(Path(strict.exp_dir) / "last.pt")["health"]["in_a_row"] == 2
    run(config)
    assert [entry["step"] for entry in bad_updates(config)] == [2, 3, 4, 5, 6]
    assert read_log(Path(config.exp_dir), "train")[-1]["skipped"] == 5


def test_gradients_that_stay_large_end_a_training(pretrain_config, monkeypatch):
    """All of them are large if a tenth of the median of two is too much."""
    for name, value in (("WINDOW", 2), ("FACTOR", 0.1), ("LONGEST", 3)):
        monkeypatch.setattr(f"mt4ssl.train.health.{name}", value)
    with pytest.raises(UserError, match=r"update 5 has a gradient norm of .*: 3 updates in a row were as high; bad_"):
        run(pretrain_config)
    assert [entry["step"] for entry in bad_updates(pretrain_config)] == [3, 4, 5]
    assert len(bad_updates(pretrain_config)[0]["cuts"]) > 1


def test_large_gradients_that_pass_are_let_be():
    health = Health()
    for step in range(WINDOW):
        assert not health.judge(1e6 if step < 10 else 1.0, [0.5])  # the median does not follow a few
    for _ in range(LONGEST - 1):
        assert "gradient norm of 101, over 100 times the median of 1" in health.judge(1.01 * FACTOR, [0.5])
    assert "nan" in health.judge(1.0, [0.5, math.nan]) and "inf" in health.judge(math.inf, [0.5])
    health = Health(**asdict(health))
    health.check(2, "")
    with pytest.raises(UserError, match="folder: 2 updates in a row were skipped"):
        health.check(1, "folder")
    assert not health.judge(0.99 * FACTOR, [0.5])
    assert (health.skipped, health.in_a_row, health.high) == (2, 0, 0)
    for _ in range(LONGEST):
        health.judge(1.01 * FACTOR, [0.5])
    with pytest.raises(UserError, match="100 updates in a row were as high"):
        health.check(10, "")
