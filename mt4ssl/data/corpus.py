"""The config of a corpus, conf/corpus.yaml: where the speech of each split is, and how its text is written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mt4ssl.config import build
from mt4ssl.data.layouts import LAYOUTS, Layout
from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.lang.text import TextConfig
from mt4ssl.ranges import Share


@dataclass
class Corpus:
    """A corpus: its splits, and what is the same for all of them."""

    splits: dict[str, Any]
    """Where the speech of each split is: a layout and its path (audio, kaldi, lhotse, table, librispeech, part_of)."""
    text: TextConfig = field(default_factory=TextConfig)
    """The form of all text."""
    lm_text: list[str] = field(default_factory=list)
    """Files of text for language models, with `*` and `?`; without any, the transcripts of the labelled sets serve."""
    max_seconds: float = 12.0
    """Audio without segments and text that lasts longer is cut into windows of at most so many seconds."""
    max_rejected: Share = 0.01
    """Part of a split's utterances that may be rejected before stage 1 stops."""

    def __post_init__(self) -> None:
        if self.max_seconds < 1:
            raise ValueError(f"max_seconds is {self.max_seconds:g}: a window needs a second at least")
        self.splits = {str(name): split for name, split in self.splits.items()}  # 10: would be a number

    def layout(self, split: str) -> Layout:
        """Return where the speech of a split is; UserError if it is not known, or said wrongly."""
        if split not in self.splits:
            raise UserError(f"conf/corpus.yaml has no split {split!r}: it has {', '.join(self.splits)}")
        if not isinstance(self.splits[split], dict):
            raise UserError(f"split {split} needs a layout and its path, as in `{split}: {{audio: /data/{split}}}`")
        keys = [key for key in LAYOUTS if key in self.splits[split]]
        if len(keys) != 1:
            found = " and ".join(keys) or "none"
            raise UserError(f"split {split} needs exactly one of {', '.join(LAYOUTS)}; it has {found}")
        try:
            return build(LAYOUTS[keys[0]], self.splits[split])
        except UserError as error:
            raise UserError(f"split {split}: {error}") from error


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; PyYAML would keep the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"line {node.start_mark.line + 1}: {key} stands twice: keep one")
        return super().construct_mapping(node, deep)


def expand(value: Any) -> Any:
    """Replace $NAME in all strings by the environment variable; UserError if there is none of that name."""
    if isinstance(value, dict):
        return {key: expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item) for item in value]
    if not isinstance(value, str):
        return value
    for name in re.findall(r"\$\{?(\w+)", value):
        if name not in os.environ:
            raise UserError(f"{value}: the environment has no variable {name}")
    return os.path.expandvars(value)


def read_corpus(path: Path) -> Corpus:
    """Read conf/corpus.yaml, with $NAME for a variable of the environment; UserError names the file."""
    content = require(path, "it says where the speech is").read_bytes()
    try:
        values = yaml.load(content, UniqueKeyLoader)  # noqa: S506  (it is a SafeLoader)
        if not isinstance(values, dict):
            raise UserError("it needs `splits:`, which says where the speech is")
        corpus = build(Corpus, expand(values))
        for split in corpus.splits:
            corpus.layout(split)
    except (UserError, yaml.YAMLError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
    return corpus
