"""One training step of base models: ours, transformers' Data2VecAudio made into MT4SSL, torchaudio's HuBERT."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
import transformers
from rows import Row, medians, out_argument, seconds, write_rows
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from mt4ssl.models.encoder import EncoderConfig
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.masking import MaskConfig, span_mask
from mt4ssl.models.mt4ssl import MT4SSL
from mt4ssl.models.speech import ModelConfig
from mt4ssl.table import markdown_table
from mt4ssl.targets.base import Target
from mt4ssl.targets.kmeans import KMeansTarget
from mt4ssl.targets.losses import masked_cross_entropy, masked_regression
from mt4ssl.targets.teacher import EmaConfig, TeacherTarget, teacher_target
from mt4ssl.train.optim import OptimConfig, make_optimizer
from mt4ssl.train.speed import M_MMAP_MAX, M_TRIM_THRESHOLD, count_flops, keep_freed_memory, matrix_peak

BATCH, SECONDS, CLUSTERS = 4, 10, 504
PARTS = {  # of a step, by the beginnings of its operations' names
    "matrix products": ("addmm", "mm", "bmm", "baddbmm", "linear", "matmul"),
    "convolutions": ("convolution", "mkldnn_convolution", "_convolution", "conv"),
    "fused attention": ("_scaled_dot_product",),
    "softmax": ("_softmax", "_log_softmax", "nll_loss"),
    "normalisation": ("native_layer_norm", "native_batch_norm", "native_group_norm", "rsqrt", "var"),
    "GELU": ("gelu",),
    "dropout": ("bernoulli", "random_", "ge", "native_dropout", "masked_fill"),
    "copies, also between types": ("copy_", "clone", "cat", "stack", "unfold", "fill_", "zero_"),
    "optimiser and EMA": ("_fused_adamw", "lerp", "_foreach"),
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BOTH: list[Target] = [KMeansTarget("kmeans", clusters=CLUSTERS), TeacherTarget("teacher")]
FRONTENDS = {"waveform": FrontendConfig(), "fbank": FrontendConfig("fbank", 512, [3, 3], [2, 1])}
FRAMES = 499  # of ten seconds, in every model that reads waveforms
Step = Callable[[], None]


def random_mask(frames: int) -> Tensor:
    return torch.from_numpy(span_mask([frames] * BATCH, frames, np.random.default_rng(0), MaskConfig())).to(DEVICE)


def update(model: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def ours(frontend: str, targets: list[Target], bf16: bool) -> Step:
    """A step of this library's model: forward, backward, AdamW, EMA."""
    architecture = ModelConfig(FRONTENDS[frontend], EncoderConfig(layerdrop=0.0))
    model = MT4SSL(architecture, targets, EmaConfig()).to(DEVICE).train()
    optimizer = make_optimizer([(model.parameters(), 1.0)], OptimConfig())
    size = (SECONDS * 16000,) if frontend == "waveform" else (SECONDS * 100, 80)
    inputs = torch.randn(BATCH, *size, device=DEVICE)
    frames = architecture.frontend.frames(size[0])
    labels = {"kmeans": torch.randint(0, CLUSTERS, (BATCH, frames), device=DEVICE)}
    masked = random_mask(frames).flatten().nonzero()[:, 0]

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
            result = model(inputs, None, labels, masked)
        update(model, result.loss / result.frames, optimizer)
        model.finish_update(1)

    return step


def transformers_mt4ssl(bf16: bool) -> Step:
    """The same training with transformers' model as student and teacher, and the same heads, losses and optimiser."""
    config = transformers.Data2VecAudioConfig(layerdrop=0.0, feat_proj_dropout=0.0)
    student = transformers.Data2VecAudioModel(config).to(DEVICE).train()
    teacher = copy.deepcopy(student.encoder).requires_grad_(False).eval()
    heads = nn.ModuleList([nn.Linear(768, CLUSTERS), nn.Linear(768, 768)]).to(DEVICE)
    optimizer = make_optimizer([(student.parameters(), 1.0), (heads.parameters(), 1.0)], OptimConfig())
    waveforms = torch.randn(BATCH, SECONDS * 16000, device=DEVICE)
    mask, labels = random_mask(FRAMES), torch.randint(0, CLUSTERS, (BATCH, FRAMES), device=DEVICE)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
            features, _ = student.feature_projection(student.feature_extractor(waveforms).transpose(1, 2))
            with torch.no_grad():
                layers = _outputs(teacher, features.detach())
            masked = student._mask_hidden_states(features, mask_time_indices=mask)
            seen = student.encoder(masked).last_hidden_state[mask]
            loss = masked_cross_entropy(heads[0](seen), labels[mask])
            loss = loss + masked_regression(heads[1](seen), teacher_target(layers, 8, None)[mask])
        update(student, loss / int(mask.sum()), optimizer)
        torch._foreach_lerp_(list(teacher.parameters()), list(student.encoder.parameters()), 0.001)

    return step


def _outputs(encoder: nn.Module, features: Tensor) -> list[Tensor]:
    """What every layer of transformers' encoder gives."""
    outputs: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda *call: outputs.append(call[2])) for layer in encoder.layers]
    encoder(features)
    for hook in hooks:
        hook.remove()
    return outputs


