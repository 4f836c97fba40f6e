"""The measurement: prints the tables of RESULTS.md and draws results/convergence.png, from results/*.csv.

`add exp/measure/SYSTEM-SEED` first puts what run.sh left in such a folder into results/. It takes the place of what is
there of the same trainings; its commit is the one checked out.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
import yaml

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.results import METHODS, best_result, commit, read_log, wer_cell
from mt4ssl.table import markdown_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
SCORES, CURVES, CONFIGS = RESULTS / "measurement.csv", RESULTS / "curves.csv", RESULTS / "configs"
FOLDERS = ("train_cuts", "dev_cuts", "exp_dir", "lang", "pretrained")  # of a config: where, and not how
MEASURES = ("loss", "kmeans", "kmeans_accuracy", "teacher", "teacher_target_std", "teacher_prediction_std")
SCORE_KEY = ("experiment", "system", "pretrain_seed", "finetune_seed", "after_updates", "subset", "split", "method")
CURVE_KEY = ("experiment", "system", "seed", "step")
SHOWN_STEPS = ("750", "1500", "2250", "3000", "4500", "6000", "7500", "9000")  # of the pre-trainings' curves
HLG = "1best"

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, all as strings."""
    with require(path, "it is part of the repository").open(newline="") as file:
        return list(csv.DictReader(file))


