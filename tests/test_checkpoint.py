"""Checkpoints are read whole or refused, and a disk that is full costs none."""

import os

import pytest
import torch
from limits import room_for

from mt4ssl.checkpoint import average_last, load_checkpoint, save_checkpoint
from mt4ssl.errors import UserError

CONTENT = {"model": {"weight": torch.arange(300.0), "bias": torch.zeros(3)}, "step": 7, "dtype": "fp32"}


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, CONTENT)
    whole, messages = path.read_bytes(), []
    for place in range(0, len(whole), 5):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            read = load_checkpoint(path)
        except UserError as error:
            messages.append(str(error))
        else:
            assert all(torch.equal(read["model"][name], weight) for name, weight in CONTENT["model"].items())
            assert read["step"] == 7 and read["dtype"] == "fp32"
    assert len(messages) > 1200 / 5  # the bytes of the tensors at least
    assert all(message.startswith(f"{path} cannot be read") and "\n" not in message for message in messages)


def test_no_room_is_one_line_and_leaves_the_file_before(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, CONTENT)
    before = path.read_bytes()
    larger = {"model": {"weight": torch.zeros(1_000_000)}}
    with room_for(100_000), pytest.raises(UserError, match=r"last.pt cannot be written \(") as caught:
        save_checkpoint(path, larger)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["last.pt"]
    save_checkpoint(path, larger)
    assert len(load_checkpoint(path)["model"]["weight"]) == 1_000_000


def test_an_average_is_of_the_last_checkpoints_whatever_the_clock_was(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path / f"step-{step}.pt", {"model": {"weight": torch.tensor([float(step)])}})
    assert load_checkpoint(average_last(tmp_path, 1))["model"]["weight"].item() == 2
    save_checkpoint(tmp_path / "step-3.pt", {"model": {"weight": torch.tensor([3.0])}})
    for path in tmp_path.glob("step-*.pt"):  # the clock was set back before they were written
        os.utime(path, (1e9, 1e9))
    averaged = average_last(tmp_path, 1)
    assert load_checkpoint(averaged)["model"]["weight"].item() == 3
    before = averaged.stat().st_ino
    assert average_last(tmp_path, 1).stat().st_ino == before
