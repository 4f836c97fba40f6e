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

from mt4ssl.decode.weights import Weights
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.results import METHODS, best_result, commit, rate_name, read_log, wer_cell
from mt4ssl.table import markdown_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
SCORES, CURVES, CONFIGS = RESULTS / "measurement.csv", RESULTS / "curves.csv", RESULTS / "configs"
PANEL = RESULTS / "panel.csv"  # of local/panel.py
FOLDERS = ("train_cuts", "dev_cuts", "exp_dir", "lang", "pretrained")  # of a config: where, and not how
KEYS = {  # of the columns that tell one row from another
    SCORES: "experiment system pretrain_seed finetune_seed after_updates subset split method rate".split(),
    CURVES: "experiment system seed step".split(),
    PANEL: "experiment system seed layer".split(),
}
SHOWN_STEPS = ("750", "1500", "2250", "3000", "4500", "6000", "7500", "9000")  # of the pre-trainings' curves
WITH_LABELS = ("offline", "mt4ssl")  # systems that learn K-means labels: without a teacher, and with one
HLG = "1best"

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, all as strings."""
    with require(path, "it is part of the repository").open(newline="") as file:
        return list(csv.DictReader(file))


def put_rows(path: Path, new: Iterable[Row]) -> None:
    """Write rows into a CSV file, in place of those with the same key, the others at its end."""
    old = read_rows(path)
    rows = {tuple(str(row.get(column, "")) for column in KEYS[path]): row for row in [*old, *new]}
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(old[0]), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def read_config(folder: Path) -> dict[str, Any]:
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


def training_facts(folder: Path, config: dict[str, Any], step: str) -> Row:
    """What every row says of the training exp/measure/SYSTEM-SEED/*/NAME; `step` is its name in utils/stage.sh."""
    experiment = folder.parents[1]
    record = experiment / "done" / step  # a step may have started several times
    seconds = re.findall(r"^(?:seconds|beside) (\d+)$", record.read_text(), re.MULTILINE) if record.exists() else []
    return {
        "experiment": experiment.parent.name,
        "system": experiment.name.split("-")[0],
        "updates": config["loop"]["updates"],
        "commit": commit(),
        "config_hash": keep_config(config),
        "seconds": sum(map(int, seconds)) or "",
    }


def curve_rows(folder: Path) -> Iterator[Row]:
    """A row for each validation of the pre-training exp/measure/SYSTEM-SEED/pretrain/NAME."""
    config = read_config(folder)
    facts = training_facts(folder, config, f"05_pretrain.{folder.name.rpartition('_')[2]}")
    for entry in read_log(folder, "dev"):
        values = {re.sub(r"^\d+_", "", name): value for name, value in entry.items()}  # 0_kmeans: of the first target
        yield {**values, **facts, "seed": config["loop"]["seed"]}


def score_rows(folder: Path) -> Iterator[Row]:
    """A row for each wer-SPLIT.json of the fine-tuning exp/measure/SYSTEM-SEED/finetune/NAME.

    The name of a system ends with its unit, as folders in exp/finetune do, unless these are characters.
    """
    config = read_config(folder)
    facts = training_facts(folder, config, f"08_finetune.{folder.name}")
    facts["finetune_seed"] = config["loop"]["seed"]
    facts["subset"] = Path(config["train_cuts"]).name.split(".")[0].rpartition("train_")[2]
    if config["from_scratch"]:
        facts["system"] = "scratch"
    else:  # EXPERIMENT/SYSTEM-SEED/pretrain/NAME, perhaps of another one in the same exp/
        pretraining = folder.parents[3].joinpath(*Path(config["pretrained"]).parts[-4:])
        pretrain_config = read_config(pretraining)
        facts["pretrain_seed"] = pretrain_config["loop"]["seed"]
        facts["pretrain_updates"] = pretrain_config["loop"]["updates"]
        facts["after_updates"] = read_log(pretraining, "train")[-1]["step"]
        facts["pretrain_config_hash"] = keep_config(pretrain_config)
    unit = Path(config["lang"]).name.removeprefix("lang_")
    if unit != "char":
        facts["system"] += f"_{unit}"
    for path in sorted(folder.glob("*/wer-*.json")):
        best, rate = best_result(path), rate_name([path])
        row = {**facts, "split": path.stem.removeprefix("wer-"), "method": path.parent.name, "words": best["words"]}
        row["rate"] = rate  # of phones it is PER, which stands under `wer` too, and they have no characters
        rates = (best["wer"], *(best["ci95"] or ()))
        row |= dict(zip(("wer", "ci95_low", "ci95_high"), (round(x, 6) for x in rates)))
        row["cer"] = round(best["cer"], 6) if rate == "WER" else ""
        weights = Weights.parse(best["settings"])
        if weights:
            row |= weights._asdict()
        yield row


