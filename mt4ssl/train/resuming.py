"""What a training saves, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mt4ssl.checkpoint import load_checkpoint, load_weights, save_checkpoint, step_checkpoints
from mt4ssl.config import build
from mt4ssl.data.batches import micro_batches
from mt4ssl.errors import UserError
from mt4ssl.train.health import Health
from mt4ssl.train.processes import of_each
from mt4ssl.train.task import Averages, Task

LAST, PREVIOUS = "last.pt", "previous.pt"
"""The newest checkpoint that a training can go on from, and the one before it, which is there until the end."""
FREE = (
    "exp_dir", "guard.", "loop.workers", "loop.log_every", "loop.validate_every", "loop.save_every",
    "loop.save_minutes", "loop.max_skipped", "loop.keep",
)  # fmt: skip
"""Beginnings of the keys that no weight depends on."""


def save_last(task: Task, folder: Path, state: Mapping[str, Any]) -> None:
    """Write last.pt, which has the optimiser too, with `state`; what was last.pt becomes previous.pt."""
    if (folder / LAST).exists():
        (folder / LAST).replace(folder / PREVIOUS)
    weights, optimizer = task.model.state_dict(), task.optimizer.state_dict()
    save_checkpoint(folder / LAST, {"model": weights, **state, "optimizer": optimizer})


def save_step(task: Task, folder: Path, keep: int, state: Mapping[str, Any]) -> None:
    """Write step-N.pt for averaging, with `state`; drop the oldest but `keep`."""
    save_checkpoint(folder / f"step-{state['step']}.pt", {"model": task.model.state_dict(), **state})
    for old in step_checkpoints(folder)[:-keep]:
        old.unlink()


def save_final(task: Task, folder: Path, state: Mapping[str, Any]) -> None:
    """Write final.pt, with `state`: nothing goes back behind it."""
    save_checkpoint(folder / "final.pt", {"model": task.model.state_dict(), **state})
    (folder / PREVIOUS).unlink(missing_ok=True)


def resume(task: Task, folder: Path, averages: Averages) -> tuple[int, str, Health]:
    """Load the newest good checkpoint if there is one; return the updates done, their dtype and how healthy they were.

    `averages` get what was not yet logged. Raises UserError if another config made it, or none can be read, or other
    processes go on from another one.
    """
    state = load_newest(folder)
    check_starts(state["step"] if state else 0, folder)
    if state is None:
        return 0, task.config.loop.dtype, Health()
    # Settings that there were none of yet have their defaults, which change nothing.
    check_config(asdict(build(type(task.config), state["config"])), asdict(task.config), state["step"], folder)
    load_weights(task.model, state["model"], folder)
    task.optimizer.load_state_dict(state["optimizer"])
    averages.add(state.get("averages", {}))
    return state["step"], state["dtype"], Health(**state.get("health", {}))


def load_newest(folder: Path) -> dict[str, Any] | None:
    """Read last.pt, or previous.pt where that cannot be read or is not there; None where there is neither."""
    damaged: list[Path] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            state = load_checkpoint(path)
        except UserError as error:
            print(f"warning: {error}")
            damaged.append(path)
            continue
        for other in damaged:  # or it would become previous.pt; each process removes it
            other.unlink(missing_ok=True)
        print(f"going on after update {state['step']}, which {path} holds")
        return state
    if damaged:
        raise UserError(f"{folder} has no checkpoint to go on from that can be read: remove it, or use another exp_dir")
    return None


def check_starts(start: int, folder: Path) -> None:
    """Raise UserError naming processes and updates unless all processes go on after the same update."""
    starts = of_each(start)
    if len(set(starts)) > 1:
        listed = ", ".join(f"process {rank} after update {update:.0f}" for rank, update in enumerate(starts))
        raise UserError(
            f"{folder} is not the same for all processes ({listed}): put exp_dir where each of them sees it"
        )


def check_config(trained: dict[str, Any], config: dict[str, Any], step: int, folder: Path) -> None:
    """Raise UserError naming the keys whose new values give other results; say what the allowed ones change.

    `loop.updates` may be raised, and `loop.max_batch_seconds` be anything.
    """
    old, new = flatten(trained), flatten(config)
    changed = [key for key in old | new if old.get(key) != new.get(key) and not key.startswith(FREE)]
    updates, longest = (key in changed for key in ("loop.updates", "loop.max_batch_seconds"))
    if updates and new["loop.updates"] > old["loop.updates"]:
        changed.remove("loop.updates")
        print(
            f"loop.updates is {new['loop.updates']}, and was {old['loop.updates']}: from update {step} on the learning "
            "rate is that of the longer training"
        )
    if longest:
        changed.remove("loop.max_batch_seconds")
        parts = [
            micro_batches(loop["batch_seconds"], loop["max_batch_seconds"])[0]
            for loop in (config["loop"], trained["loop"])
        ]
        print(f"an update has {parts[0]} micro-batches, and had {parts[1]}: from update {step} on batches are others")
    if changed:
        listed = ", ".join(f"{key} {old.get(key)}, which is now {new.get(key)}" for key in changed)
        raise UserError(f"{folder} was trained with {listed}: take that back, remove the folder or use another exp_dir")


def flatten(values: Any, key: str = "") -> dict[str, Any]:
    """Return the values of nested dicts and lists by keys such as `optim.betas.0`."""
    if isinstance(values, dict):
        items = list(values.items())
    elif isinstance(values, (list, tuple)):
        items = list(enumerate(values))
    else:
        return {key: values}
    return {k: v for name, value in items for k, v in flatten(value, f"{key}.{name}".lstrip(".")).items()}
