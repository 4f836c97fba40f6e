"""The parts of a recipe's RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from mt4ssl.files import atomic_path, require
from mt4ssl.results import METHODS, best_wer, commit, is_outdated, read_log
from mt4ssl.table import markdown_table

NOT_A_MEASURE = ("step", "split")
LAYER_MEASURES = {
    "accuracy": "phone accuracy",
    "abx_within": "ABX within speakers",
    "abx_across": "ABX across speakers",
    "pnmi": "PNMI",
    "effective_rank": "effective rank",
}
LAYER_HEADER = ["layer", *LAYER_MEASURES.values()]


def machine() -> str:
    """The GPU, or the number and name of the processors."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor()}"


def environment_lines(recipe: Path) -> str:
    """What was run, on what."""
    return (
        f"- Recipe: `{recipe.parent.name}/{recipe.name}/run.sh`; the command of every step is in `exp/log`\n"
        f"- Commit: `{commit()}`\n"
        f"- Machine: {machine()}; Python {platform.python_version()}, torch {torch.__version__}"
    )


def trained_models(finetune: Path) -> list[str]:
    """Names of the models whose fine-tuning has ended."""
    return sorted(path.parent.name for path in finetune.glob("*/final.pt"))


def scored_models(finetune: Path, test_sets: Sequence[str]) -> list[str]:
    """Names of the fine-tuned models with a WER by at least one search of one test set."""
    return [model for model in trained_models(finetune) if score_files(finetune, [model], test_sets)]


def score_files(finetune: Path, models: Sequence[str], test_sets: Sequence[str]) -> list[Path]:
    """The wer-SPLIT.json that there are of these models and test sets, of the log-probs that the models have now."""
    wanted = product(models, METHODS, test_sets)
    paths = [finetune / model / method / f"wer-{split}.json" for model, method, split in wanted]
    return [path for path in paths if path.exists() and not is_outdated(path)]


def used_methods(finetune: Path, models: Sequence[str], test_sets: Sequence[str]) -> dict[str, str]:
    """Names of the search methods that some model was scored with: not every recipe rescores."""
    used = {path.parent.name for path in score_files(finetune, models, test_sets)}
    return {method: name for method, name in METHODS.items() if method in used}


def wer_table(finetune: Path, models: Sequence[str], test_sets: Sequence[str]) -> str:
    """WER per model and test set, by search method; "-" where there is no score yet."""
    rows = []
    methods, there = used_methods(finetune, models, test_sets), score_files(finetune, models, test_sets)
    for split, model in product(test_sets, models):
        paths = [finetune / model / method / f"wer-{split}.json" for method in methods]
        rows.append([model, split, *(best_wer(path) if path in there else "-" for path in paths)])
    return markdown_table(["model", "set", *methods.values()], rows)


def missing_scores(finetune: Path, test_sets: Sequence[str]) -> list[str]:
    """A sentence for every score that a trained model does not have and another has, with the stage that makes it.

    Scores of log-probs that are there no more are left out, and named as well.
    """
    sentences = []
    models = trained_models(finetune)
    methods = used_methods(finetune, models, test_sets)
    for model in models:
        there = score_files(finetune, [model], test_sets)
        if not there:
            sentences.append(f"`{model}` is trained and has no score yet: stages 9 (emit) and 10 (decode) make them.")
            continue
        for split, (method, name) in product(test_sets, METHODS.items()):
            path = finetune / model / method / f"wer-{split}.json"
            stage = "9 (emit)" if method == "ctc-greedy-search" else "10 (decode)"
            if path not in there and path.exists():
                why = "is of other log-probs than it has now, and left out"
                sentences.append(f"The score of `{model}` of {split} by {name} {why}: stage {stage} makes a new one.")
            elif path not in there and method in methods:
                sentences.append(f"`{model}` has no score of {split} by {name}: stage {stage} makes it.")
    return sentences


def lm_table(path: Path) -> str:
    """OOV rate and perplexities of each set."""
    results = json.loads(require(path, "made by stage 7 (graph)").read_text())
    rows = [[split, *result.values()] for split, result in results.items()]
    return markdown_table(["set", *next(iter(results.values()))], rows)