def add(experiment: Path) -> None:
    """Put the curves and scores of exp/measure/SYSTEM-SEED into results/."""
    experiment = experiment.resolve()
    models = sorted({path.parents[1] for path in experiment.glob("finetune/*/*/wer-*.json")})
    if not models:
        raise UserError(f"{experiment} has no finetune/*/*/wer-*.json: run stages 8 to 10 of run.sh into it")
    last = sorted(experiment.glob("pretrain/*"))[-1:]  # of several iterations
    curves = [row for folder in last for row in curve_rows(folder)]
    put_rows(SCORES, [row for folder in models for row in score_rows(folder)])
    put_rows(CURVES, curves)


def remove_other_configs() -> None:
    """Remove the configs that no row names any more."""
    rows = [row for path in KEYS for row in read_rows(path)]
    named = {row.get(column) for row in rows for column in ("config_hash", "pretrain_config_hash")}
    for path in CONFIGS.glob("*.yaml"):
        if path.stem not in named:
            path.unlink()


def read_scores() -> list[Row]:
    """The scores in the order of METHODS, with two answers about the pre-training, both yes where there was none."""
    scores = sorted(read_rows(SCORES), key=lambda row: list(METHODS).index(row["method"]))
    for row in scores:
        row["ended"] = row["after_updates"] == row["pretrain_updates"]
        row["own_seed"] = row["pretrain_seed"] in ("", row["finetune_seed"])
    return scores


