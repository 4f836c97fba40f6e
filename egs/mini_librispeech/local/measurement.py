"""The tables and the plot of the measurement, from what local/measure.sh keeps in results/."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

from mt4ssl.files import atomic_path  # noqa: E402
from mt4ssl.results import METHODS, best_result, best_wer, read_log, wer_notes  # noqa: E402
from mt4ssl.table import markdown_table  # noqa: E402

RESULTS = Path(__file__).resolve().parents[1] / "results"
SYSTEMS = ("scratch", "offline", "online", "mt4ssl", "mt4ssl_iter2")
SEARCHES = ("ctc-greedy-search", "1best")


def runs(system: str) -> list[Path]:
    """Folders of a system, one a seed."""
    return sorted(RESULTS.glob(f"{system}-[0-9]*"))


def wer_table(subset: str, test: str) -> str:
    """Every system and seed, fine-tuned on a subset."""
    rows = []
    for run in (run for system in SYSTEMS for run in runs(system) if (run / subset / "1best").exists()):
        system, seed = run.name.rsplit("-", 1)
        paths = [run / subset / search / f"wer-{split}.json" for split in ("dev", test) for search in SEARCHES]
        rows.append([system, seed, *map(best_wer, paths)])
    notes = wer_notes(RESULTS.glob(f"*/{subset}/*/wer-{test}.json"))
    names = [f"{split}, {METHODS[search]}" for split in ("dev", test) for search in SEARCHES]
    return "\n\n".join([markdown_table(["system", "seed", *names], rows), *notes])


def convergence() -> tuple[list[int], dict[str, dict[str, list[float]]]]:
    """Return the updates, and by search and system the WER of dev after each, fine-tuned on an hour; seed 0."""
    points = {int(path.name.split("_")[-1]) for path in RESULTS.glob("*-0/1h_after_*")}
    last = {read_log(run / "pretrain", "train")[-1]["step"] for system in SYSTEMS[1:4] for run in runs(system)}
    updates = sorted(points | last)
    curves: dict[str, dict[str, list[float]]] = {}
    for search in SEARCHES:
        curves[search] = {}
        for system in SYSTEMS[1:4]:
            folders = [f"1h_after_{number}" if number in points else "1h" for number in updates]
            paths = [RESULTS / f"{system}-0" / folder / search / "wer-dev.json" for folder in folders]
            if all(path.exists() for path in paths):
                curves[search][system] = [best_result(path)["wer"] for path in paths]
    return updates, curves


def plot(updates: list[int], curves: dict[str, dict[str, list[float]]], scratch: dict[str, float], path: Path) -> None:
    """Draw the WER over the updates of pre-training, a panel for each search."""
    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.5), layout="constrained")
    for axis, (search, systems) in zip(axes, curves.items()):
        for system, values in systems.items():
            axis.plot(updates, values, marker="o", label=system)
        axis.axhline(scratch[search], color="grey", linestyle=":", label="scratch")
        axis.set(title=METHODS[search], xlabel="updates of pre-training", ylabel="WER of dev, %", xticks=updates)
        axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def main() -> None:
    (test,) = {path.stem[len("wer-") :] for path in RESULTS.glob("*/1h/1best/wer-test*.json")}
    parts = [f"## Fine-tuned on {subset}\n\n{wer_table(subset, test)}" for subset in ("1h", "all")]
    updates, curves = convergence()
    rows = [
        [system, METHODS[search], *(f"{value:.2f}" for value in values)]
        for search, systems in curves.items()
        for system, values in systems.items()
    ]
    table = markdown_table(["system", "search", *map(str, updates)], rows)
    parts.append(f"## Convergence: WER of dev after so many updates, fine-tuned on 1h, seed 0\n\n{table}")
    scratch = {
        search: mean(best_result(run / "1h" / search / "wer-dev.json")["wer"] for run in runs("scratch"))
        for search in SEARCHES
    }
    plot(updates, curves, scratch, RESULTS / "convergence.png")
    with atomic_path(RESULTS / "README.md") as temporary:
        temporary.write_text("\n\n".join(["# The measurement", *parts, "![convergence](convergence.png)"]) + "\n")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
