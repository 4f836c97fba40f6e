"""What a training would take, without its data: a few steps on noise of the right shape, on this machine or another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from mt4ssl.data.batches import micro_batches
from mt4ssl.data.cuts import Cuts
from mt4ssl.models.ctc import CtcModel, ctc_loss
from mt4ssl.models.encoder import Transformer
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import draw_masks
from mt4ssl.models.speech import ModelConfig
from mt4ssl.train.finetuning import FinetuneConfig, finetune_optimizer
from mt4ssl.train.optim import make_optimizer
from mt4ssl.train.pretraining import PretrainConfig, make_model
from mt4ssl.train.processes import check_shares
from mt4ssl.train.projection import Gpu
from mt4ssl.train.speed import DTYPES, advise_when_out_of_memory, autocast, choose_dtype, time_of
from mt4ssl.train.task import LoopConfig

TYPICAL_SECONDS = 12.0  # mean length of an utterance of LibriSpeech: 960 h in 281,241 utterances
CPU_SECONDS = 6.0  # of audio to measure with where a whole micro-batch would take minutes
TOKENS_PER_SECOND = 14
FEW_EPOCHS, MANY_EPOCHS = 1, 200
USUAL_EPOCHS = 10  # what is proposed to a training of fewer than one


@dataclass
class Plan:
    """A training on this kind of device."""

    parameters: int
    fixed: int
    """Parameters that no gradient moves: the teacher's, a frozen front-end's."""
    micro_batches: int
    """Of each process in an update."""
    micro_batch_seconds: float
    memory: float
    """Bytes for each process: on a GPU that is here as measured, else counted from what one step keeps for its backward
    pass."""
    measured_seconds: float
    """Of audio in the measured step."""
    speed: float
    """Seconds of audio a second, of each process."""
    hours: float


def plan_pretraining(config: PretrainConfig, processes: int, device: torch.device, gpu: Gpu | None = None) -> Plan:
    """Plan a pre-training, whose targets say how many classes their labels have.

    A `gpu` that is not here needs `projection.shapes_alone`.
    """
    with device:
        model = make_model(config)
    optimizer = make_optimizer([(model.parameters(), 1.0)], config.optim)
    rng = np.random.default_rng(0)

    def loss(rows: int, seconds: float) -> Tensor:
        inputs, _ = noise(config.model.frontend, rows, seconds, device)
        frames = config.model.frontend.frames(inputs.size(1))
        mask = draw_masks([frames] * rows, frames, rng, config.mask)
        labels = {name: torch.zeros(rows, frames, dtype=torch.long, device=device) for name in config.labels()}
        waveforms = noise(FrontendConfig(), rows, seconds, device)[0] if config.needs_waveforms() else None
        return model(inputs, None, labels, torch.from_numpy(np.flatnonzero(mask)).to(device), waveforms).loss

    longest = min(TYPICAL_SECONDS, config.max_seconds)
    return measure(model, optimizer, loss, longest, config.loop, processes, device, gpu)


def plan_finetuning(
    config: FinetuneConfig, architecture: ModelConfig, tokens: int, processes: int, device: torch.device,
    gpu: Gpu | None = None,
) -> Plan:  # fmt: skip
    """Plan a fine-tuning of an architecture, with its dropouts, to a number of tokens.

    A `gpu` that is not here needs `projection.shapes_alone`; what CTC itself takes is left out there.
    """
    with device:
        model = CtcModel(architecture, config.ctc, tokens)
    optimizer = finetune_optimizer(model, config)

    def loss(rows: int, seconds: float) -> Tensor:
        inputs, lengths = noise(architecture.frontend, rows, seconds, device)
        if gpu:  # without padding, which would have to be looked for
            return model.head(model.encoder(inputs, None)[0][-1]).float().log_softmax(-1).sum()
        log_probs, lengths = model(inputs, lengths)
        text = torch.randint(1, tokens, (rows, int(seconds * TOKENS_PER_SECOND)), device=device)
        return ctc_loss(log_probs, lengths, text, torch.full((rows,), text.size(1), device=device))

    return measure(model, optimizer, loss, TYPICAL_SECONDS, config.loop, processes, device, gpu)


def noise(frontend: FrontendConfig, rows: int, seconds: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs as the front-end reads them, samples (B, S), fbank (B, T, 80) or labels (B, T), and their lengths (B,)."""
    reads = frontend.reads
    size = int(seconds * reads.rate)
    shape = reads.shape(rows, size)
    lengths = torch.full((rows,), size, device=device)
    if reads.labels:
        return torch.randint(reads.classes, shape, device=device), lengths
    return torch.randn(shape, device=device), lengths