def select(rows: list[Row], **wanted: Any) -> list[Row]:
    """The rows with these values."""
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def group(rows: list[Row], *columns: str) -> dict[tuple[str, ...], list[Row]]:
    """The rows by their values in some columns, in the order in which these come."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups


def wers(rows: list[Row]) -> str:
    return ", ".join(f"{float(row['wer']):.2f}" for row in rows)


def wer_cells(rows: list[Row], columns: Iterable[tuple[str, ...]]) -> list[str]:
    """The WER with its interval of each split and method, "-" where there is none; another rate says so."""
    cells = {}
    for row in rows:
        cell = wer_cell(float(row["wer"]), [float(row[name]) for name in ("ci95_low", "ci95_high") if row[name]])
        cells[row["split"], row["method"]] = cell if row["rate"] == "WER" else f"{cell} {row['rate']}"
    return [cells.get(column, "-") for column in columns]


def run_table(scores: list[Row]) -> str:
    """The default run of the recipe."""
    rows = select(scores, experiment="run")
    methods = [method for (method,) in group(rows, "method")]
    lines = []
    for (split, system), found in sorted(group(rows, "split", "system").items()):
        (greedy,) = select(found, method="ctc-greedy-search")
        cer = float(greedy["cer"]) if greedy["cer"] else "-"
        lines.append([system, split, *wer_cells(found, product([split], methods)), cer])
    return markdown_table(["model", "set", *map(METHODS.__getitem__, methods), "CER, greedy"], lines)


def system_table(scores: list[Row], subset: str) -> str:
    """Every system and seed, fine-tuned on a subset."""
    rows = select(scores, experiment="measure", subset=subset, ended=True, own_seed=True)
    columns = sorted(group(rows, "split", "method"), key=lambda column: column[0])
    lines = [[*names, *wer_cells(found, columns)] for names, found in group(rows, "system", "finetune_seed").items()]
    return markdown_table(["system", "seed", *(f"{split}, {METHODS[method]}" for split, method in columns)], lines)


def convergence(scores: list[Row]) -> tuple[list[int], dict[tuple[str, ...], list[float]]]:
    """The updates of pre-training, and per search, system and seed the WER of dev after them, with an hour."""
    rows = select(scores, experiment="measure", subset="1h", split="dev", own_seed=True, rate="WER")
    rows = [row for row in rows if row["pretrain_seed"]]
    points, curves = sorted({int(row["after_updates"]) for row in rows}), {}
    for names, found in group(rows, "method", "system", "finetune_seed").items():
        after = {int(row["after_updates"]): float(row["wer"]) for row in found}
        if len(after) == len(points):
            curves[names] = [after[point] for point in points]
    return points, curves


def convergence_table(scores: list[Row]) -> str:
    points, curves = convergence(scores)
    lines = [[METHODS[method], *names, *curve] for (method, *names), curve in curves.items()]
    return markdown_table(["search", "system", "seed", *map(str, points)], lines)


def plot(scores: list[Row], path: Path) -> None:
    """Draw the WER over the updates of pre-training, a panel for each search: seeds as dots, their mean as a line."""
    points, curves = convergence(scores)
    methods, systems = (dict.fromkeys(column) for column in list(zip(*curves))[:2])
    figure, axes = plt.subplots(1, len(methods), figsize=(5 * len(methods), 3.5), layout="constrained", squeeze=False)
    for axis, method in zip(axes[0], methods):
        for number, system in enumerate(systems):
            seeds = [curve for names, curve in curves.items() if names[:2] == (method, system)]
            axis.plot(points, [mean(rates) for rates in zip(*seeds)], color=f"C{number}", label=system)
            for curve in seeds:
                axis.plot(points, curve, marker="o", linestyle="none", color=f"C{number}")
        scratch = select(scores, experiment="measure", system="scratch", subset="1h", split="dev", method=method)
        if scratch:
            axis.axhline(mean(float(row["wer"]) for row in scratch), color="grey", linestyle=":", label="scratch")
        axis.set(title=METHODS[method], xlabel="updates of pre-training", ylabel="WER of dev, %", xticks=points)
        axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def seed_table(scores: list[Row]) -> str:
    """Each pre-training fine-tuned several times: WER of dev with the HLG, its own seed first."""
    rows = select(scores, experiment="measure", split="dev", method=HLG, ended=True)
    lines = []
    for names, found in group(rows, "subset", "system", "pretrain_seed").items():
        rates = [float(row["wer"]) for row in found]
        if names[2] and len(found) > 1:
            found.sort(key=lambda row: not row["own_seed"])
            lines.append([*names, wers(found), mean(rates), max(rates) - min(rates)])
    lines.sort(key=lambda line: line[0])
    return markdown_table(["fine-tuned on", "system", "pre-training's seed", "WER of each", "mean", "range"], lines)


def loss_table(curves: list[Row]) -> str:
    """Cross-entropy of the K-means labels on dev, with and without a teacher, over the updates of pre-training."""
    lines = []
    for experiment, system in product(("measure", "long"), WITH_LABELS):
        rows = select(curves, experiment=experiment, system=system)
        for names, found in group(rows, "system", "seed", "updates").items():
            losses = {row["step"]: f"{float(row['kmeans']):.3f}" for row in found}
            lines.append([*names, *(losses.get(step, "") for step in SHOWN_STEPS)])
    return markdown_table(["system", "seed", "updates in all", *SHOWN_STEPS], lines)


def long_table(scores: list[Row]) -> str:
    """What three times the pre-training does: WER of dev with the HLG."""
    rows = select(scores, split="dev", method=HLG, ended=True)
    rows = [row for row in rows if row["own_seed"] or row["experiment"] == "long"]
    lines = []
    for subset, experiment in product(("1h", "all"), ("measure", "long")):
        offline, both = (select(rows, subset=subset, experiment=experiment, system=name) for name in WITH_LABELS)
        seeds = ", ".join(f"{row['pretrain_seed']} {row['finetune_seed']}" for row in offline)
        lines.append([offline[0]["pretrain_updates"], subset, seeds, wers(offline), wers(both)])
    header = ["updates in all", "fine-tuned on", "seeds of pre-training and fine-tuning"]
    return markdown_table([*header, *(f"{name}: WER of dev, HLG" for name in WITH_LABELS)], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("add").add_argument("experiments", nargs="+", type=Path, help="exp/measure/SYSTEM-SEED")
    args = parser.parse_args()
    if args.verb == "add":
        for experiment in args.experiments:
            add(experiment)
        remove_other_configs()
    scores, curves = read_scores(), read_rows(CURVES)
    tables = {
        "run.sh with its defaults": run_table(scores),
        "Fine-tuned on 1h": system_table(scores, "1h"),
        "Fine-tuned on all": system_table(scores, "all"),
        "Convergence: WER of dev after so many updates, fine-tuned on 1h": convergence_table(scores),
        "The same pre-training fine-tuned with other seeds: WER of dev, HLG": seed_table(scores),
        "Cross-entropy of the K-means labels on dev after so many updates": loss_table(curves),
        "Three times the pre-training": long_table(scores),
    }
    print("\n\n".join(f"### {title}\n\n{table}" for title, table in tables.items()))
    plot(scores, RESULTS / "convergence.png")


if __name__ == "__main__":
    run_main(main)
