"""What the system refuses a training: a line that says what to do; then the training goes on exactly."""

import multiprocessing
import os
import resource
import shutil
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from limits import error_of, limit, memory_for, read_only, room_for, small_disk, with_mounts
from trainings import check_as_whole, run

from mt4ssl.train.pretraining import PretrainTask


@pytest.fixture
def config(pretrain_config):
    """A training of six updates that saves after every second, in folders that exist only once it runs."""
    loop = replace(pretrain_config.loop, save_every=2, updates=6, workers=1)
    return replace(pretrain_config, loop=loop)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Where the same training is, undisturbed, once a test has needed it."""
    return tmp_path_factory.mktemp("whole") / "training"


@pytest.fixture
def whole(config, undisturbed):
    """The config of the same training, undisturbed."""
    whole = replace(config, exp_dir=str(undisturbed))
    if not undisturbed.exists():
        run(whole)
    return whole


@pytest.fixture
def before_update(monkeypatch):
    """A function that has something happen in an update of a training, and returns the line that this ends with."""

    def call(update, happens, config):
        original = PretrainTask.finish_update

        def finish_update(self, step):
            if step == update:
                happens()
            return original(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(PretrainTask, "finish_update", finish_update)
            return error_of(partial(run, config))

    return call


def test_a_full_disk(config, whole, kill_in_update):
    folder = Path(config.exp_dir)
    config = replace(config, loop=replace(config.loop, workers=0))  # shared memory is files too
    kill_in_update(5, partial(run, config))
    before = (folder / "last.pt").read_bytes()
    with room_for(60_000):
        assert f"{folder}/step-6.pt cannot be written (" in error_of(partial(run, config))
    assert (folder / "last.pt").read_bytes() == before and not list(folder.glob(".tmp*"))
    check_as_whole(config, whole)


def test_a_worker_that_is_killed(config, whole, before_update):
    def kill():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        time.sleep(5)  # until the system says that it has ended

    config = replace(config, loop=replace(config.loop, workers=2))
    line = before_update(5, kill, config)
    assert multiprocessing.active_children() == []  # or the process would wait for the other worker, for ever
    assert "a process that prepares batches was killed" in line and "lower loop.max_batch_seconds, loop.workers" in line
    check_as_whole(config, whole)


def test_shared_memory_that_is_full(config, whole):
    with room_for(60_000):  # a batch needs twice that
        line = error_of(partial(run, config))
    assert "a batch does not fit into shared memory: make /dev/shm larger" in line
    assert multiprocessing.active_children() == []
    check_as_whole(config, whole)


def test_few_files_may_be_open(config, whole):
    with limit(resource.RLIMIT_NOFILE, 256), ExitStack() as files:
        taken = []
        with suppress(OSError):
            while True:
                taken.append(files.enter_context(open(os.devnull)))
        for file in taken[-6:]:
            file.close()
        line = error_of(partial(run, config))
        assert "ulimit -n" in line
        files.close()
        check_as_whole(config, whole)


def test_memory_that_is_short(config):
    encoder = replace(config.model.encoder, ffn_dim=8_000_000)  # 1 GB in each of its matrices
    large = replace(config, model=replace(config.model, encoder=encoder))
    with memory_for(500_000_000):
        assert "there is not enough memory: lower loop.max_batch_seconds" in error_of(partial(run, large))
    run(config)


def test_a_folder_that_vanishes(config, whole, before_update):
    line = before_update(3, partial(shutil.rmtree, config.exp_dir), config)
    assert config.exp_dir in line
    check_as_whole(config, whole)


no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="what autograd has for a GPU does not survive a fork")


@no_gpu
@with_mounts
def test_a_disk_that_becomes_read_only(config, whole, before_update):
    with ExitStack() as mounts:
        line = before_update(3, lambda: mounts.enter_context(read_only(config.exp_dir)), config)
        assert line.startswith(f"error: {config.exp_dir}/") and "Read-only file system" in line
        assert "make it writable" in line
    check_as_whole(config, whole)


@no_gpu
@with_mounts
def test_shared_memory_of_a_container(config, whole):
    """Smaller than a batch; above, it is no file of shared memory that may be larger."""
    with small_disk("/dev/shm", 60_000):
        line = error_of(partial(run, config))
    assert "shared memory: make /dev/shm larger (docker run --shm-size" in line
    assert multiprocessing.active_children() == []
    check_as_whole(config, whole)
