"""What two runs of a recipe wrote, compared to the last bit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import torch

RULE = """Compared are all files of download/espeak, data and exp, by name and by content. Left out are what
depends on the time and on the machine: hidden files; TensorBoard's; the content of exp/log and exp/done (what
was printed; sizes and times of files) and of data/manifests/probes.jsonl (times of files); in log.jsonl and
RESULTS.md audio_s_per_s, utilisation and data_wait, and in RESULTS.md the table of wall times. Of checkpoints
the tensors and numbers are compared, since the archive around them has the name of a temporary file, and of
.gz files what was compressed."""

FOLDERS = ("download/espeak", "data", "exp")
BY_NAME_ALONE = ("exp/log/", "exp/done/", "data/manifests/probes.jsonl")
SPEEDS = ("audio_s_per_s", "utilisation", "data_wait")


def differences(one: Path, two: Path) -> list[str]:
    """Names of the files in which two runs of a recipe differ, or that only one of them has."""
    first, second = files(one), files(two)
    alone = [f"{name} (not in both)" for name in sorted(first.keys() ^ second.keys())]
    both = [name for name in sorted(first.keys() & second.keys()) if not name.startswith(BY_NAME_ALONE)]
    return alone + [name for name in both if content(first[name]) != content(second[name])]


def files(recipe: Path) -> dict[str, Path]:
    """All files that are compared, by their names in the recipe's folder."""
    paths = [path for folder in FOLDERS for path in (recipe / folder).rglob("*") if path.is_file()]
    found = {str(path.relative_to(recipe)): path for path in paths}
    return {name: path for name, path in found.items() if "/." not in name and "/tensorboard/" not in name}


def content(path: Path) -> Any:
    """What is compared of a file; see RULE."""
    if path.suffix == ".pt":
        return plain(torch.load(path, map_location="cpu", weights_only=True))
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.name == "log.jsonl":
        entries = map(json.loads, path.read_text().splitlines())
        return [{name: value for name, value in entry.items() if name not in SPEEDS} for entry in entries]
    if path.name == "RESULTS.md":
        lines = path.read_text().partition("## Wall time")[0].splitlines()
        return [line for line in lines if not line.startswith(tuple(f"| {name} " for name in SPEEDS))]
    return path.read_bytes()


def plain(value: Any) -> Any:
    """The bytes of tensors, and what holds them, so that == compares bits."""
    if isinstance(value, torch.Tensor):
        flat = value.contiguous().reshape(-1)
        return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return repr(value)
