"""Predictions a second of a student that encodes visible frames alone, against one that sees mask embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rows import Row, out_argument, pairs, print_row, save_rows

from mt4ssl.config import parse_config
from mt4ssl.models.masking import MaskConfig, draw_masks
from mt4ssl.train.optim import make_optimizer
from mt4ssl.train.planning import noise
from mt4ssl.train.pretraining import NO_DATA, PretrainConfig, make_model
from mt4ssl.train.speed import DTYPES, autocast, choose_dtype, keep_freed_memory

EGS = Path(__file__).parents[1] / "egs"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZES = {  # configs, utterances and their seconds, which fit into a CPU's patience
    "mini": (["mini_librispeech/conf/pretrain", "mini_librispeech/conf/mt4ssl2"], 4, 7.5),
    "base": (["librispeech/conf/pretrain_base", "librispeech/conf/fbank", "librispeech/conf/mt4ssl2"], 1, 5.0),
}


def training(config: PretrainConfig, rows: int, seconds: float, dtype: torch.dtype) -> tuple[Callable[[], None], int]:
    """Return a step (forward, backward, AdamW, EMA) on noise, and the number of its predictions."""
    model = make_model(config).to(DEVICE).train()
    optimizer = make_optimizer([(model.parameters(), 1.0)], config.optim)
    inputs, _ = noise(config.model.frontend, rows, seconds, DEVICE)
    frames = config.model.frontend.frames(inputs.size(1))
    mask = draw_masks([frames] * rows, frames, np.random.default_rng(0), config.mask)
    masked = torch.from_numpy(np.flatnonzero(mask)).to(DEVICE)
    labels = {name: torch.zeros(rows, frames, dtype=torch.long, device=DEVICE) for name in config.labels()}

    def step() -> None:
        with autocast(dtype, DEVICE):
            result = model(inputs, None, labels, masked)
        (result.loss / result.frames).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        model.finish_update(1)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return step, len(masked)


def main() -> None:
    out = out_argument(__doc__ or "")
    keep_freed_memory()
    dtype, _ = choose_dtype("auto", DEVICE)
    results = []
    for size, (names, rows, seconds) in SIZES.items():
        visible = parse_config(PretrainConfig, "", [*(f"--config={EGS / name}.yaml" for name in names), *NO_DATA])
        visible.model.encoder.layerdrop = 0.0
        replaced = replace(visible, decoder=None, mask=MaskConfig(0.65, visible.mask.length))
        both = visible.targets
        for targets, kind in ((both, "MT4SSL"), (both[:1], "offline")):
            theirs, their_count = training(replace(replaced, targets=targets), rows, seconds, DTYPES[dtype])
            for copies in (1, 4, 8):
                config = replace(visible, targets=targets, mask=replace(visible.mask, copies=copies))
                ours, count = training(config, rows, seconds, DTYPES[dtype])
                time, other, ratio = pairs(ours, theirs, 3)
                gain = ratio * count / their_count
                aim, met = (">= 2 x", gain >= 2) if (size, kind, copies) == ("mini", "MT4SSL", 4) else ("", None)
                work = f"{kind} {size}, fbank, {dtype}, {rows} x {seconds:g} s, visible frames of {copies} masks"
                note = f"a step takes {time / other:.2f} of the time"
                row = Row(
                    work, count / time, "predictions/s", aim, met, note, "mask embeddings", their_count / other, gain
                )
                print_row(row)
                results.append(row)
    save_rows(results, out, "")


if __name__ == "__main__":
    main()
