"""Stage 1 on many short recordings: its time and memory, once as it comes and once when it was run before."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np
import soundfile
from rows import Row, out_argument, write_rows

RECORDINGS, SECONDS, DIFFERENT = 100_000, 0.3, 100
CONFIG = "splits: {{folder: {{audio: {0}/audio}}, kaldi: {{kaldi: {0}/kaldi}}}}\n"


def make_corpus(folder: Path) -> None:
    """Write a hundred folders of short FLAC files, a Kaldi directory of the same files, and the config of both."""
    rng, contents = np.random.default_rng(0), []
    for _ in range(DIFFERENT):
        soundfile.write(folder / "one.flac", rng.normal(scale=0.1, size=round(16000 * SECONDS)), 16000)
        contents.append((folder / "one.flac").read_bytes())
    lists: dict[str, list[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
    for number in range(RECORDINGS):
        path = folder / f"audio/{number // 1000:03d}/{number:06d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % DIFFERENT])
        for name, value in (("wav.scp", path), ("text", "TWO WORDS"), ("utt2spk", f"speaker{number // 1000}")):
            lists[name].append(f"{number:06d} {value}\n")
    (folder / "kaldi").mkdir()
    for name, lines in lists.items():
        (folder / "kaldi" / name).write_text("".join(lines))
    (folder / "corpus.yaml").write_text(CONFIG.format(folder))


def memory(pid: int) -> float:
    """MiB that a process and its children hold now; what they share is counted once (PSS)."""
    try:
        own = int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[1]) / 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, TypeError):  # it has ended
        return 0.0
    return own + sum(memory(int(child)) for child in children)


def watch(command: Sequence[str | Path], pause: float, **outputs: IO[str] | int) -> tuple[int, float, float]:
    """Run a command; return its status, its seconds, and the most MiB that all its processes held together."""
    begin, most = time.perf_counter(), 0.0
    with subprocess.Popen(command, **outputs) as process:
        while process.poll() is None:
            most = max(most, memory(process.pid))
            time.sleep(pause)
    return process.returncode, time.perf_counter() - begin, most


def prepare(folder: Path, split: str) -> tuple[float, float]:
    """Run stage 1 with two processes; return seconds and the most MiB seen."""
    command = [sys.executable, "-m", "mt4ssl.bin.prepare_manifests", "--config", folder / "corpus.yaml"]
    command += ["--corpus", "many", "--split", split, "--out", folder / split, "--nj", "2"]
    status, seconds, most = watch(command, 2, stdout=subprocess.DEVNULL)
    assert status == 0
    return seconds, most


def main() -> None:
    out = out_argument(__doc__ or "")
    rows = []
    with TemporaryDirectory() as name:
        make_corpus(Path(name))
        for split, layout in (("folder", "a folder of audio"), ("kaldi", "a Kaldi directory")):
            first, most = prepare(Path(name), split)
            again, most_again = prepare(Path(name), split)
            work = f"stage 1 of {layout} with {RECORDINGS} recordings of {SECONDS} s, two processes"
            note = f"run again {again:.0f} s and {most_again:.0f} MiB; files in the page cache"
            rows += [
                Row(work, first, "s", "< 600", first < 600, note),
                Row(f"memory of {work}", most, "MiB", "< 1024", most < 1024, "all processes together (PSS)"),
            ]
    write_rows(rows, out)


if __name__ == "__main__":
    main()
