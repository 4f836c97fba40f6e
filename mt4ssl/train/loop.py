"""The one training loop, for pre-training and fine-tuning."""

from __future__ import annotations

import math
import signal
import sys
import time
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch
from torch import nn

from mt4ssl.data.loading import Batch, load_steps
from mt4ssl.errors import UserError
from mt4ssl.models.speech import compile_layers
from mt4ssl.train.monitor import Monitor
from mt4ssl.train.optim import set_lr
from mt4ssl.train.processes import MicroBatches, add_up, add_up_gradients, is_first, wait_for_all
from mt4ssl.train.resuming import LAST, resume, save_final, save_last, save_step
from mt4ssl.train.speed import DTYPES, Speedometer, advise_when_out_of_memory, autocast, choose_dtype, keep_freed_memory
from mt4ssl.train.stopping import StopRequest
from mt4ssl.train.task import Averages, StepSums, Task


def train(task: Task) -> None:
    """Run or continue a training; `last.pt` in its `exp_dir` is where it continues, `final.pt` what it ends with.

    Of several processes, which `join_processes` brings together, each takes a share of the micro-batches; what comes
    out does not depend on their number. SIGTERM and SIGINT finish the update, save it, and exit with 143 or 130.
    Raises UserError when the loss or the gradients stop being finite, or when the task's own check fails.
    """
    keep_freed_memory()
    config, folder, loop, optim = asdict(task.config), Path(task.config.exp_dir), task.config.loop, task.config.optim
    averages = Averages()
    start, wanted_dtype = resume(task, folder, averages)
    data = MicroBatches(task.train_data, loop.batch_seconds)
    dtype_name, peak = choose_dtype(wanted_dtype, task.device)
    dtype = DTYPES[dtype_name]
    if is_first():
        task.save_config(folder)
        print(f"matrix products in {dtype_name}, at most {peak / 1e9:.0f} GFLOP/s")
    else:
        averages = Averages()  # the first process has what all of them had not logged
    monitor = Monitor(folder, start, loop.updates, folder.name, is_first())
    speed = Speedometer(peak, loop.compile)
    task.model.train()
    saved = time.monotonic()
    with StopRequest() as stop, closing(load_steps(data, range(start, loop.updates), loop.workers)) as updates:
        for step in range(start, loop.updates):
            with speed.waiting():
                batches = next(updates)
            lr = set_lr(task.optimizer, optim, step, loop.updates)
            count = 0.0
            for number, batch in batches.items():
                # Dropout and LayerDrop depend on this alone, as the data do: neither resuming nor sharing changes them.
                torch.manual_seed(loop.seed * 1_000_003 + step + number * 100_000_007)
                task.start_batch(step, number)
                sums = speed.count(partial(accumulate, task, batch, dtype), batch.seconds)
                count += sums.count
                averages.add(sums.sums)
            add_up_gradients(task.model)
            # The processes agree after which update they save or stop.
            is_due = time.monotonic() - saved > 60 * loop.save_minutes
            count, due, stopping = add_up([count, is_due, bool(stop.number)])
            norm = finish_gradients(task.model, count, optim.clip_norm, step, folder)
            task.optimizer.step()
            task.optimizer.zero_grad(set_to_none=True)
            averages.add_values({"grad_norm": norm, "lr": lr, **task.finish_update(step + 1)})
            monitor.progress.update()
            if loop.compile and step == start:  # FLOPs are counted first: those of compiled layers cannot be
                compile_layers(task.model)

            done, last = step + 1, step + 1 == loop.updates
            if done % loop.log_every == 0 or last:
                values = {**averages.over_processes().values(), **speed.read()}
                task.check_values(done, values)
                monitor.log(done, "train", values)
                averages = Averages()
            if is_first() and (done % loop.validate_every == 0 or last):
                with speed.paused():
                    validate(task, monitor, done, dtype)
            state = {"step": done, "config": config, "dtype": dtype_name}
            if is_first() and (done % loop.save_every == 0 or last):
                save_step(task, folder, loop.keep, state)
            if done % loop.save_every == 0 or last or due or stopping:
                not_logged = averages.over_processes().state()
                if is_first():
                    save_last(task, folder, {**state, "averages": not_logged})
                saved = time.monotonic()
            if stopping and not last:
                monitor.close()
                stop_training(stop, done, folder)
    if is_first():
        save_final(task, folder, {"step": loop.updates, "config": config})
    monitor.close()
    wait_for_all()


def stop_training(stop: StopRequest, done: int, folder: Path) -> NoReturn:
    """Exit as a process does that a signal ends, once the first process has saved; some may not have got the signal."""
    wait_for_all()
    number = signal.Signals(stop.number or signal.SIGTERM)
    print(f"{number.name}: update {done} is saved in {folder}/{LAST}; the same command goes on from there", flush=True)
    sys.exit(128 + number)


def accumulate(task: Task, batch: Batch, dtype: torch.dtype) -> StepSums:
    """Add the gradients of a micro-batch to those of its update."""
    with advise_when_out_of_memory(batch.seconds):
        with autocast(dtype, task.device):
            sums = task.losses(batch.to(task.device))
        sums.loss.backward()
    return sums


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
def validate(task: Task, monitor: Monitor, step: int, dtype: torch.dtype) -> None:
    """Log the task's held-out measures."""
    task.model.eval()
    with autocast(dtype, task.device):
        monitor.log(step, "dev", task.validate())
    task.model.train()
