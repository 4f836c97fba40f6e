"""Checkpoints: plain tensors and plain data, written whole, loaded with weights_only, carrying their config."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts, with checksums.

    Raises UserError if the disk does not take them, or the folder is gone: a new one would lack what was there.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is gone: see who removed or moved it, then run the same command again")
    with atomic_path(path) as temporary:
        torch.save(dict(content), temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; UserError if it is missing, damaged, or has more than data in it."""
    require(path, "the training that writes it has not run")
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself compares no checksums
            damaged = archive.testzip()
        if damaged is None:
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and zipfile raise many types for a damaged file
        raise UserError(f"{path} cannot be read as a checkpoint: {error}".splitlines()[0]) from error
    raise UserError(f"{path} cannot be read as a checkpoint: the checksum of {damaged} in it does not fit")


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file; UserError if it is missing or damaged."""
    try:
        return load_file(require(path, "nothing was exported into this folder"))
    except SafetensorError as error:
        raise UserError(f"{path} is no whole file of safetensors ({error}): get it again") from error


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Load a state dict that must fit exactly; UserError naming `source` and the first misfit."""
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise UserError(f"{source} does not fit the model: {str(error).splitlines()[1].strip()}") from error


def step_checkpoints(folder: Path) -> list[Path]:
    """The `step-N.pt` files of a training, in order of N."""
    return sorted(folder.glob("step-*.pt"), key=lambda path: int(path.stem.split("-")[1]))


def average_checkpoints(paths: list[Path]) -> dict[str, Tensor]:
    """Mean of the `model` weights of several checkpoints."""
    average: dict[str, Tensor] = {}
    for path in paths:
        weights = load_checkpoint(path)["model"]
        for name, weight in weights.items():
            average[name] = average.get(name, 0) + weight.double() / len(paths)
    return {name: weight.to(weights[name].dtype) for name, weight in average.items()}


def average_last(folder: Path, count: int) -> Path:
    """Return the file that holds the mean of the last `count` step checkpoints; UserError if there are fewer."""
    steps = step_checkpoints(folder)
    if len(steps) < count:
        raise UserError(
            f"{folder} has {len(steps)} step checkpoints, not {count}: lower --avg, or raise loop.keep and train again"
        )
    path = folder / f"averaged-{count}.pt"
    last = steps[-count:]
    names = [step.name for step in last]
    newer = path.exists() and path.stat().st_mtime_ns > max(step.stat().st_mtime_ns for step in last)
    if not newer or load_checkpoint(path)["from"] != names:  # newer by a clock that was set back meanwhile
        save_checkpoint(path, {"model": average_checkpoints(last), "from": names})
    return path
