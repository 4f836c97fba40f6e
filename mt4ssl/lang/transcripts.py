"""Transcripts of a supervision manifest, read in the standard library alone: Lhotse takes seconds to import."""

from __future__ import annotations

import json
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.lines import read_lines


def read_transcripts(path: Path) -> dict[str, str]:
    """Return {utterance id: text} of a .jsonl.gz of supervisions; UserError for an utterance without text."""
    transcripts = {}
    for number, line in enumerate(read_lines(require(path, "made by stage 1 (manifests)")), 1):
        try:
            supervision = json.loads(line)
            utterance, text = supervision["id"], " ".join((supervision.get("text") or "").split())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} line {number} is not a supervision of Lhotse: run stage 1 again") from error
        if not text:
            raise UserError(f"{path}: utterance {utterance} has no text: transcribe it, or leave it out")
        transcripts[utterance] = text
    return transcripts
