"""What one GPU does: time of a pre-training step, share of the peak, memory, waits, hours, and its loss curve.

Everything is measured on noise of the right shape. Of this library only models, targets and the optimiser are needed,
so that torch, numpy, PyYAML, tqdm, safetensors and jsonargparse are enough. What fails is told in a line, and the rest
goes on; all that is known is written after every measurement.
"""

from __future__ import annotations

import argparse
import gc
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from rows import Row, print_row, save_rows
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.kernels import layer_norm
from mt4ssl.models.masking import MaskConfig, span_mask
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig, compile_layers
from mt4ssl.table import markdown_table
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget
from mt4ssl.train.optim import OptimConfig, make_optimizer
from mt4ssl.train.speed import autocast, count_flops, keep_freed_memory, matrix_peak

CONFIGS = Path(__file__).parents[1] / "egs/librispeech/conf"
LARGE = {"layers": 24, "dim": 1024, "ffn_dim": 4096, "heads": 16}
TINY = {"layers": 2, "dim": 32, "ffn_dim": 64, "heads": 4, "pos_conv_width": 15, "pos_conv_depth": 3,
        "pos_conv_groups": 4}  # fmt: skip
STILL = {"layerdrop": 0.0, "dropout": 0.0, "attention_dropout": 0.0}
CLUSTERS = 500
H100_PEAK = 989e12  # FLOP/s in bf16, of its data sheet
STEPS = 8  # micro-batches that are timed together
CURVE_UPDATES = 100
CURVE_BATCHES = 10  # that the curve's updates go through in turn
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class Work:
    """What is measured together: one model, and micro-batches of several sizes."""

    size: str
    frontend: str
    compiled: bool

    def __str__(self) -> str:
        return f"MT4SSL {self.size}, {self.frontend}, bf16" + (", compiled" if self.compiled else "")


WORKS = [  # what takes minutes to compile last: what does not fit into the time is left out
    *(Work("base", frontend, False) for frontend in ("fbank", "waveform")),
    *(Work("large", frontend, False) for frontend in ("fbank", "waveform")),
    *(Work("base", frontend, True) for frontend in ("fbank", "waveform")),
    *(Work("large", frontend, True) for frontend in ("fbank", "waveform")),
]


def read_config(name: str) -> dict[str, Any]:
    """Read one of egs/librispeech."""
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def architecture(size: str, frontend: str, **changes: Any) -> ModelConfig:
    """The model of egs/librispeech, or one of another size; without LayerDrop, so that all steps do the same."""
    base = read_config("pretrain_base")["model"]
    front = FrontendConfig(**(base if frontend == "waveform" else read_config("fbank")["model"])["frontend"])
    sizes: dict[str, Any] = {"base": {}, "large": LARGE, "tiny": TINY}[size]
    encoder = EncoderConfig(**{**base["encoder"], **sizes, "layerdrop": 0.0, **changes})
    return ModelConfig(replace(front, dim=32) if size == "tiny" else front, encoder)


class Trainee:
    """A pre-training that reads the same micro-batch again and again from pinned memory."""

    def __init__(self, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        layers = config.encoder.layers
        targets = [KMeansTarget("kmeans", clusters=CLUSTERS, layer=layers),
                   TeacherTarget("teacher", layer=layers, top_k=min(8, layers))]  # fmt: skip
        self.config, self.device, self.dtype = config, device, dtype
        self.model = MT4SSL(config, targets, EmaConfig()).to(device).train()
        self.optimizer = make_optimizer([(self.model.parameters(), 1.0)], OptimConfig(lr=1e-3))
        self.updates = 0

    def batch(self, rows: int, seconds: float, seed: int = 0) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return inputs, labels and the numbers of masked frames, as a data worker makes them."""
        rng = np.random.default_rng(seed)
        reads = self.config.frontend.reads
        inputs = rng.standard_normal(reads.shape(rows, int(seconds * reads.rate)), dtype=np.float32)
        frames = self.config.frontend.frames(inputs.shape[1])
        labels = np.repeat(rng.integers(0, CLUSTERS, (rows, -(-frames // 8))), 8, axis=1)[:, :frames]
        masked = np.flatnonzero(span_mask([frames] * rows, frames, rng, MaskConfig()))
        parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in (inputs, labels, masked)]
        if self.device.type == "cuda":
            parts = [part.pin_memory() for part in parts]
        return parts[0], {"kmeans": parts[1]}, parts[2]

    def micro_batch(self, inputs: Tensor, labels: dict[str, Tensor], masked: Tensor) -> Tensor:
        """Copy a micro-batch to the device, go forward and backward; return its loss for each masked frame."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(self.device, non_blocking=True)

        with autocast(self.dtype, self.device):
            result = self.model(move(inputs), None, {name: move(x) for name, x in labels.items()}, move(masked))
        (result.loss / result.frames).backward()
        return result.loss.detach() / result.frames

    def update(self) -> None:
        """Move the weights, as the training loop does: the gradients' norm, AdamW, EMA."""
        torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None]).item()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        self.model.finish_update(self.updates)


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def average_seconds(work: Callable[[], object], count: int) -> float:
    """Seconds of one of several calls, between which nothing waits for the device."""
    synchronize()
    begin = time.perf_counter()
    for _ in range(count):
        work()
    synchronize()
    return (time.perf_counter() - begin) / count