def put_rows(path: Path, key: tuple[str, ...], new: Iterable[Row]) -> None:
    """Write rows into a CSV file, in place of those with the same key, the others at its end."""
    old = read_rows(path)
    rows = {tuple(str(row[column]) for column in key): row for row in [*old, *new]}
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(old[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a training."""
    return yaml.safe_load(require(folder / "config.yaml", "made by stages 5 and 8").read_text())


def keep_config(config: dict[str, Any]) -> str:
    """Keep a config, without its folders and seed, as results/configs/HASH.yaml, HASH being its SHA-256 (12 digits)."""
    settings = {key: value for key, value in config.items() if key not in FOLDERS}
    settings["loop"] = {key: value for key, value in config["loop"].items() if key != "seed"}
    text = yaml.safe_dump(settings)
    name = sha256(text.encode()).hexdigest()[:12]
    with atomic_path(CONFIGS / f"{name}.yaml") as temporary:
        temporary.write_text(text)
    return name


def remove_other_configs() -> None:
    """Remove the configs that no row names any more."""
    scores = read_rows(SCORES)
    named = {row["config_hash"] for row in scores + read_rows(CURVES)} | {row["pretrain_config_hash"] for row in scores}
    for path in CONFIGS.glob("*.yaml"):
        if path.stem not in named:
            path.unlink()


def step_seconds(record: Path) -> int | str:
    """Wall time of a step, all its starts together, from the record that utils/stage.sh keeps; "" without one."""
    lines = record.read_text().splitlines() if record.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("seconds ")) or ""


def curve_rows(folder: Path) -> Iterator[Row]:
    """A row for each validation of the pre-training exp/measure/SYSTEM-SEED/pretrain/NAME."""
    experiment, config = folder.parents[1], read_config(folder)
    facts = {
        "experiment": experiment.parent.name,
        "system": experiment.name.split("-")[0],
        "seed": config["loop"]["seed"],
        "updates": config["loop"]["updates"],
        "commit": commit(),
        "config_hash": keep_config(config),
        "seconds": step_seconds(experiment / "done" / f"05_pretrain.{folder.name.rpartition('_')[2]}"),
    }
    for entry in read_log(folder, "dev"):
        values = {re.sub(r"^\d+_", "", name): value for name, value in entry.items()}  # 0_kmeans: of the first target
        yield {**facts, "step": entry["step"], **{name: values.get(name, "") for name in MEASURES}}


def score_rows(folder: Path) -> Iterator[Row]:
    """A row for each wer-SPLIT.json of the fine-tuning exp/measure/SYSTEM-SEED/finetune/NAME."""
    experiment, config = folder.parents[1], read_config(folder)
    facts = {
        "experiment": experiment.parent.name,
        "system": "scratch" if config["from_scratch"] else experiment.name.split("-")[0],
        **dict.fromkeys(("pretrain_seed", "pretrain_updates", "after_updates", "pretrain_config_hash"), ""),
        "finetune_seed": config["loop"]["seed"],
        "subset": Path(config["train_cuts"]).name.split(".")[0].rpartition("train_")[2],
        "updates": config["loop"]["updates"],
        "commit": commit(),
        "config_hash": keep_config(config),
        "seconds": step_seconds(experiment / "done" / f"08_finetune.{folder.name}"),
    }
    if not config["from_scratch"]:  # SYSTEM-SEED/pretrain/NAME, perhaps of another SYSTEM-SEED beside this one
        pretraining = experiment.parent.joinpath(*Path(config["pretrained"]).parts[-3:])
        pretrain_config = read_config(pretraining)
        facts["pretrain_seed"] = pretrain_config["loop"]["seed"]
        facts["pretrain_updates"] = pretrain_config["loop"]["updates"]
        facts["after_updates"] = read_log(pretraining, "train")[-1]["step"]
        facts["pretrain_config_hash"] = keep_config(pretrain_config)
    for path in sorted(folder.glob("*/wer-*.json")):
        best = best_result(path)
        weights = re.fullmatch(r"lm_scale_([\d.]+)(?:_word_score_(-?[\d.]+))?", best["settings"])
        yield {
            **facts,
            "split": path.stem.removeprefix("wer-"),
            "method": path.parent.name,
            "wer": round(best["wer"], 6),
            "ci95_low": round(best["ci95"][0], 6),
            "ci95_high": round(best["ci95"][1], 6),
            "cer": round(best["cer"], 6),
            "words": best["words"],
            "lm_scale": weights[1] if weights else "",
            "word_score": (weights[2] or "0.0") if weights else "",
        }


def add(experiment: Path) -> None:
    """Put the curves and scores of exp/measure/SYSTEM-SEED into results/."""
    experiment = experiment.resolve()
    models = sorted({path.parents[1] for path in experiment.glob("finetune/*/*/wer-*.json")})
    if not models:
        raise UserError(f"{experiment} has no finetune/*/*/wer-*.json: run stages 8 to 10 of run.sh into it")
    last = sorted(experiment.glob("pretrain/*"))[-1:]  # of several iterations
    curves = [row for folder in last for row in curve_rows(folder)]
    put_rows(SCORES, SCORE_KEY, [row for folder in models for row in score_rows(folder)])
    put_rows(CURVES, CURVE_KEY, curves)


def select(rows: list[Row], **wanted: str) -> list[Row]:
    """The rows with these values."""
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def of_whole(rows: list[Row]) -> list[Row]:
    """The rows whose fine-tuning started from nothing, or from a pre-training that had come to its end."""
    return [row for row in rows if row["after_updates"] == row["pretrain_updates"]]


def with_own_seed(rows: list[Row]) -> list[Row]:
    """The rows whose fine-tuning had the seed of its pre-training, if any."""
    return [row for row in rows if row["pretrain_seed"] in ("", row["finetune_seed"])]


def known(rows: list[Row], column: str) -> list[str]:
    """The values of a column, each once."""
    return list(dict.fromkeys(row[column] for row in rows))


def methods_of(rows: list[Row]) -> list[str]:
    """The searches with a score, in the order of METHODS."""
    return [method for method in METHODS if method in known(rows, "method")]


def pivot(rows: list[Row], index: tuple[str, ...]) -> dict[tuple[str, ...], dict[tuple[str, str], Row]]:
    """Rows by the values of the columns `index`, and then by split and method."""
    table: dict[tuple[str, ...], dict[tuple[str, str], Row]] = {}
    for row in rows:
        table.setdefault(tuple(row[column] for column in index), {})[row["split"], row["method"]] = row
    return table


def cell(row: Row | None) -> str:
    """A WER with its interval; "-" where there is none."""
    return wer_cell(float(row["wer"]), float(row["ci95_low"]), float(row["ci95_high"])) if row else "-"


def run_table(scores: list[Row]) -> str:
    """The default run of the recipe."""
    rows = select(scores, experiment="run")
    lines = []
    for split, (system, found) in product(known(rows, "split"), pivot(rows, ("system",)).items()):
        cells = [cell(found.get((split, method))) for method in methods_of(rows)]
        lines.append([*system, split, *cells, float(found[split, "ctc-greedy-search"]["cer"])])
    names = [METHODS[method] for method in methods_of(rows)]
    return markdown_table(["model", "set", *names, "CER, greedy"], lines)


def system_table(scores: list[Row], subset: str) -> str:
    """Every system and seed, fine-tuned on a subset."""
    rows = with_own_seed(of_whole(select(scores, experiment="measure", subset=subset)))
    columns = list(product(known(rows, "split"), methods_of(rows)))
    lines = [
        [*names, *(cell(found.get(column)) for column in columns)]
        for names, found in pivot(rows, ("system", "finetune_seed")).items()
    ]
    return markdown_table(["system", "seed", *(f"{split}, {METHODS[method]}" for split, method in columns)], lines)


def convergence(scores: list[Row]) -> tuple[list[int], list[tuple[str, str, str, list[float]]]]:
    """The updates of pre-training, and for each search, system and seed the WER of dev after them, with an hour."""
    rows = with_own_seed(select(scores, experiment="measure", subset="1h", split="dev"))
    rows = [row for row in rows if row["pretrain_seed"]]
    points, curves = sorted({int(row["after_updates"]) for row in rows}), []
    for method, system in product(methods_of(rows), known(rows, "system")):
        of_system = select(rows, method=method, system=system)
        for seed in known(of_system, "finetune_seed"):
            of_seed = select(of_system, finetune_seed=seed)
            wers = {int(row["after_updates"]): float(row["wer"]) for row in of_seed}
            if len(wers) == len(points):
                curves.append((method, system, seed, [wers[point] for point in points]))
    return points, curves


def convergence_table(scores: list[Row]) -> str:
    points, curves = convergence(scores)
    lines = [[METHODS[method], system, seed, *wers] for method, system, seed, wers in curves]
    return markdown_table(["search", "system", "seed", *map(str, points)], lines)


def plot(scores: list[Row], path: Path) -> None:
    """Draw the WER over the updates of pre-training, a panel for each search: seeds as dots, their mean as a line."""
    points, curves = convergence(scores)
    methods = list(dict.fromkeys(method for method, *_ in curves))
    figure, axes = plt.subplots(1, len(methods), figsize=(5 * len(methods), 3.5), layout="constrained", squeeze=False)
    for axis, method in zip(axes[0], methods):
        for number, system in enumerate(dict.fromkeys(system for _, system, *_ in curves)):
            seeds = [wers for *names, _, wers in curves if names == [method, system]]
            axis.plot(points, [mean(wers) for wers in zip(*seeds)], color=f"C{number}", label=system)
            for wers in seeds:
                axis.plot(points, wers, marker="o", linestyle="none", color=f"C{number}")
        scratch = select(scores, experiment="measure", system="scratch", subset="1h", split="dev", method=method)
        if scratch:
            axis.axhline(mean(float(row["wer"]) for row in scratch), color="grey", linestyle=":", label="scratch")
        axis.set(title=METHODS[method], xlabel="updates of pre-training", ylabel="WER of dev, %", xticks=points)
        axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def seed_table(scores: list[Row]) -> str:
    """Each pre-training fine-tuned several times: WER of dev with the HLG, its own seed first."""
    rows = of_whole(select(scores, experiment="measure", split="dev", method=HLG))
    lines = []
    for subset, system, seed in product(*(known(rows, column) for column in ("subset", "system", "pretrain_seed"))):
        found = select(rows, subset=subset, system=system, pretrain_seed=seed)
        wers = [float(row["wer"]) for row in sorted(found, key=lambda row: row["finetune_seed"] != seed)]
        if seed and len(wers) > 1:
            each = ", ".join(f"{wer:.2f}" for wer in wers)
            lines.append([subset, system, seed, each, mean(wers), max(wers) - min(wers)])
    return markdown_table(["fine-tuned on", "system", "pre-training's seed", "WER of each", "mean", "range"], lines)


def loss_table(curves: list[Row]) -> str:
    """Cross-entropy of the K-means labels on dev, with and without a teacher, over the updates of pre-training."""
    lines = []
    for experiment, system in product(("measure", "long"), ("offline", "mt4ssl")):
        rows = select(curves, experiment=experiment, system=system)
        for seed in known(rows, "seed"):
            of_seed = select(rows, seed=seed)
            losses = {row["step"]: f"{float(row['kmeans']):.3f}" for row in of_seed}
            lines.append([system, seed, of_seed[0]["updates"], *(losses.get(step, "") for step in SHOWN_STEPS)])
    return markdown_table(["system", "seed", "updates in all", *SHOWN_STEPS], lines)


def long_table(scores: list[Row]) -> str:
    """What three times the pre-training does: WER of dev with the HLG."""
    rows = of_whole(select(scores, split="dev", method=HLG))
    lines = []
    for subset in ("1h", "all"):
        for found in (with_own_seed(select(rows, experiment="measure")), select(rows, experiment="long")):
            of_system = [select(found, subset=subset, system=system) for system in ("offline", "mt4ssl")]
            seeds = ", ".join(f"{row['pretrain_seed']} {row['finetune_seed']}" for row in of_system[0])
            wers = [", ".join(f"{float(row['wer']):.2f}" for row in system) for system in of_system]
            lines.append([of_system[0][0]["pretrain_updates"], subset, seeds, *wers])
    header = ["updates in all", "fine-tuned on", "seeds of pre-training and fine-tuning"]
    return markdown_table([*header, "offline: WER of dev, HLG", "mt4ssl: WER of dev, HLG"], lines)


def tables() -> str:
    """All tables, with their headings."""
    scores, curves = read_rows(SCORES), read_rows(CURVES)
    parts = {
        "run.sh with its defaults": run_table(scores),
        "Fine-tuned on 1h": system_table(scores, "1h"),
        "Fine-tuned on all": system_table(scores, "all"),
        "Convergence: WER of dev after so many updates, fine-tuned on 1h": convergence_table(scores),
        "The same pre-training fine-tuned with other seeds: WER of dev, HLG": seed_table(scores),
        "Cross-entropy of the K-means labels on dev after so many updates": loss_table(curves),
        "Three times the pre-training": long_table(scores),
    }
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("add").add_argument("experiments", nargs="+", type=Path, help="exp/measure/SYSTEM-SEED")
    args = parser.parse_args()
    if args.verb == "add":
        for experiment in args.experiments:
            add(experiment)
        remove_other_configs()
    print(tables())
    plot(read_rows(SCORES), RESULTS / "convergence.png")


if __name__ == "__main__":
    run_main(main)