def measure(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[int, float], Tensor], longest: float,
    loop: LoopConfig, processes: int, device: torch.device, gpu: Gpu | None,
) -> Plan:  # fmt: skip
    """Time a micro-batch of utterances of `longest` seconds, and an update of the weights."""
    parts, micro = micro_batches(loop.batch_seconds, loop.max_batch_seconds)
    check_shares(parts, processes, loop.batch_seconds)
    measured = micro if device.type == "cuda" else min(CPU_SECONDS, micro)
    seconds = min(longest, measured)
    rows = max(1, round(measured / seconds))
    clock: Callable[[Callable[[], Any]], float]
    precision: AbstractContextManager[Any]
    if gpu:
        clock, precision, times = gpu.seconds, nullcontext(), 1  # counted, the same each time
        # LayerDrop depends on a value, which shapes alone do not have: no layer is left out.
        for module in model.modules():
            if isinstance(module, Transformer):
                module.training = False
    else:
        dtype = DTYPES[choose_dtype(loop.dtype, device)[0]]
        clock, precision, times = partial(time_of, device=device), autocast(dtype, device), 2

    def work() -> None:
        with advise_when_out_of_memory(rows * seconds):
            with precision:
                result = loss(rows, seconds)
            if not gpu:
                result.backward()

    kept: dict[int, int] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: note_storage(kept, tensor), lambda tensor: tensor):
        work()
    if gpu:
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
    # The best of the times of each, updates first: steps are measured with Adam's moments in memory.
    update_time, step_time = (min(clock(do) for _ in range(times)) for do in (optimizer.step, work))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    fixed = sum(p.numel() for p in model.parameters()) - trained
    if device.type == "cuda" and not gpu:
        memory = float(torch.cuda.max_memory_allocated(device))
    else:
        for parameter in model.parameters():
            kept.pop(storage_id(parameter), None)
        # Weights, gradients and Adam's two moments in fp32, and what the backward pass needs of the micro-batch.
        memory = 4.0 * (4 * trained + fixed) + sum(kept.values()) * micro / (rows * seconds)
    speed = rows * seconds / step_time
    share = -(-parts // processes)
    hours = loop.updates * (share * micro / speed + update_time) / 3600
    return Plan(trained, fixed, share, micro, memory, rows * seconds, speed, hours)


def note_storage(kept: dict[int, int], tensor: Tensor) -> Tensor:
    """Note the bytes of a tensor that is kept for the backward pass, once for all views of it."""
    kept[storage_id(tensor)] = tensor.untyped_storage().nbytes()
    return tensor


def storage_id(tensor: Tensor) -> int:
    """Return a number of the tensor's storage, which other views of it share; also of one that has no memory."""
    return StorageWeakRef(tensor.untyped_storage()).cdata


def corpus_hours(cuts: Path) -> float | None:
    """Hours of all cuts of a manifest; None where no stage has made it yet."""
    return float(Cuts.read(cuts).durations.sum()) / 3600 if cuts.is_file() else None


def epochs(loop: LoopConfig, hours: float) -> float:
    """How often the updates go through so many hours."""
    return loop.updates * loop.batch_seconds / 3600 / hours


def advise_on_updates(loop: LoopConfig, hours: float, most: float) -> str | None:
    """A line for trainings of less than one epoch, or more than `most`, that names other updates; None for the rest."""
    number = epochs(loop, hours)
    if FEW_EPOCHS <= number <= most:
        return None
    limit, goal = ("less than 1", USUAL_EPOCHS) if number < FEW_EPOCHS else (f"more than {most:g}", most)
    updates = max(1, round(goal * hours * 3600 / loop.batch_seconds))
    return (
        f"warning: loop.updates {loop.updates} is {number:.2f} epochs of {hours:.2f} hours, {limit}: "
        f"loop.updates {float(f'{updates:.2g}'):.0f} would be about {goal:g}"
    )
