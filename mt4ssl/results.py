"""What trainings and scorings leave behind, read back: logs, error rates, and the commit they ran on."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from mt4ssl.files import require

METHODS = {"ctc-greedy-search": "greedy", "1best": "HLG, 3-gram", "whole-lattice-rescoring": "4-gram rescoring"}


def read_log(folder: Path, split: str) -> list[dict[str, Any]]:
    """Return the logged values of `train` or `dev` of a training, one dict per logged update."""
    lines = require(folder / "log.jsonl", "made by stages 5 and 8").read_text().splitlines()
    return [values for values in map(json.loads, lines) if values["split"] == split]


def best_result(path: Path) -> dict[str, Any]:
    """Return the scores of the settings with the lowest WER in a wer-SPLIT.json, and these as `settings`."""
    scores = json.loads(require(path, "made by stages 9 and 10").read_text())
    return {"settings": scores["best"], **scores["results"][scores["best"]]}


def best_wer(path: Path) -> str:
    """Return the lowest WER in a wer-SPLIT.json, in percent, with its 95 % interval, if known; a PER says so."""
    best = best_result(path)
    phones = " PER" if rate_name([path]) == "PER" else ""
    return wer_cell(best["wer"], best["ci95"]) + phones


def wer_cell(wer: float, ci95: Sequence[float] | None) -> str:
    """Return a WER and the ends of its interval, if known, in percent, as tables show them."""
    return f"{wer:.2f} ({interval_cell(ci95)})" if ci95 else f"{wer:.2f}"


def interval_cell(ci95: Sequence[float] | None) -> str:
    """Return the ends of an interval as tables show them; "-" where there is none."""
    return "{:.2f} - {:.2f}".format(*ci95) if ci95 else "-"


def rate_name(paths: Iterable[Path]) -> str:
    """Return what the rates in some wer-SPLIT.json are called: WER, CER where characters are words, PER of phones."""
    return " and ".join(sorted({json.loads(path.read_text()).get("rate", "WER") for path in paths}))


def wer_notes(paths: Iterable[Path]) -> list[str]:
    """Return what some wer-SPLIT.json say about their splits, each sentence once."""
    notes = (json.loads(path.read_text()).get("note") for path in paths)
    return [note for note in dict.fromkeys(notes) if note]


def log_probs_id(scores: Path) -> str | None:
    """Return what tells the log-probs that the model of a MODEL/SEARCH/wer-SPLIT.json has now from others.

    It is a hash of the mean posteriors of the tokens, which stage 9 writes beside the log-probs; None without them.
    Unlike the times of files, it is the same in a copy.
    """
    prior = scores.parents[1] / "log_probs" / f"{scores.stem.removeprefix('wer-')}.prior"
    return sha256(prior.read_bytes()).hexdigest()[:12] if prior.exists() else None


def is_outdated(scores: Path) -> bool:
    """Whether a wer-SPLIT.json is of other log-probs than its model has now, such as those of another --avg.

    Files that do not say of which they are, or have no log-probs beside them, are taken as they are.
    """
    then, now = json.loads(scores.read_text()).get("log_probs"), log_probs_id(scores)
    return None not in (then, now) and then != now


def commit() -> str:
    """Return the commit of this library's repository, or "unknown" outside one or without git."""
    if shutil.which("git") is None:
        return "unknown"
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
