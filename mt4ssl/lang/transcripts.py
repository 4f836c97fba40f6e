"""Transcripts of a supervision manifest, read in the standard library alone: Lhotse takes seconds to import."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import require


def read_transcripts(path: Path) -> list[str]:
    """Return the texts of a .jsonl.gz of supervisions; UserError for an utterance without text."""
    require(path, "made by stage 1 (manifests)")
    transcripts = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for supervision in map(json.loads, lines):
            text = " ".join((supervision.get("text") or "").split())
            if not text:
                raise UserError(f"{path}: utterance {supervision['id']} has no text: transcribe it, or leave it out")
            transcripts.append(text)
    return transcripts