def label_table(kmeans: Path) -> str:
    """Quality of each iteration's labels, "" if none were made; measures against phones only where there are any."""
    rows = []
    for phones, file in {"of the corpus": "quality.json", "of forced alignment": "quality_aligned.json"}.items():
        for path in sorted(kmeans.glob(f"*/{file}")):
            quality = json.loads(path.read_text())
            known = quality.get("phone_purity") is not None
            rows.append({"K-means": path.parent.name, "phones": phones if known else "unknown", **quality})
    names = [name for name in (rows[0] if rows else {}) if any(row[name] is not None for row in rows)]
    cells = [["-" if row[name] is None else report_cell(row[name]) for name in names] for row in rows]
    return markdown_table([name.replace("_", " ") for name in names], cells) if rows else ""


def report_cell(value: float | str) -> float | str:
    """Return a value as a table of measures shows it."""
    return f"{value:.4g}" if isinstance(value, float) else value


def layer_rows(layers: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """Rows under LAYER_HEADER, from the `layers` of a probe.json; "-" where there are too few speakers."""
    return [
        [values["layer"], *("-" if values[key] is None else report_cell(values[key]) for key in LAYER_MEASURES)]
        for values in layers
    ]


def layer_tables(probes: Path, plots: Path) -> list[str]:
    """Return a table and a plot of the layers of each model that was probed; the plots are written."""
    parts = []
    for path in sorted(probes.glob("*/probe.json")):
        probe = json.loads(path.read_text())
        plot = plot_layers(probe["layers"], path.parent.name, plots / f"layers-{path.parent.name}.png")
        about = f"`{probe['model']}` on {probe['frames']} frames of `{probe['cuts']}`"
        parts += [
            f"{about}, with {probe['phones']} phones and {probe['speakers']} speakers:",
            markdown_table(LAYER_HEADER, layer_rows(probe["layers"])),
            f"![{plot.stem}]({plots.name}/{plot.name})",
        ]
    return parts


def plot_layers(layers: Sequence[dict[str, Any]], title: str, path: Path) -> Path:
    """Draw the measures of a probe.json over the layers."""
    figure, axes = plt.subplots(1, len(LAYER_MEASURES), figsize=(15, 3), layout="constrained")
    for axis, (key, name) in zip(axes, LAYER_MEASURES.items()):
        axis.plot([values["layer"] for values in layers], [values[key] for values in layers], marker="o", markersize=3)
        axis.set(title=name, xlabel="layer")
    figure.suptitle(title)
    return save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, and forget it; return the path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)
    return path


def training_tables(folders: Sequence[Path]) -> str:
    """Final measures of each training on its training and dev data, and where its config is."""
    parts = []
    for folder in folders:
        last = {split: read_log(folder, split)[-1] for split in ("train", "dev")}
        names = [name for name in {**last["dev"], **last["train"]} if name not in NOT_A_MEASURE]
        rows = [
            [name, *(f"{last[s][name]:.4g}" if name in last[s] else "" for s in ("train", "dev"))] for name in names
        ]
        parts.append(
            f"`{folder / 'config.yaml'}`, {last['dev']['step']} updates:\n\n"
            + markdown_table(["measure", "train", "dev"], rows)
        )
    return "\n\n".join(parts)


def plot_curves(folder: Path, path: Path) -> Path:
    """Draw every logged loss, accuracy and error rate of a training over its updates."""
    logs = {split: read_log(folder, split) for split in ("train", "dev")}
    shown = [n for n in logs["dev"][-1] if n not in NOT_A_MEASURE and not n.endswith("_std")]
    figure, axes = plt.subplots(1, len(shown), figsize=(4 * len(shown), 3), layout="constrained", squeeze=False)
    for axis, name in zip(axes[0], shown):
        for split, log in logs.items():
            points = [(values["step"], values[name]) for values in log if name in values]
            if points:
                axis.plot(*zip(*points), label=split, marker="o" if split == "dev" else None, markersize=3)
        axis.set(title=name.replace("_", " "), xlabel="update")
        axis.legend()
    figure.suptitle(f"{folder.parent.name} {folder.name}")
    return save_figure(figure, path)


def duration_table(path: Path) -> str:
    """Wall time of every stage, from the tab-separated rows that the stage driver writes."""
    rows = [line.split("\t") for line in require(path, "written by utils/stage.sh").read_text().splitlines()]
    return markdown_table(["stage", "name", "seconds"], rows)
