"""The tables and the plot of the measurement, from what local/measure.sh keeps in results/."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

from mt4ssl.errors import run_main  # noqa: E402
from mt4ssl.files import atomic_path  # noqa: E402
from mt4ssl.results import METHODS, best_result, best_wer, read_log, wer_notes  # noqa: E402
from mt4ssl.table import markdown_table  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
SYSTEMS = ("scratch", "offline", "online", "mt4ssl", "mt4ssl_iter2")
CURVES = ("offline", "online", "mt4ssl")  # systems of the convergence figure
SEARCHES = ("ctc-greedy-search", "1best")


def runs(system: str) -> list[Path]:
    """Folders of a system, one a seed."""
    return sorted(RESULTS.glob(f"{system}-[0-9]*"))


def wer_table(subset: str, test: str) -> str:
    """Every system and seed, fine-tuned on a subset."""
    rows, last = [], f"{SEARCHES[-1]}/wer-{test}.json"
    for run in (run for system in SYSTEMS for run in runs(system) if (run / subset / last).exists()):
        system, seed = run.name.rsplit("-", 1)
        paths = [run / subset / search / f"wer-{split}.json" for split in ("dev", test) for search in SEARCHES]
        rows.append([system, seed, *map(best_wer, paths)])
    notes = wer_notes(RESULTS.glob(f"*/{subset}/*/wer-{test}.json"))
    names = [f"{split}, {METHODS[search]}" for split in ("dev", test) for search in SEARCHES]
    return "\n\n".join([markdown_table(["system", "seed", *names], rows), *notes])


def convergence() -> tuple[list[int], list[tuple[str, str, str, list[float]]]]:
    """Return the updates, and for each search, system and seed the WER of dev after them, fine-tuned on an hour."""
    points = {int(path.name.split("_")[-1]) for path in RESULTS.glob("*/1h_after_*")}
    (last,) = {read_log(run / "pretrain", "train")[-1]["step"] for system in CURVES for run in runs(system)}
    updates, curves = [*sorted(points), last], []
    for search, system in product(SEARCHES, CURVES):
        for run in runs(system):
            folders = [*(f"1h_after_{number}" for number in sorted(points)), "1h"]
            paths = [run / folder / search / "wer-dev.json" for folder in folders]
            if all(path.exists() for path in paths):
                seed = run.name.rsplit("-", 1)[1]
                curves.append((search, system, seed, [best_result(path)["wer"] for path in paths]))
    return updates, curves


def plot(updates: list[int], curves: list[tuple[str, str, str, list[float]]], path: Path) -> None:
    """Draw the WER over the updates of pre-training, a panel for each search: seeds as dots, their mean as a line."""
    figure, axes = plt.subplots(1, len(SEARCHES), figsize=(5 * len(SEARCHES), 3.5), layout="constrained")
    for axis, search in zip(axes, SEARCHES):
        for number, system in enumerate(CURVES):
            seeds = [values for *names, _, values in curves if names == [search, system]]
            if seeds:
                axis.plot(updates, [mean(values) for values in zip(*seeds)], color=f"C{number}", label=system)
            for values in seeds:
                axis.plot(updates, values, marker="o", linestyle="none", color=f"C{number}")
        scratch = [best_result(run / "1h" / search / "wer-dev.json")["wer"] for run in runs("scratch")]
        axis.axhline(mean(scratch), color="grey", linestyle=":", label="scratch")
        axis.set(title=METHODS[search], xlabel="updates of pre-training", ylabel="WER of dev, %", xticks=updates)
        axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def seed_table() -> str:
    """Each pre-training fine-tuned several times: WER of dev with the HLG, its own seed first."""
    rows = []
    for subset, system in product(("1h", "all"), SYSTEMS):
        for run in runs(system):
            again = sorted(run.glob(f"{subset}_seed_*"), key=lambda path: int(path.name.rsplit("_", 1)[1]))
            wers = [best_result(path / "1best/wer-dev.json")["wer"] for path in (run / subset, *again)]
            if again:
                seed = run.name.rsplit("-", 1)[1]
                each = ", ".join(f"{wer:.2f}" for wer in wers)
                rows.append([subset, system, seed, each, mean(wers), max(wers) - min(wers)])
    return markdown_table(["fine-tuned on", "system", "pre-training's seed", "WER of each", "mean", "range"], rows)


def main() -> None:
    (test,) = {path.stem[len("wer-") :] for path in RESULTS.glob("*/1h/1best/wer-*.json")} - {"dev"}
    parts = [f"## Fine-tuned on {subset}\n\n{wer_table(subset, test)}" for subset in ("1h", "all")]
    updates, curves = convergence()
    rows = [[METHODS[search], system, seed, *values] for search, system, seed, values in curves]
    table = markdown_table(["search", "system", "seed", *map(str, updates)], rows)
    parts.append(f"## Convergence: WER of dev after so many updates, fine-tuned on 1h\n\n{table}")
    parts.append(f"## The same pre-training fine-tuned with other seeds: WER of dev, HLG\n\n{seed_table()}")
    plot(updates, curves, RESULTS / "convergence.png")
    with atomic_path(RESULTS / "README.md") as temporary:
        temporary.write_text("\n\n".join(["# The measurement", *parts, "![convergence](convergence.png)"]) + "\n")
    print("\n\n".join(parts))


if __name__ == "__main__":
    run_main(main)
