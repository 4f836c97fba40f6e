"""What the training loop trains: a task, its settings, and the sums that its losses give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mt4ssl.config import save_config
from mt4ssl.ranges import Count, CountOrZero, Positive
from mt4ssl.train.processes import UpdateData, add_up, is_first, names_of_all


@dataclass
class LoopConfig:
    """How long, how large, how often."""

    updates: Count = 400_000
    """Number of updates of the weights."""
    batch_seconds: Positive = 3800.0
    """Seconds of audio in one update, over all devices and micro-batches together."""
    max_batch_seconds: Positive = 240.0
    """Seconds of audio that fit into memory at once; larger batches are accumulated from micro-batches. An utterance
    that is longer has one of its own."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of matrix products; `auto` times both when a training starts, and keeps the faster one on resuming."""
    compile: bool = False
    """Use torch.compile for the Transformer layers and the front-end: minutes at first, then faster steps."""
    log_every: Count = 100
    """Number of updates between two lines of the log."""
    validate_every: Count = 5000
    """Number of updates between two validations on the dev set."""
    save_every: Count = 5000
    """Number of updates between two checkpoints that are kept for averaging."""
    save_minutes: Positive = 30.0
    """A training that is interrupted goes on from a checkpoint that is at most so many minutes old."""
    max_skipped: CountOrZero = 10
    """Number of updates in a row that may be skipped, as their loss or gradients are not finite."""
    keep: Count = 5
    """Number of step checkpoints that are kept, for averaging."""
    workers: CountOrZero = 2
    """Number of processes that prepare batches."""
    seed: CountOrZero = 0
    """Seed of everything random in the training."""


Sums = Mapping[str, tuple[Tensor | float, Tensor | float]]
"""Per name a sum and what it is to be divided by."""


@dataclass
class StepSums:
    """A batch's loss, summed; `count` is what it is divided by; `sums` maps a name to (sum, divisor).

    Sums may be left on the device, so that nothing waits for it before they are logged.
    """

    loss: Tensor
    count: float
    sums: Sums


class Task:
    """What is trained: pre-training or CTC."""

    config: Any
    """Dataclass with `optim`, `loop` and `exp_dir`."""
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    train_data: UpdateData

    def save_config(self, folder: Path) -> None:
        """Write beside the checkpoints what is needed to open them."""
        save_config(self.config, folder / "config.yaml")

    def start_batch(self, step: int, number: int) -> None:
        """Prepare the model for micro-batch `number` of update `step`, both counted from 0."""

    def losses(self, batch: Any) -> StepSums:
        """Loss of a micro-batch of the training data."""
        raise NotImplementedError

    def finish_update(self, step: int) -> dict[str, Tensor | float]:
        """Act after update `step`, counted from 1; returned values are logged."""
        return {}

    def skip_update(self) -> None:
        """Forget what an update has added up, since it is skipped."""

    def check_values(self, step: int, values: dict[str, float]) -> None:
        """Raise UserError if what is about to be logged shows a failed training."""

    def validate(self) -> dict[str, float]:
        """Measure on held-out data."""
        raise NotImplementedError


class Averages:
    """Running sums, in double precision and where their parts are, and their divisors, by name."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor | float] = defaultdict(float)
        self.counts: dict[str, Tensor | float] = defaultdict(float)

    def add(self, sums: Sums) -> None:
        for name, (value, count) in sums.items():
            self.sums[name] += value.double() if isinstance(value, Tensor) else value
            self.counts[name] += count

    def add_values(self, values: Mapping[str, Tensor | float]) -> None:
        """Add values, the same in all processes, that count once; a tensor that is NaN, not being defined, does not."""
        for name, value in values.items() if is_first() else ():
            known = (~value.isnan()).double() if isinstance(value, Tensor) else 1
            self.add({name: (value.nan_to_num() if isinstance(value, Tensor) else value, known)})

    def values(self) -> dict[str, float]:
        return {name: value / count for name, (value, count) in self.state().items() if count}

    def state(self) -> dict[str, tuple[float, float]]:
        """Return all sums and divisors, for `add` to take up again."""
        return {name: (float(value), float(self.counts[name])) for name, value in self.sums.items()}

    def over_processes(self) -> Averages:
        """Return the sums of all processes."""
        own, averages = self.state(), Averages()
        names = names_of_all(own)
        sums = add_up([part for name in names for part in own.get(name, (0.0, 0.0))])
        averages.add(dict(zip(names, zip(sums[::2], sums[1::2]))))
        return averages
