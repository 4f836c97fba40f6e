"""The one training loop, for pre-training and fine-tuning."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, Literal, Protocol

import torch
from torch import Tensor, nn

from mt4ssl.checkpoint import load_checkpoint, load_weights, save_checkpoint, step_checkpoints
from mt4ssl.data.datasets import Batch, CtcDataset, PretrainDataset, load_steps
from mt4ssl.errors import UserError
from mt4ssl.models.encoder import EncoderLayer, PositionalConv
from mt4ssl.models.frontend import ConvLayer
from mt4ssl.train.monitor import Monitor
from mt4ssl.train.optim import OptimConfig, set_lr
from mt4ssl.train.processes import Share, add_up, add_up_gradients, is_first, process_count, wait_for_all
from mt4ssl.train.speed import count_flops, keep_freed_memory, matrix_peak

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class LoopConfig:
    """How long, how large, how often."""

    updates: int = 400_000
    batch_seconds: float = 3800.0
    """Audio in one update, over all devices and micro-batches together."""
    max_batch_seconds: float = 240.0
    """Audio that fits in memory at once; larger batches are accumulated."""
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    """Of matrix products; `auto` is the one whose products are faster where the training starts, and stays so."""
    compile: bool = False
    """torch.compile for the Transformer layers and the front-end: minutes at first, faster steps after."""
    log_every: int = 100
    validate_every: int = 5000
    save_every: int = 5000
    keep: int = 5
    """Step checkpoints kept, for averaging."""
    workers: int = 2
    """Processes that prepare batches."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"loop.keep is {self.keep}: at least the last checkpoint must be kept")


@dataclass
class StepSums:
    """A batch's loss, summed; `count` is what it is divided by; `sums` maps a name to (sum, divisor)."""

    loss: Tensor
    count: float
    sums: Dict[str, tuple[float, float]]


class Task(Protocol):
    """What is trained: pre-training or CTC."""

    config: Any
    """Dataclass with `optim`, `loop` and `exp_dir`."""
    device: torch.device
    model: nn.Module
    train_data: PretrainDataset | CtcDataset

    def describe(self, folder: Path) -> None:
        """Write beside the checkpoints what is needed to open them."""

    def start_batch(self, step: int, number: int) -> None:
        """Prepare the model for micro-batch `number` of update `step`, both counted from 0."""

    def losses(self, batch: Batch) -> StepSums:
        """Loss of a micro-batch."""

    def finish_update(self, step: int) -> Dict[str, float]:
        """Act after update `step`, counted from 1; returned values are logged."""

    def check(self, step: int, values: Dict[str, float]) -> None:
        """Raise UserError if what is about to be logged shows a failed training."""

    def validate(self) -> Dict[str, float]:
        """Measure on held-out data."""


class Mean:
    """Running sums and their divisors, by name."""

    def __init__(self) -> None:
        self.totals: Dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, sums: Dict[str, tuple[float, float]]) -> None:
        for name, (value, count) in sums.items():
            self.totals[name][0] += value
            self.totals[name][1] += count

    def values(self) -> Dict[str, float]:
        return {name: value / count for name, (value, count) in self.totals.items() if count}

    def over_processes(self) -> Mean:
        """Return the sums of all processes, which must have added the same names."""
        mean, names = Mean(), sorted(self.totals)
        sums = add_up([part for name in names for part in self.totals[name]])
        mean.totals.update({name: sums[2 * n : 2 * n + 2] for n, name in enumerate(names)})
        return mean


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Matrix products in that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def choose_dtype(name: str, device: torch.device) -> tuple[str, float]:
    """Return the name of the precision to use, the same in all processes, and the FLOP/s of matrix products in it."""
    peaks = {key: matrix_peak(dtype, device) for key, dtype in DTYPES.items() if name in (key, "auto")}
    fastest = max(peaks, key=peaks.__getitem__)
    chosen = "bf16" if add_up([float(is_first() and fastest == "bf16")])[0] else "fp32"
    return chosen, peaks[chosen]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch's tensors."""
    moved = {k: v.to(device, non_blocking=True) for k, v in vars(batch).items() if isinstance(v, Tensor)}
    labels = {name: label.to(device, non_blocking=True) for name, label in batch.labels.items()}
    return Batch(**{**vars(batch), **moved, "labels": labels})


