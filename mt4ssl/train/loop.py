"""The one training loop, for pre-training and fine-tuning."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from mt4ssl.data.loading import Batch, load_steps
from mt4ssl.models.speech import compile_layers
from mt4ssl.train.gradients import last_backward
from mt4ssl.train.health import BAD_UPDATES
from mt4ssl.train.monitor import Monitor
from mt4ssl.train.optim import set_lr
from mt4ssl.train.processes import MicroBatches, add_up, is_first, wait_for_all
from mt4ssl.train.resuming import LAST, resume, save_final, save_last, save_step
from mt4ssl.train.speed import DTYPES, Speedometer, advise_when_out_of_memory, autocast, choose_dtype, keep_freed_memory
from mt4ssl.train.stopping import StopRequest
from mt4ssl.train.task import Averages, StepSums, Task


def train(task: Task) -> None:
    """Run or continue a training; `last.pt` in its `exp_dir` is where it continues, `final.pt` what it ends with.

    Of several processes, which `join_processes` brings together, each takes a share of the micro-batches; up to
    rounding, what comes out does not depend on their number. SIGTERM and SIGINT finish the update, save it, and exit
    with 143 or 130. An update whose loss or gradients are not finite is skipped. Raises UserError after too many of
    these, and when the task's own check fails.
    """
    keep_freed_memory()
    config, folder, loop, optim = asdict(task.config), Path(task.config.exp_dir), task.config.loop, task.config.optim
    averages = Averages()
    start, wanted_dtype, health = resume(task, folder, averages)
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
    steps = range(start, loop.updates)
    with StopRequest() as stop, closing(load_steps(data, data.of_updates(steps), loop.workers)) as batches:
        for step in steps:
            done, last = step + 1, step + 1 == loop.updates
            lr = set_lr(task.optimizer, optim, step, loop.updates)
            parts: list[StepSums] = []
            for number in data.numbers:
                with speed.waiting():
                    batch = next(batches)
                # Dropout and LayerDrop depend on this alone, as the data do: neither resuming nor sharing changes them.
                torch.manual_seed((loop.seed * 1_000_003 + step + number * 100_000_007) % 2**63)
                task.start_batch(step, number)
                work = partial(accumulate, task, batch, dtype, number == data.numbers[-1])
                parts.append(speed.count(work, batch.seconds))
            # The processes agree after which update they save or stop.
            is_due = time.monotonic() - saved > 60 * loop.save_minutes
            count, due, stopping = add_up([sum(part.count for part in parts), is_due, bool(stop.number)])
            norm, losses = finish_gradients(task.model, count, data.all_losses([part.loss for part in parts]))
            if wrong := health.judge(norm, losses):
                monitor.warn(done, wrong, data.cuts_of(step, losses))
                health.check(loop.max_skipped, f"{folder}: update {done} {wrong}")
            if health.in_a_row:  # this one is skipped
                # It leaves weights, moments, teacher and codes as they were, and nothing in the log. It counts as an
                # update all the same: learning rate, decay and batches belong to its number, and go on with the next.
                task.skip_update()
            else:
                clip_gradients(task.model, norm, optim.clip_norm)
                task.optimizer.step()
                for part in parts:
                    averages.add(part.sums)
                averages.add_values({"grad_norm": norm, "lr": lr, **task.finish_update(done)})
            task.optimizer.zero_grad(set_to_none=True)
            monitor.progress.update()
            if loop.compile and step == start:  # FLOPs are counted first: those of compiled layers cannot be
                compile_layers(task.model)

            if done % loop.log_every == 0 or last:
                values = {**averages.over_processes().values(), "skipped": health.skipped, **speed.read()}
                task.check_values(done, values)
                monitor.log(done, "train", values)
                averages = Averages()
            if done % loop.validate_every == 0 or last:
                with speed.paused():
                    validate(task, monitor, done, dtype)
            state = {"step": done, "config": config, "dtype": dtype_name}
            if is_first() and (done % loop.save_every == 0 or last):
                save_step(task, folder, loop.keep, state)
            if done % loop.save_every == 0 or last or due or stopping:
                not_logged = averages.over_processes().state()
                if is_first():
                    save_last(task, folder, {**state, "averages": not_logged, "health": asdict(health)})
                saved = time.monotonic()
            if stopping and not last:
                monitor.close()
                stop_training(stop, done, folder)
    if is_first():
        save_final(task, folder, {"step": loop.updates, "config": config})
    monitor.close()
    if health.skipped:
        print(f"{health.skipped} of {loop.updates} updates were skipped: {folder}/{BAD_UPDATES} names their cuts")
    wait_for_all()


def stop_training(stop: StopRequest, done: int, folder: Path) -> NoReturn:
    """Exit as a process does that a signal ends, once the first process has saved; some may not have got the signal."""
    wait_for_all()
    number = signal.Signals(stop.number or signal.SIGTERM)
    print(f"{number.name}: update {done} is saved in {folder}/{LAST}; the same command goes on from there", flush=True)
    sys.exit(128 + number)


def accumulate(task: Task, batch: Batch, dtype: torch.dtype, is_last: bool) -> StepSums:
    """Add the gradients of a micro-batch to those of its update; after a process's last one, those of all processes."""
    with advise_when_out_of_memory(batch.seconds):
        with autocast(dtype, task.device):
            sums = task.losses(batch.to(task.device))
        if is_last:
            last_backward(task.model, sums.loss)
        else:
            sums.loss.backward()
    return replace(sums, loss=sums.loss.detach())


def finish_gradients(model: nn.Module, count: float, losses: Tensor) -> tuple[float, list[float]]:
    """Turn summed gradients and losses into means; return the gradients' norm and the losses.

    This is the one moment of an update in which the CPU waits for the device.
    """
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    torch._foreach_mul_(gradients, 1 / max(count, 1.0))
    norm = torch.nn.utils.get_total_norm(gradients)
    numbers = torch.cat([norm[None], losses / max(count, 1.0)]).tolist()
    return numbers[0], numbers[1:]


def clip_gradients(model: nn.Module, norm: float, most: float) -> None:
    """Scale gradients of a known norm down to `most`; 0 leaves them alone."""
    if most:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), most, torch.tensor(norm))


@torch.no_grad()
def validate(task: Task, monitor: Monitor, step: int, dtype: torch.dtype) -> None:
    """Log the task's held-out measures, of which each process takes its share."""
    task.model.eval()
    with autocast(dtype, task.device):
        monitor.log(step, "dev", task.validate())
    task.model.train()