def waits(work: Callable[[], object]) -> Counter[str]:
    """Where the CPU waits for the GPU in `work`, by line of code, as torch sees it; empty without a GPU."""
    if DEVICE.type != "cuda":
        return Counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found = [warning for warning in caught if "called a synchronizing" in str(warning.message)]
    return Counter("/".join(Path(warning.filename).parts[-2:]) + f":{warning.lineno}" for warning in found)


class Bench:
    """The rows so far, and what went wrong; saved after every measurement."""

    def __init__(self, out: Path, limit: float, tiny: bool) -> None:
        self.out, self.tiny = out, tiny
        self.end = time.monotonic() + limit
        self.rows: list[Row] = []
        self.steps: list[list[Any]] = []
        self.notes: list[str] = []
        self.profiles: list[str] = []
        self.peak = H100_PEAK  # until it is measured
        self.loop = read_config("pretrain_base")["loop"]

    def attempt(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        """Do `work` with its arguments if there is time; tell what goes wrong, and go on."""
        begin = time.monotonic()
        print(f"-- {name}", flush=True)
        if begin > self.end:
            self.notes.append(f"{name}: left out, since the time was up")
        else:
            try:
                work(*arguments)
                self.notes.append(f"{name}: took {time.monotonic() - begin:.0f} s in all")
            except Exception as error:  # noqa: BLE001  (whatever it is, the other measurements are worth having)
                traceback.print_exc()
                self.notes.append(f"{name}: FAILED: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        print(self.notes[-1], flush=True)
        gc.collect()  # the model that failed or is done
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()
        save_rows(self.rows, self.out, self.tables())

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print_row(row)

    def tables(self) -> str:
        """All that was measured, as Markdown."""
        header = ["model", "micro-batch (s)", "forward and backward (ms)", "update (ms)", "audio s/s", "TFLOP/s",
                  "% of the measured peak", "% of 989 TFLOP/s", "memory (GiB)", "GPU-hours"]  # fmt: skip
        name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU, on CPU"
        title = (
            f"{name}, torch {torch.__version__}; matrix product in bf16: {self.peak / 1e12:.4g} TFLOP/s. The GPU-hours "
            f"are those of {self.loop['updates']} updates of {self.loop['batch_seconds']} s."
        )
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join([title, markdown_table(header, self.steps), *self.profiles, notes])

    def measure_peak(self) -> None:
        self.peak = matrix_peak(torch.bfloat16, DEVICE)
        self.add(Row("matrix product, bf16", self.peak / 1e12, "TFLOP/s"))

    def measure_steps(self, work: Work) -> None:
        """Measure micro-batches of the size that recipes use, and of four times that."""
        trainee = Trainee(architecture("tiny" if self.tiny else work.size, work.frontend), DEVICE, torch.bfloat16)
        rows, seconds = (2, 2.0) if self.tiny else (19, 12.5)  # 237.5 s
        batch = trainee.batch(rows, seconds)
        _, flops = count_flops(lambda: trainee.micro_batch(*batch))  # before compilation, which hides them
        if work.compiled:
            compile_layers(trainee.model)
        for times in (1, 4):
            name = f"{work}, {times * rows} x {seconds:g} s"
            self.attempt(name, self.measure_step, work, trainee, times * rows, seconds, times * flops)
        self.attempt(f"{work}, waits", self.measure_waits, work, trainee, batch)
        if work.size == "base":
            self.profiles.append(operations(f"{work}, {rows} x {seconds:g} s", lambda: trainee.micro_batch(*batch)))

    def measure_step(self, work: Work, trainee: Trainee, rows: int, seconds: float, flops: int) -> None:
        batch = trainee.batch(rows, seconds)
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        for _ in range(2):  # compilation, and Adam's moments
            trainee.micro_batch(*batch)
            trainee.update()
        micro = average_seconds(lambda: trainee.micro_batch(*batch), 2 if self.tiny else STEPS)
        update = average_seconds(trainee.update, 1)
        memory = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else 0.0

        speed, rate, share = rows * seconds / micro, flops / micro, 100 * flops / micro / self.peak
        hours = self.loop["updates"] * (self.loop["batch_seconds"] / speed + update) / 3600
        name = f"{work}, {rows} x {seconds:g} s"
        self.steps.append([
            str(work), rows * seconds, 1000 * micro, 1000 * update, speed, rate / 1e12, share, 100 * rate / H100_PEAK,
            memory, hours,
        ])  # fmt: skip
        aim, met = (">= 40 %", share >= 40) if work.frontend == "fbank" else ("", None)
        self.add(Row(name, speed, "audio s/s", note=f"{1000 * micro:.1f} ms, and {1000 * update:.1f} ms an update"))
        self.add(Row(name, share, "% of the matrix peak", aim, met, f"{100 * rate / H100_PEAK:.1f} % of 989 TFLOP/s"))
        self.add(Row(name, hours, "GPU-hours", note=f"for {self.loop['updates']} updates; {memory:.1f} GiB"))

    def measure_waits(self, work: Work, trainee: Trainee, batch: tuple[Tensor, dict[str, Tensor], Tensor]) -> None:
        """Count how often the CPU waits for the GPU, in a micro-batch and in the update after it."""
        for part, does in (("a micro-batch", lambda: trainee.micro_batch(*batch)), ("an update", trainee.update)):
            found = waits(does)
            aim, met = ("0", not found) if part == "a micro-batch" else ("", None)
            places = ", ".join(f"{place} {count} x" for place, count in found.items())
            self.add(Row(str(work), found.total(), f"waits in {part}", aim, met, places))

    def measure_convolutions(self) -> None:
        """Compare ways to compute the layers of the waveform front-end: convolution, LayerNorm, GELU, and back."""
        rows, seconds = (2, 2.0) if self.tiny else (19, 12.5)
        config = architecture("tiny" if self.tiny else "base", "waveform").frontend
        size, channels = int(seconds * config.reads.rate), 1
        table: list[list[Any]] = []
        for kernel, stride in zip(config.kernels, config.strides):
            conv = nn.Conv1d(channels, config.dim, kernel, stride, bias=False, device=DEVICE)
            x = torch.randn(rows, size, channels, device=DEVICE, dtype=torch.bfloat16, requires_grad=channels > 1)
            table.append([f"{channels} to {config.dim}, kernel {kernel}, stride {stride}, {size} frames"])
            for way in CONVOLUTIONS.values():
                work = partial(go_through, way, conv, x)
                work()  # which loads what it needs
                table[-1].append(1000 * average_seconds(work, 1 if self.tiny else STEPS))
            size, channels = (size - kernel) // stride + 1, config.dim
        self.profiles.append(
            f"Layers of the waveform front-end, {rows} x {seconds:g} s, forward and backward, in milliseconds:\n\n"
            + markdown_table(["layer", *CONVOLUTIONS], table)
        )

    def measure_curve(self, frontend: str, dtype: torch.dtype, compiled: bool) -> None:
        """Compare the losses of a tiny training with those of the CPU in fp32: same seed, same data, no dropout."""
        mine, theirs = curve(frontend, DEVICE, dtype, compiled), reference_curve(frontend)
        difference = 100 * float(np.max(np.abs(mine / theirs - 1)))
        kind = f"{str(dtype).removeprefix('torch.')}{', compiled' if compiled else ''}"
        self.add(Row(f"loss curve, tiny, {frontend}, {kind}, {CURVE_UPDATES} updates", difference,
                     "% at most from the CPU's fp32", note=f"from {theirs[0]:.4g} to {theirs[-1]:.4g}"))  # fmt: skip


def as_conv1d(conv: nn.Conv1d, x: Tensor) -> Tensor:
    return conv(x.transpose(1, 2)).transpose(1, 2)


def as_conv2d(conv: nn.Conv1d, x: Tensor) -> Tensor:
    image = x.transpose(1, 2)[:, :, None]  # (B, C, 1, T), channels last in memory
    return F.conv2d(image, conv.weight[:, :, None], conv.bias, (1, conv.stride[0]))[:, :, 0].transpose(1, 2)


def as_product(conv: nn.Conv1d, x: Tensor) -> Tensor:
    windows = x.unfold(1, conv.kernel_size[0], conv.stride[0]).flatten(2)
    return F.linear(windows, conv.weight.flatten(1), conv.bias)


CONVOLUTIONS = {"conv1d": as_conv1d, "conv2d, channels last": as_conv2d, "matrix product": as_product}


def go_through(way: Callable[[nn.Conv1d, Tensor], Tensor], conv: nn.Conv1d, x: Tensor) -> None:
    """One layer's forward and backward pass."""
    with autocast(torch.bfloat16, DEVICE):
        y = F.gelu(layer_norm(way(conv, x), (conv.out_channels,)))
    y.backward(torch.ones_like(y))


def curve(frontend: str, device: torch.device, dtype: torch.dtype, compiled: bool) -> np.ndarray:
    """Return the loss of each update of a tiny model."""
    trainee = Trainee(architecture("tiny", frontend, **STILL), device, dtype)
    if compiled:
        compile_layers(trainee.model)
    batches = [trainee.batch(2, 1.0, seed) for seed in range(CURVE_BATCHES)]
    losses = []
    for update in range(CURVE_UPDATES):
        losses.append(trainee.micro_batch(*batches[update % CURVE_BATCHES]))
        trainee.update()
    return torch.stack(losses).cpu().double().numpy()


@cache
def reference_curve(frontend: str) -> np.ndarray:
    """Return the losses that the CPU gives in fp32."""
    return curve(frontend, torch.device("cpu"), torch.float32, False)


def operations(title: str, work: Callable[[], object]) -> str:
    """Where the time of one call goes: a table of the longest operations."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if DEVICE.type == "cuda" else [])]
    work()
    with profile(activities=activities) as profiler:
        work()
        synchronize()
    attribute = "self_device_time_total" if DEVICE.type == "cuda" else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: -getattr(event, attribute))[:40]
    rows = [[event.key[:80].replace("|", "/"), event.count, getattr(event, attribute) / 1000] for event in events]
    return f"{title}, by operation (torch's profiler):\n\n{markdown_table(['operation', 'calls', 'ms'], rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write the rows to")
    parser.add_argument("--limit", type=float, default=420, help="seconds after which nothing new is started")
    parser.add_argument(
        "--tiny", action="store_true", help="tiny models, not compiled: shows on any machine that this runs"
    )
    options = parser.parse_args()
    keep_freed_memory()
    bench = Bench(options.out, options.limit, options.tiny)
    bench.attempt("matrix product", bench.measure_peak)
    for work in WORKS[:2]:
        bench.attempt(str(work), bench.measure_steps, work)
    bench.attempt("convolutions", bench.measure_convolutions)
    for dtype in (torch.float32, torch.bfloat16):
        bench.attempt(f"loss curve, {dtype}", bench.measure_curve, "fbank", dtype, False)
    if not options.tiny:
        for work in WORKS[2:]:
            bench.attempt(str(work), bench.measure_steps, work)
        bench.attempt("loss curve, compiled", bench.measure_curve, "fbank", torch.bfloat16, True)
    print(f"\n{options.out}:\n{bench.tables()}")


if __name__ == "__main__":
    main()
