"""Write benchmarks/RESULTS.md from what the benches have left in benchmarks/out."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from datetime import date
from pathlib import Path

from mt4ssl.files import atomic_path
from mt4ssl.scoring.report import machine
from mt4ssl.table import markdown_table

HERE = Path(__file__).parent
PEERS = "torch torchaudio transformers scikit-learn faiss-cpu lhotse kaldi-native-fbank".split()
VERDICT = {True: "met", False: "missed", None: ""}


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    results = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "out").glob("*.json"))}
    compared: list[list] = []
    absolute: list[list] = []
    for bench, content in results.items():
        for row in content["rows"]:
            judged = [row["target"], VERDICT[row["met"]], row["note"]]
            if row["ratio"] is not None:
                compared.append([row["work"], row["peer"], f"{row['ratio']:.2f} x", *judged])
                judged = ["", "", ""]
            absolute.append([bench, row["work"], number(row["ours"]), number(row["theirs"]), row["unit"], *judged])
    commits = {content["commit"] for content in results.values()}
    if len(commits) == 1:
        commit = f"commit `{commits.pop()}`"
    else:
        commit = "commits " + ", ".join(f"`{content['commit']}` ({bench})" for bench, content in results.items())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    parts = [
        "# Benchmarks",
        (
            f"`benchmarks/run.sh`, {date.today()}, {commit}; {machine()}; Python {platform.python_version()}, "
            f"{versions}. Ours and the peer in turn on the same work; ratios are medians of pairs, above 1 where ours "
            "is faster."
        ),
        markdown_table(["work", "peer", "ratio", "target", "", "note"], compared),
        "## Absolute figures",
        markdown_table(["bench", "work", "ours", "peer", "unit", "target", "", "note"], absolute),
        *(f"## {bench}\n\n{content['tables']}" for bench, content in results.items() if content["tables"]),
        (HERE / "NOTES.md").read_text().strip(),
    ]
    with atomic_path(HERE / "RESULTS.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"written: {HERE / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
