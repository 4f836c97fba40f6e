"""What a training tells: JSON lines, TensorBoard, a progress bar."""

from __future__ import annotations

import json
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from mt4ssl.files import write_lines
from mt4ssl.train.health import BAD_UPDATES


class Monitor:
    """Writes every logged update to `log.jsonl` and TensorBoard, and the main figures to the terminal; or nothing."""

    def __init__(self, folder: Path, start: int, updates: int, name: str, active: bool) -> None:
        self.name, self.active = name, active
        self.path, self.bad_updates = folder / "log.jsonl", folder / BAD_UPDATES
        self.progress = tqdm(total=updates, initial=start, unit="update", disable=None if active else True, desc=name)
        if active:
            for path in (self.path, self.bad_updates):
                self._forget_after(start, path)
            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)

    def _forget_after(self, start: int, path: Path) -> None:
        """Drop what an interrupted run logged beyond the checkpoint it resumes from, whose line may be half written."""
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            write_lines(path, [line[:-1] for line in lines if line[-1] == "\n" and json.loads(line)["step"] <= start])

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        """Record values of `train` or `dev` after update `step`."""
        if not self.active:
            return
        rounded = {key: float(f"{value:.6g}") for key, value in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "split": split, **rounded}) + "\n")
        for key, value in values.items():
            self.writer.add_scalar(f"{split}/{key}", value, step)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
        tqdm.write(f"{self.name} update {step} {split}: {shown}")

    def warn(self, step: int, wrong: str, cuts: list[str]) -> None:
        """Say that something is wrong with update `step`, and record it with the ids of its cuts."""
        if not self.active:
            return
        with self.bad_updates.open("a") as file:
            file.write(json.dumps({"step": step, "wrong": wrong, "cuts": cuts}) + "\n")
        tqdm.write(f"warning: {self.name} update {step} {wrong}; {self.bad_updates} names its {len(cuts)} cuts")

    def close(self) -> None:
        if self.active:
            self.writer.close()
        self.progress.close()
