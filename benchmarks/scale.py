"""What a corpus of 960, 6,000 or 60,000 hours takes: write the tables of docs/scale.md.

They follow from rates on record: those of stages 1 to 4 are in mt4ssl/data/rates.py, where data_rates.py measures them,
those of a training below. `--project` projects the GPU-hours anew, and prints them; that takes two minutes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mt4ssl.data.rates import COPY, FLAC, LOADING, MEASURED, STEPS, Corpus, Rates, brief, data_steps
from mt4ssl.files import atomic_path
from mt4ssl.table import markdown_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/scale.md"
BETWEEN = re.compile(r"(?<=<!-- benchmarks/scale.py writes what follows -->\n).*(?=<!-- as far as here -->)", re.DOTALL)
SIZES = (960, 6_000, 60_000)  # hours
WORKERS = (1, 10, 100)

AUDIO_HOURS = 400_000 * 3_800 / 3600
"""Of all updates of the paper, of egs/librispeech/conf/pretrain_base.yaml."""
GPU_HOURS = {  # model: projected for an H100, for an H200; measured on an H200 with parts of 237.5 s, of 950 s
    "base, waveform": (133.6, 112.2, 127.7, 101.0),
    "base, fbank": (87.3, 75.1, 80.1, 70.2),
    "large, waveform": (302.3, 263.2, 217.4, 198.7),
    "large, fbank": (256.3, 226.3, 202.1, 161.1),
}
"""The last two are of benchmarks/RESULTS.md."""
EPOCH_SORT = 45
"""Bytes of an utterance in each process of a training, of benchmarks/RESULTS.md (growth)."""


def step_row(name: str, steps: list[Rates], corpus: Corpus) -> list[str]:
    """The cells of steps that follow each other."""
    cells = [name, *(brief(sum(step.hours(corpus, workers) for step in steps)) for workers in WORKERS)]
    cells.append(brief(max(step.bytes_in_memory(corpus) for step in steps) / 1e9))
    return [*cells, brief(sum(step.bytes_on_disk(corpus) for step in steps) / 1e9)]


def data_table(hours: int) -> str:
    """What stages 1 to 4 take, with features on the fly and with stored ones."""
    corpus = Corpus.like_librispeech(hours)
    rows = []
    for on_the_fly, note in ((True, ""), (False, " (features stored)")):
        steps = data_steps(on_the_fly)
        shown = [name for name in steps if on_the_fly or name != "1 manifests"]  # which is the same for both
        rows += [step_row(name + note, [steps[name]], corpus) for name in shown]
        rows.append(step_row(f"**all**{note}", list(steps.values()), corpus))
    header = ["stage", "core-hours", *(f"hours, {n} workers" for n in WORKERS[1:]), "memory, GB", "disk, GB"]
    return markdown_table(header, rows)


def reading() -> str:
    """What the workers want of the file system."""
    stage1, stage4 = (FLAC / STEPS[step].shared / 1e6 for step in ("manifests", "labels, on the fly"))
    return (
        f"A worker of stage 1 reads {stage1:.0f} MB of FLAC a second, one of stage 4 with MFCC on the fly {stage4:.0f} "
        f"MB: 100 of them want {stage1 / 10:.1f} and {stage4 / 10:.1f} GB a second of the file system."
    )


def training_table() -> str:
    """What else grows with the corpus."""
    corpora = [Corpus.like_librispeech(hours) for hours in SIZES]
    rows = [
        ["utterances", *(f"{corpus.utterances / 1e6:.2f} M" for corpus in corpora)],
        ["audio as FLAC, GB", *(brief(corpus.hours * FLAC / 1e9) for corpus in corpora)],
        ["`$TMPDIR` of each process of a training, GB", *(brief(corpus.utterances * COPY / 1e9) for corpus in corpora)],
        ["cuts in the memory of each, GB", *(brief(corpus.utterances * EPOCH_SORT / 1e9) for corpus in corpora)],
        ["epochs in 400,000 updates of 3,800 s", *(f"{AUDIO_HOURS / corpus.hours:.0f}" for corpus in corpora)],
    ]
    return markdown_table(["", *(f"{hours:,} h" for hours in SIZES)], rows)


def gpu_table() -> str:
    """GPU-hours of 400,000 updates, and how many data workers feed a GPU of the highest speed measured."""
    rows = []
    for model, hours in GPU_HOURS.items():
        speed = AUDIO_HOURS / hours[-1]
        kinds = ["waveform"] if "waveform" in model else ["fbank, on the fly", "fbank"]
        workers = " or ".join(f"{speed / LOADING[kind]:.1f}" for kind in kinds)
        rows.append([model, *(f"{value:.0f}" for value in hours), f"{speed:,.0f}", workers])
    header = ["model, front-end", "H100, projected", "H200, projected", "H200, measured, parts of 237.5 s", "of 950 s"]
    return markdown_table([*header, "audio s/s of the last", "data workers for it"], rows)


def tables() -> str:
    """All of what the page has of this script."""
    parts = [f"Rates of stages 1 to 4: {MEASURED}. {reading()}"]
    for hours in SIZES:
        parts += [f"### {hours:,} hours", data_table(hours)]
    parts += ["### Disks and memory of a training", training_table(), "### GPU-hours", gpu_table()]
    return "\n" + "\n\n".join(parts) + "\n\n"


def project() -> None:
    """Print the first two columns of GPU_HOURS."""
    import torch

    from mt4ssl.config import parse_config
    from mt4ssl.train.planning import plan_pretraining
    from mt4ssl.train.pretraining import NO_DATA, PretrainConfig
    from mt4ssl.train.projection import GPUS, shapes_alone

    configs = ROOT / "egs/librispeech/conf"
    sizes = {"base": [], "large": [
        "--model.encoder.layers", "24", "--model.encoder.dim", "1024", "--model.encoder.ffn_dim", "4096",
        "--model.encoder.heads", "16", "--targets", "[{type: kmeans, layer: 24}, {type: teacher, top_k: 8, layer: 24}]",
    ]}  # fmt: skip
    for model in GPU_HOURS:
        size, frontend = model.split(", ")
        arguments = ["--config", f"{configs}/pretrain_base.yaml"]
        if frontend == "fbank":
            arguments += ["--config", f"{configs}/fbank.yaml"]
        config = parse_config(PretrainConfig, "", [*NO_DATA, *arguments, *sizes[size]]).with_classes(lambda _: 100)
        for gpu in ("h100", "h200"):
            with shapes_alone():
                plan = plan_pretraining(config, 1, torch.device("cuda"), GPUS[gpu])
            print(f"{model}, {gpu}: {plan.hours:.1f}", flush=True)


def main() -> None:
    if sys.argv[1:] == ["--project"]:
        project()
        return
    made = tables()
    with atomic_path(PAGE) as temporary:
        temporary.write_text(BETWEEN.sub(lambda _: made, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
