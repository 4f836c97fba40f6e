"""Signals in a training save it, in all of its processes."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from trainings import check_as_whole, run

from mt4ssl.checkpoint import load_checkpoint
from mt4ssl.config import save_config
from mt4ssl.train.pretraining import PretrainTask


@pytest.fixture(autouse=True)
def no_peak(monkeypatch):
    """To measure the processor takes longer than these trainings."""
    monkeypatch.setattr("mt4ssl.train.speed.matrix_peak", lambda *_: 1e9)


def test_a_signal_saves_and_the_rest_is_as_uninterrupted(pretrain_config, tmp_path, monkeypatch, capsys):
    """Sent in the fourth update, and to the worker too, it ends the fifth, in the middle of two lines of the log."""
    loop = replace(pretrain_config.loop, updates=8, log_every=4, validate_every=8, save_every=100, workers=1)
    whole, *interrupted = (replace(pretrain_config, loop=loop, exp_dir=str(tmp_path / name)) for name in "abc")
    run(whole)
    original, handler = PretrainTask.finish_update, signal.getsignal(signal.SIGINT)

    for config, number, status in zip(interrupted, (signal.SIGTERM, signal.SIGINT), (143, 130)):

        def finish_update(self, step, number=number):
            if step == 5:
                children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
                for process in (os.getpid(), int(children[-1])):
                    os.kill(process, number)
            return original(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(PretrainTask, "finish_update", finish_update)
            with pytest.raises(SystemExit) as caught:
                run(config)
        assert caught.value.code == status
        assert load_checkpoint(Path(config.exp_dir) / "last.pt")["step"] == 6
        assert f"{number.name}: update 6 is saved in" in capsys.readouterr().out
        assert signal.getsignal(signal.SIGINT) == handler
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


class TwoProcesses:
    """Trainings of two processes under torchrun's agent; see two_processes.py."""

    def __init__(self):
        path = Path(__file__).with_name("two_processes.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.server = Popen([sys.executable, path], stdin=PIPE, stdout=PIPE, text=True, env=environment)

    def start(self, config):
        """Train beside `config.exp_dir`; return the process that launches."""
        folder = Path(config.exp_dir).parent
        folder.mkdir(exist_ok=True)
        save_config(config, folder / "config.yaml")
        (folder / "printed").unlink(missing_ok=True)
        print(folder / "config.yaml", folder / "printed", sep="\t", file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def printed(self, config):
        """Wait until all processes have ended; return what they printed."""
        assert self.server.stdout.readline() == "\n"
        return (Path(config.exp_dir).parent / "printed").read_text()


@pytest.fixture
def two_processes():
    started = TwoProcesses()
    yield started
    started.server.kill()
    started.server.communicate()


def wait_for_update(config, update):
    checkpoint, end = Path(config.exp_dir) / f"step-{update}.pt", time.monotonic() + 120
    while not checkpoint.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_stop_after_the_same_update_and_go_on_exactly(pretrain_config, tmp_path, two_processes, capsys):
    """Whether the launcher gets the signal, or is killed, or one of them is; and so does one process in their place."""
    loop = replace(pretrain_config.loop, batch_seconds=8, updates=40, log_every=20, save_every=5)
    loop = replace(loop, validate_every=1000, keep=10)
    pretrain_config.model.encoder.layerdrop = 0.3
    whole, config = (replace(pretrain_config, loop=loop, exp_dir=str(tmp_path / name / "exp")) for name in "ab")
    run(whole)  # one process, which does the same to the last bit

    step = 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        launcher = two_processes.start(config)
        wait_for_update(config, step // 5 * 5 + 5)
        os.kill(launcher, number)
        printed = two_processes.printed(config)
        assert printed.count("SIGTERM: update") == 1, printed
        assert printed.count(f"going on after update {step}") == bool(step)
        step = load_checkpoint(Path(config.exp_dir) / "last.pt")["step"]
    assert 10 <= step < 40

    launcher = two_processes.start(config)
    wait_for_update(config, step // 5 * 5 + 5)
    other = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()[-1]
    os.kill(int(other), signal.SIGKILL)
    printed = two_processes.printed(config)
    assert printed.count("error: another process of this training has ended") == 1, printed

    capsys.readouterr()
    check_as_whole(config, whole)
    assert "going on after update" in capsys.readouterr().out
