"""The panel: prints the tables of RESULTS.md about what the layers of systems tell of phones, and their WER.

`add exp/panel/SYSTEM-SEED` first puts what local/panel.sh left in such a folder into results/, in place of what is
there of the same system and seed; its commit is the one checked out. WERs are added by local/measurement.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from measurement import (
    HLG,
    PANEL,
    Row,
    group,
    put_rows,
    read_config,
    read_rows,
    read_scores,
    remove_other_configs,
    select,
    training_facts,
    wers,
)

from mt4ssl.errors import run_main
from mt4ssl.files import require
from mt4ssl.table import markdown_table

BEST = {"accuracy": max, "abx_within": min, "abx_across": min, "pnmi": max}  # how the best layer is chosen


def panel_rows(folder: Path) -> Iterator[Row]:
    """A row for each layer of exp/panel/SYSTEM-SEED."""
    probe = json.loads(require(folder / "probe/probe.json", "made by local/panel.sh").read_text())
    (training,) = folder.glob("pretrain/*")
    config = read_config(training)
    facts = {**training_facts(training, config, "05_pretrain.iter1"), "seed": config["loop"]["seed"]}
    for layer in probe["layers"]:
        yield facts | {name: round(value, 6) for name, value in layer.items()}


def spread(values: list[float], digits: int) -> str:
    """The mean, and the least and most where there are several."""
    text = f"{mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def system_line(rows: list[Row]) -> list[Any]:
    """What the table says of a system: of each seed's best layer by each measure, and the last layer's rank."""
    seeds = [sorted(layers, key=lambda row: int(row["layer"])) for layers in group(rows, "seed").values()]
    best = {name: [choose(float(row[name]) for row in layers) for layers in seeds] for name, choose in BEST.items()}
    where = [max(layers, key=lambda row: float(row["accuracy"]))["layer"] for layers in seeds]
    accuracy, within, across = (
        spread([100 * value for value in best[name]], 1) for name in ("accuracy", "abx_within", "abx_across")
    )
    ranks = [float(layers[-1]["effective_rank"]) for layers in seeds]
    return [accuracy, ", ".join(where), within, across, spread(best["pnmi"], 3), spread(ranks, 0)]


def panel_table(rows: list[Row]) -> str:
    """The systems, those whose probes find most phones first."""
    systems = group(rows, "system", "updates")
    lines = [[*names, len(group(found, "seed")), *system_line(found)] for names, found in systems.items()]
    lines.sort(key=lambda line: -float(line[3].split()[0]))
    header = "system|updates|seeds|phone accuracy, %|of layer|ABX within speakers, %|ABX across speakers, %|PNMI"
    return markdown_table([*header.split("|"), "effective rank, last layer"], lines)


def wer_table(rows: list[Row]) -> str:
    """The systems' WER of dev with the HLG, lowest first, and how far seeds of pre- and of fine-tuning are apart."""
    lines = []
    for names, found in group(select(rows, split="dev", method=HLG), "system", "pretrain_updates").items():
        pretrainings = list(group(found, "pretrain_seed").values())
        rates = [[float(row["wer"]) for row in fine_tunings] for fine_tunings in pretrainings]
        means = [mean(values) for values in rates]
        apart = mean(max(values) - min(values) for values in rates)
        each = "; ".join(map(wers, pretrainings))
        lines.append([*names, each, f"{mean(means):.2f}", f"{max(means) - min(means):.2f}", f"{apart:.2f}"])
    lines.sort(key=lambda line: float(line[3]))
    header = "system|updates|WER of each pre-training's fine-tunings|mean|means are apart|fine-tunings are apart"
    return markdown_table(header.split("|"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("add").add_argument("folders", nargs="+", type=Path, help="exp/panel/SYSTEM-SEED")
    args = parser.parse_args()
    if args.verb == "add":
        put_rows(PANEL, [row for folder in args.folders for row in panel_rows(folder.resolve())])
        remove_other_configs()
    tables = [panel_table(rows) for rows in group(read_rows(PANEL), "experiment").values()]
    scores = [rows for (experiment,), rows in group(read_scores(), "experiment").items() if experiment.endswith("_wer")]
    print("\n\n".join([*tables, *map(wer_table, scores)]))


if __name__ == "__main__":
    run_main(main)