def torchaudio_hubert(bf16: bool) -> Step:
    """A step of torchaudio's HuBERT base, with the loss of its example."""
    model = torchaudio.models.hubert_pretrain_base(num_classes=500, encoder_layer_drop=0.0).to(DEVICE).train()
    optimizer = make_optimizer([(model.parameters(), 1.0)], OptimConfig())
    waveforms = torch.randn(BATCH, SECONDS * 16000, device=DEVICE)
    labels = torch.randint(0, 500, (BATCH, FRAMES), device=DEVICE)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16):
            masked, _, penalty = model(waveforms, labels)
        loss = F.cross_entropy(masked.float(), torch.zeros(len(masked), dtype=torch.long, device=DEVICE))
        update(model, loss + 10 * penalty.float(), optimizer)

    return step


def forget_freed_memory() -> None:
    """Undo `keep_freed_memory`: the peers' trainings leave glibc at its defaults."""
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 65536)
    libc.mallopt(M_TRIM_THRESHOLD, 128 * 1024)
    libc.malloc_trim(0)


def as_trained(step: Step, memory: Callable[[], None]) -> float:
    """Seconds of a step as in a training: after one that has found its memory."""
    memory()
    step()
    return seconds(step)


def pairs(mine: Step, theirs: Step, count: int) -> tuple[float, float, float]:
    """Time both in turn; return the median seconds of each and the median ratio."""
    return medians(
        [(as_trained(mine, keep_freed_memory), as_trained(theirs, forget_freed_memory)) for _ in range(count)]
    )


def parts(step: Step) -> dict[str, float]:
    """Milliseconds of one step that each of PARTS takes on the CPU, as torch's profiler sees it."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    spent = dict.fromkeys([*PARTS, "everything else"], 0.0)
    for event in profiler.key_averages():
        name = event.key.removeprefix("aten::")
        owners = [part for part, names in PARTS.items() if name.startswith(names)]
        spent[owners[0] if owners else "everything else"] += event.self_cpu_time_total / 1000
    return spent


def profile_table(spent: dict[str, dict[str, float]]) -> str:
    """Where the time of a step goes, for each of some models, from their `parts`."""
    rows = [[part, *(round(times[part]) for times in spent.values())] for part in [*PARTS, "everything else"]]
    rows.append(["all", *(round(sum(times.values())) for times in spent.values())])
    title = f"Milliseconds of one step, {BATCH} x {SECONDS} s, by operation (torch's profiler):"
    return f"{title}\n\n{markdown_table(['operation', *spent], rows)}"


def main() -> None:
    out = out_argument(__doc__ or "")
    audio = BATCH * SECONDS
    offline: list[Target] = [BOTH[0]]
    peer, hubert = transformers_mt4ssl, torchaudio_hubert
    comparisons = [  # what, ours, theirs, in bf16, how often, how many times faster it should be
        ("MT4SSL base, waveform", partial(ours, "waveform", BOTH), peer, True, 3, 2.0),
        ("MT4SSL base, fbank", partial(ours, "fbank", BOTH), peer, True, 3, 3.5),
        ("MT4SSL base, waveform", partial(ours, "waveform", BOTH), peer, False, 2, None),
        ("MT4SSL base, fbank", partial(ours, "fbank", BOTH), peer, False, 2, None),
        ("HuBERT base, waveform", partial(ours, "waveform", offline), hubert, True, 1, None),
        ("HuBERT base, waveform", partial(ours, "waveform", offline), hubert, False, 1, None),
    ]
    names = {True: "bf16", False: "fp32"}
    peaks = {bf16: matrix_peak(torch.bfloat16 if bf16 else torch.float32, DEVICE) for bf16 in names}
    rows = [Row(f"matrix product, {names[bf16]}", peak / 1e9, "GFLOP/s") for bf16, peak in peaks.items()]
    spent: dict[str, dict[str, float]] = {}
    for name, make_ours, make_theirs, bf16, count, target in comparisons:
        mine, theirs = make_ours(bf16), make_theirs(bf16)
        peer_name = "transformers" if make_theirs is peer else "torchaudio"
        _, flops = count_flops(mine)
        first, second, ratio = pairs(mine, theirs, count)
        used = 100 * flops / first / peaks[bf16]
        work = f"{name}, {names[bf16]}, {BATCH} x {SECONDS} s"
        if "waveform" in name and make_theirs is peer:
            spent[f"{peer_name}, {names[bf16]}"] = parts(theirs)
            as_trained(mine, keep_freed_memory)
            spent[f"ours, {names[bf16]}"] = parts(mine)
        note = f"{flops / audio / 1e9:.1f} GFLOP a second of audio, {used:.0f} % of the matrix peak; with nothing but "
        note += f"matrix products at that peak it would be {peaks[bf16] * second / flops:.2f} x"
        aim, met = (f">= {target} x", ratio >= target) if target else ("", None)
        rows.append(Row(work, audio / first, "audio s/s", aim, met, note, peer_name, audio / second, ratio))
        if target == 2.0:
            rows.append(Row(work, used, "% of the matrix peak", ">= 60 %", used >= 60))
    table = profile_table(spent)
    write_rows(rows, out, table)


if __name__ == "__main__":
    main()
