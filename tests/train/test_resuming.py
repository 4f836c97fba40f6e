"""What trainings go on from, after whatever ended them: exactly, or not at all."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trainings import check_as_whole, run, weights

from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.errors import UserError
from mt4ssl.models.masking import MaskConfig
from mt4ssl.train.resuming import FREE


def with_loop(config, **changes):
    return replace(config, loop=replace(config.loop, **changes))


@pytest.fixture
def interrupted(pretrain_config, kill_in_update):
    """The config of a training of six updates that saved after the second and the fourth, and was killed in the fifth;
    a line of its log is for four updates."""
    config = with_loop(pretrain_config, save_every=2, log_every=4, updates=6)
    kill_in_update(5, lambda: run(config))
    return config


@pytest.fixture
def whole(interrupted, tmp_path):
    """The config of the same training without an interruption."""
    config = replace(interrupted, exp_dir=str(tmp_path / "whole"))
    run(config)
    return config


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda content: content, lambda content: b"", cut, flip], ids="whole empty cut flipped".split()
)
def test_what_cannot_be_read_of_last_is_made_again_from_previous(interrupted, whole, capsys, damage):
    folder = Path(interrupted.exp_dir)
    last = folder / "last.pt"
    before = last.read_bytes()
    last.write_bytes(damage(before))
    check_as_whole(interrupted, whole)
    step, name = (4, "last") if damage(before) == before else (2, "previous")
    out = capsys.readouterr().out
    assert f"going on after update {step}, which {folder}/{name}.pt holds" in out
    assert ("warning: " in out) == (name == "previous")
    assert not (folder / "previous.pt").exists()


def test_killed_before_last_is_written(interrupted, whole):
    (Path(interrupted.exp_dir) / "last.pt").unlink()
    check_as_whole(interrupted, whole)


def test_killed_in_the_middle_of_a_line_of_the_log(interrupted, whole):
    with (Path(interrupted.exp_dir) / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "sp')
    check_as_whole(interrupted, whole)


def test_nothing_to_go_on_from_is_said(interrupted):
    for name in ("last.pt", "previous.pt"):
        (Path(interrupted.exp_dir) / name).write_bytes(b"")
    with pytest.raises(UserError, match="has no checkpoint to go on from that can be read"):
        run(interrupted)


def test_keys_that_change_no_result_may_change(interrupted, whole, tmp_path):
    changed = with_loop(
        interrupted, workers=1, validate_every=1, save_every=5, save_minutes=1.0, keep=1, max_skipped=0
    )  # fmt: skip
    moved = Path(interrupted.exp_dir).rename(tmp_path / "moved")
    resumed = run(replace(changed, exp_dir=str(moved)))
    assert all(torch.equal(weight, resumed[name]) for name, weight in weights(whole).items())


def test_the_driver_of_stages_keeps_a_training_where_resuming_does():
    driver = (Path(__file__).parents[2] / "utils/stage.sh").read_text()
    options = re.findall(r"^(?:free|saved)_options='(.*?)'", driver, re.MULTILINE)
    assert {f"loop.{option.replace('.', '_')}" for option in "|".join(options).split("|")} == {
        key for key in FREE if key.startswith("loop.")
    }


def test_others_are_named_with_both_values(interrupted):
    other = replace(with_loop(interrupted, updates=5), mask=MaskConfig(0.5, 3))
    with pytest.raises(UserError, match="mask.prob 0.65, which is now 0.5, loop.updates 6, which is now 5: take that"):
        run(other)
    with pytest.raises(UserError, match="targets.1.top_k 2, which is now None"):
        run(replace(interrupted, targets=interrupted.targets[:1]))


def test_a_training_can_be_made_longer(interrupted, capsys):
    run(interrupted)
    run(with_loop(interrupted, updates=8))
    assert load_checkpoint(Path(interrupted.exp_dir) / "last.pt")["step"] == 8
    assert "loop.updates is 8, and was 6" in capsys.readouterr().out


def test_other_micro_batches_are_said(interrupted, capsys):
    run(with_loop(interrupted, max_batch_seconds=2))
    assert "an update has 2 micro-batches, and had 1" in capsys.readouterr().out


def test_minutes_save_too(pretrain_config, kill_in_update):
    config = with_loop(pretrain_config, save_every=100, save_minutes=1e-9)
    kill_in_update(5, lambda: run(config))
    folder = Path(config.exp_dir)
    assert load_checkpoint(folder / "last.pt")["step"] == 4 and not list(folder.glob("step-*.pt"))
