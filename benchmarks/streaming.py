"""Stages 1 to 4 of a recipe on many short recordings: time, memory and disk of each stage, with two processes."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from rows import Row, write_rows
from stage1 import watch

from mt4ssl.table import markdown_table, print_table

ROOT = Path(__file__).resolve().parent.parent
SECONDS, DIFFERENT, SPEAKERS, SMALL = 0.5, 48, 1000, 20
STAGES = {1: "manifests", 2: "features", 3: "kmeans", 4: "labels"}
CORPUS = """splits:
  train: {table: download/train.tsv}
  labelled: {part_of: train, ids: download/labelled.txt}
  dev: {table: download/dev.tsv}
  test: {table: download/test.tsv}
"""
KMEANS = "{clusters: 20, iterations: 1, restarts: 1, max_frames: 100000}\n"


def make_recipe(folder: Path, utterances: int) -> None:
    """Write a recipe, and a corpus of links to a few different files: a tenth of its training set is labelled."""
    subprocess.run([ROOT / "utils/new_recipe.sh", folder, "--size", "tiny"], check=True)
    (folder / "conf/corpus.yaml").write_text(CORPUS)
    (folder / "conf/kmeans.yaml").write_text(KMEANS)
    script = folder / "run.sh"
    script.write_text(script.read_text().replace("labelled_set=train ", "labelled_set=labelled "))
    rng, corpus = np.random.default_rng(0), folder / "download"
    corpus.mkdir()
    for number in range(DIFFERENT):
        soundfile.write(corpus / f"{number}.wav", rng.normal(scale=0.1, size=round(16000 * SECONDS)), 16000)
    for split, count in (("train", utterances), ("dev", SMALL), ("test", SMALL)):
        with (corpus / f"{split}.tsv").open("w") as table:
            table.write("audio\tid\tspeaker\ttext\n")
            for number in range(count):
                path = corpus / f"{split}/{number // 1000:04d}/{number:07d}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(corpus / f"{number % DIFFERENT}.wav", path)
                table.write(f"{path}\t{split}-{number:07d}\t{split}-{number % SPEAKERS}\tTWO WORDS\n")
    with (corpus / "labelled.txt").open("w") as labelled:
        labelled.writelines(f"train-{number:07d}\n" for number in range(0, utterances, 10))


def run_stage(folder: Path, stage: int) -> tuple[float, float]:
    """Run one stage; return seconds and the most MiB that all its processes held together."""
    command = [folder / "run.sh", "--stage", str(stage), "--stop-stage", str(stage), "--nj", "2"]
    with (folder / f"stage{stage}.log").open("w") as log:
        status, seconds, most = watch(command, 0.5, stdout=log, stderr=log)
    if status:
        raise SystemExit((folder / f"stage{stage}.log").read_text())
    return seconds, most


def disk(folder: Path) -> float:
    """MiB of all files that a recipe has made."""
    files = (path for made in ("data", "exp") for path in (folder / made).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=300_000, help="of the training set; default: 300000")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write the rows to")
    args = parser.parse_args()
    rows, lines, before = [], [], 0.0
    header = ["stage", "utterances", "seconds", "utterances a second", "peak memory, MiB", "MiB on disk"]
    with TemporaryDirectory() as name:
        folder = Path(name) / "many"
        make_recipe(folder, args.utterances)
        for stage, title in STAGES.items():
            seconds, most = run_stage(folder, stage)
            made = disk(folder) - before
            before += made
            work = f"stage {stage} ({title}) with {args.utterances} utterances of {SECONDS:g} s, two processes"
            note = f"all processes together (PSS); {seconds:.0f} s"
            rows.append(Row(f"memory of {work}", most, "MiB", "<= 2048", most <= 2048, note))
            lines.append([f"{stage} {title}", args.utterances, seconds, args.utterances / seconds, most, made])
            print_table(work, header, [lines[-1]])
    write_rows(rows, args.out, markdown_table(header, lines))
    print_table(f"Stages 1 to 4 with {args.utterances} utterances", header, lines)


if __name__ == "__main__":
    main()
