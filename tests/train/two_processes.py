"""Starts trainings on two processes with the agent of torchrun, as forks of this process, which has torch already.

Each line of its input is the config of a pre-training and the file that gets what it prints, with a tab between them.
It prints the id of the process that launches, and an empty line once all that this one has started has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import traceback

import torch._dynamo  # noqa: F401  (or each process would import it, for its optimiser)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mt4ssl.bin import pretrain
from mt4ssl.errors import run_main
from mt4ssl.train import gradients, speed

SET_CHILD_SUBREAPER = 36  # linux/prctl.h: what loses its parent becomes a child of this process


def train(config: str) -> None:
    """What each of the two processes does."""
    sys.argv = ["pretrain", "--config", config]
    run_main(pretrain.main)


def launch(config: str, output: str) -> int:
    """Do what torchrun does; return the exit status."""
    for number in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    settings = LaunchConfig(
        1, 1, 2, run_id="two", rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0, start_method="fork"
    )
    try:
        elastic_launch(settings, train)(config)
    except BaseException:  # noqa: BLE001  (as Python itself does)
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    speed.matrix_peak = lambda *_: 1e9  # which takes seconds to measure
    gradients.BUCKET = 5000  # so that there are several
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)
    for line in sys.stdin:
        launcher = os.fork()
        if launcher == 0:
            os._exit(launch(*line.rstrip("\n").split("\t")))
        print(launcher, flush=True)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        print(flush=True)


if __name__ == "__main__":
    main()
