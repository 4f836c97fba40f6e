"""Loss curves of the same pre-training in fp32, bf16 and compiled: they may differ no more than two seeds do."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import Row, out_argument, write_rows

from mt4ssl.table import markdown_table

RECIPE = Path(__file__).parents[1] / "egs/espeak"
UPDATES, EVERY = 300, 50
RUNS = {
    "fp32": ["--loop.dtype", "fp32"],
    "bf16": ["--loop.dtype", "bf16"],
    "bf16, compiled": ["--loop.dtype", "bf16", "--loop.compile", "true"],
    "fp32, another seed": ["--loop.dtype", "fp32", "--loop.seed", "1"],
}


def pretrain(folder: Path, options: list[str]) -> list[dict]:
    """Run the recipe's pre-training for 300 updates; return its training log."""
    cuts = RECIPE / "data/kmeans/iter1/espeak_cuts_"
    subprocess.run(
        [
            sys.executable, "-m", "mt4ssl.bin.pretrain", "--config", "conf/pretrain.yaml", *options,
            "--train-cuts", f"{cuts}train.jsonl.gz", "--dev-cuts", f"{cuts}dev.jsonl.gz", "--exp-dir", str(folder),
            "--loop.updates", str(UPDATES), "--loop.log-every", str(EVERY), "--loop.validate_every", "1000",
        ],
        cwd=RECIPE, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    entries = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [entry for entry in entries if entry["split"] == "train"]


def main() -> None:
    out = out_argument(__doc__ or "")
    subprocess.run([RECIPE / "run.sh", "--stop-stage", "4"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        logs: dict[str, list[dict]] = {
            name: pretrain(Path(folder) / str(number), options) for number, (name, options) in enumerate(RUNS.items())
        }
    reference = logs["fp32"]

    def distance(name: str) -> float:
        """Largest relative difference of the loss from the fp32 run's, in percent, once both have learnt something."""
        pairs = zip(logs[name][2:], reference[2:])
        return max(100 * abs(mine["loss"] / theirs["loss"] - 1) for mine, theirs in pairs)

    noise = distance("fp32, another seed")
    rows = [
        Row(f"loss curve, {name}, against fp32", distance(name), "%", f"<= {noise:.2g}, of two seeds",
            distance(name) <= noise, f"{logs[name][-1]['audio_s_per_s']:.0f} audio s/s")
        for name in ("bf16", "bf16, compiled")
    ]  # fmt: skip
    losses = [[entry["step"], *(log[n]["loss"] for log in logs.values())] for n, entry in enumerate(reference)]
    table = markdown_table(["update", *logs], losses)
    write_rows(rows, out, f"Training loss, means over {EVERY} updates of the pre-training of `egs/espeak`:\n\n{table}")


if __name__ == "__main__":
    main()
