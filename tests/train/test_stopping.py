"""Signals in a training save it, in all of its processes."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import pytest
import torch
from trainings import check_as_whole, logged, run, weights

from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.config import save_config
from mt4ssl.train.pretraining import PretrainTask


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_saves_and_the_rest_is_as_uninterrupted(
    pretrain_config, tmp_path, monkeypatch, capsys, number, status, workers
):
    """Sent in the fourth update, or to the worker too, it ends the fifth, in the middle of two lines of the log."""
    loop = replace(pretrain_config.loop, updates=8, log_every=4, save_every=100, workers=workers)
    config = replace(pretrain_config, loop=loop)
    whole = replace(config, exp_dir=str(tmp_path / "whole"))
    run(whole)
    original = PretrainTask.finish_update

    def finish_update(self, step):
        if step == 5:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            for process in (os.getpid(), *map(int, children[-workers:] if workers else [])):
                os.kill(process, number)
        return original(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainTask, "finish_update", finish_update)
        with pytest.raises(SystemExit) as caught:
            run(config)
    assert caught.value.code == status
    assert load_checkpoint(Path(config.exp_dir) / "last.pt")["step"] == 6
    assert f"{number.name}: update 6 is saved in" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    check_as_whole(config, whole)


def test_a_second_signal_ends_at_once():
    program = (
        "import time; from mt4ssl.train.stopping import StopRequest\nwith StopRequest() as stop:\n print(flush=True)"
    )
    program += "\n while not stop.number: time.sleep(0.01)\n print(stop.number, flush=True)\n time.sleep(60)"
    with Popen([sys.executable, "-c", program], stdout=PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "15\n"
        process.send_signal(signal.SIGTERM)  # that of a launcher
        time.sleep(1.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


def start(config, folder):
    """Two processes under torchrun, which train in `folder`."""
    folder.mkdir(exist_ok=True)
    save_config(replace(config, exp_dir=str(folder / "exp")), folder / "config.yaml")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "mt4ssl.bin.pretrain", "--config", str(folder / "config.yaml")]
    return Popen(command, stdout=PIPE, stderr=STDOUT, text=True)


def test_processes_stop_after_the_same_update_and_go_on_exactly(pretrain_config, tmp_path):
    """Whether the launcher gets the signal, or is killed."""
    loop = replace(pretrain_config.loop, batch_seconds=8, updates=100, log_every=10, save_every=1000, workers=1)
    config = replace(pretrain_config, loop=replace(loop, validate_every=1000))
    with start(config, tmp_path / "whole") as process:
        assert "update 100 dev" in process.communicate()[0]
    log, step = tmp_path / "interrupted/exp/log.jsonl", 0
    for end in (Popen.terminate, Popen.kill):
        with start(config, tmp_path / "interrupted") as process:
            while not (log.exists() and f'"step": {step // 10 * 10 + 20}' in log.read_text()):
                assert process.poll() is None
                time.sleep(0.01)
            end(process)
            output = process.communicate()[0]
        assert output.count("SIGTERM: update") == 1, output
        step = load_checkpoint(log.parent / "last.pt")["step"]
    assert 40 <= step < 100
    with start(config, tmp_path / "interrupted") as process:
        assert f"going on after update {step}" in process.communicate()[0]
    one, two = (replace(config, exp_dir=str(tmp_path / name / "exp")) for name in ("whole", "interrupted"))
    resumed = weights(two)
    assert all(torch.equal(weight, resumed[name]) for name, weight in weights(one).items())
    for first, second in zip(logged(one), logged(two), strict=True):
        assert first.pop("split") == second.pop("split")
        assert first == pytest.approx(second, rel=1e-5)  # sums over processes, of which an interruption makes two