def train(task: Task, optimizer: torch.optim.Optimizer) -> None:
    """Run or continue a training; `last.pt` in its `exp_dir` is where it continues, `final.pt` what it ends with.

    Of several processes, which `join_processes` brings together, each takes a share of the micro-batches; what comes
    out does not depend on their number.
    Raises UserError when the loss or the gradients stop being finite, or when the task's own check fails.
    """
    keep_freed_memory()
    config, device, folder = asdict(task.config), task.device, Path(task.config.exp_dir)
    loop: LoopConfig = task.config.loop
    optim: OptimConfig = task.config.optim
    start, wanted_dtype = resume(task.model, optimizer, folder, config)
    share = Share(task.train_data, loop.batch_seconds)
    dtype_name, peak = choose_dtype(wanted_dtype, device)
    dtype = DTYPES[dtype_name]
    if is_first():
        task.describe(folder)
        print(f"matrix products in {dtype_name}, at most {peak / 1e9:.0f} GFLOP/s")
    monitor = Monitor(folder, start, loop.updates, folder.name, is_first())
    task.model.train()
    mean, seconds, waited, clock = Mean(), 0.0, 0.0, time.perf_counter()
    fetch = iter(load_steps(share, range(start, loop.updates), loop.workers))
    for step in range(start, loop.updates):
        asked = time.perf_counter()
        batches = next(fetch)
        waited += time.perf_counter() - asked
        lr = set_lr(optimizer, optim, step, loop.updates)
        count = 0.0
        for number, batch in batches.items():
            # Dropout and LayerDrop depend on this alone, as the data do: neither resuming nor sharing changes them.
            torch.manual_seed(loop.seed * 1_000_003 + step + number * 100_000_007)
            task.start_batch(step, number)
            work = partial(accumulate, task, batch, dtype, device)
            first = number == share.numbers[0]
            if first and (step == start or step % loop.log_every == 0 and not loop.compile):
                sums, flops = count_flops(work)
                flops_per_second = flops / batch.seconds
            else:
                sums = work()
            if loop.compile and first and step == start:  # what is compiled cannot be counted, nor the other way round
                compile_layers(task.model)
            count += sums.count
            seconds += batch.seconds
            mean.add(sums.sums)
        add_up_gradients(task.model)
        norm = finish_gradients(task.model, add_up([count])[0], optim.clip_norm, step, folder)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        extra = task.finish_update(step + 1)
        mean.add({"grad_norm": (norm, 1), "lr": (lr, 1), **{name: (value, 1) for name, value in extra.items()}})
        monitor.progress.update()

        done = step + 1
        if done % loop.log_every == 0 or done == loop.updates:
            wall = time.perf_counter() - clock
            speed = add_up([seconds])[0] / wall
            values = {
                **mean.over_processes().values(), "audio_s_per_s": speed,
                "utilisation": flops_per_second * speed / peak / process_count(),
                "data_wait": waited / wall,
            }  # fmt: skip
            task.check(done, values)
            monitor.log(done, "train", values)
            mean, seconds, waited, clock = Mean(), 0.0, 0.0, time.perf_counter()
        if is_first() and (done % loop.validate_every == 0 or done == loop.updates):
            paused = time.perf_counter()
            validate(task, monitor, done, dtype, device)
            clock += time.perf_counter() - paused  # the time of validation is not that of training
        if is_first() and (done % loop.save_every == 0 or done == loop.updates):
            save(task.model, optimizer, folder, loop.keep, {"step": done, "config": config, "dtype": dtype_name})
    if is_first():
        save_checkpoint(folder / "final.pt", {"model": task.model.state_dict(), "step": loop.updates, "config": config})
    monitor.close()
    wait_for_all()


def accumulate(task: Task, batch: Batch, dtype: torch.dtype, device: torch.device) -> StepSums:
    """Add the gradients of a micro-batch to those of its update."""
    with advise_when_out_of_memory(batch.seconds):
        batch = to_device(batch, device)
        with autocast(dtype, device):
            sums = task.losses(batch)
        sums.loss.backward()
    return sums


@contextmanager
def advise_when_out_of_memory(seconds: float) -> Iterator[None]:
    """Turn what torch says when a GPU is full into a UserError that names the key to lower."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(f"{seconds:.0f} s of audio do not fit on the GPU: lower loop.max_batch_seconds") from error


def compile_layers(model: nn.Module) -> None:
    """Let torch.compile have every Transformer layer and the front-end, but not what depends on the data."""
    for module in model.modules():
        if isinstance(module, (EncoderLayer, ConvLayer, PositionalConv)):
            module.compile(dynamic=True)


def finish_gradients(model: nn.Module, count: float, clip_norm: float, step: int, folder: Path) -> float:
    """Turn summed gradients into means, clip them, and return their norm before clipping."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    torch._foreach_mul_(gradients, 1 / max(count, 1.0))
    norm = torch.nn.utils.get_total_norm(gradients).item()
    if not math.isfinite(norm):
        raise UserError(
            f"{folder}: gradients are {norm} in update {step + 1}; lower optim.lr, set optim.clip_norm, or use fp32"
        )
    if clip_norm:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), clip_norm, torch.tensor(norm))
    return norm


@torch.no_grad()
def validate(task: Task, monitor: Monitor, step: int, dtype: torch.dtype, device: torch.device) -> None:
    """Log the task's held-out measures."""
    task.model.eval()
    with autocast(dtype, device):
        monitor.log(step, "dev", task.validate())
    task.model.train()


def save(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, keep: int, state: Dict[str, Any]) -> None:
    """Write step-N.pt for averaging and last.pt for resuming, with `state`; drop the oldest step checkpoints."""
    state = {"model": model.state_dict(), **state}
    save_checkpoint(folder / f"step-{state['step']}.pt", state)
    save_checkpoint(folder / "last.pt", {**state, "optimizer": optimizer.state_dict()})
    for old in step_checkpoints(folder)[:-keep]:
        old.unlink()


def resume(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, config: Dict[str, Any]) -> tuple[int, str]:
    """Load last.pt if there is one; return the updates done and their dtype. UserError if another config made it."""
    path = folder / "last.pt"
    if not path.exists():
        return 0, config["loop"]["dtype"]
    state = load_checkpoint(path)
    changed = sorted(key for key in config if state["config"].get(key) != config[key])
    if changed:
        raise UserError(f"{path} was trained with another {', '.join(changed)}: remove {folder} or use another exp_dir")
    load_weights(model, state["model"], path)
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["dtype"]
