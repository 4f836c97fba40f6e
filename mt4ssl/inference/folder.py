"""Models as folders: safetensors and a config, opened without the recipe that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file
from torch import Tensor

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.tokens import TOKEN_FILES, copy_tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

FILES = {
    "README.md", "config.yaml", "model.safetensors", "model.onnx", "config.json", "preprocessor_config.json",
    "tokenizer_config.json", "vocab.json", *TOKEN_FILES,
}  # fmt: skip
"""Names of all files that an export or import writes."""
MADE = "of MT4SSL"
"""What every model card has."""


def check_replaceable(folder: Path, source: Path) -> None:
    """Raise UserError if a model made of `source` would replace something in `folder` that is no exported model."""
    if folder.resolve() == source.resolve():
        raise UserError(f"{folder} would be replaced by what is made of it: choose another folder")
    if not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if others := sorted(names - FILES):
        raise UserError(f"{folder} already exists and is not an exported model alone ({others[0]}): choose another")
    card, config = folder / "README.md", folder / "config.yaml"
    exported = card.exists() and MADE in card.read_text(encoding="utf-8", errors="replace")
    imported = config.exists() and "kind" in (yaml.safe_load(config.read_text(encoding="utf-8")) or {})
    if names and not (exported or imported):
        raise UserError(f"{folder} already exists and is not an exported model: choose another folder")


def save_folder(folder: Path, weights: Mapping[str, Tensor], config: dict[str, Any], lang: Path | None = None) -> None:
    """Write model.safetensors and config.yaml, and the lang dir's token files where there is one."""
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file({name: weight.contiguous() for name, weight in weights.items()}, temporary / "model.safetensors")
        (temporary / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        if lang:
            copy_tokens(lang, temporary)


def save_encoder(folder: Path, encoder: SpeechEncoder, mask_embedding: Tensor, architecture: ModelConfig) -> None:
    """Write a pre-trained encoder, and the mask embedding (C,) that fine-tuning starts from, as a folder."""
    weights = {**encoder.state_dict(), "mask_embedding": mask_embedding}
    save_folder(folder, weights, {"kind": "encoder", "model": asdict(architecture)})


def save_recogniser(folder: Path, model: CtcModel, architecture: ModelConfig, ctc: CtcConfig, lang: Path) -> None:
    """Write a fine-tuned CTC model as a folder."""
    config = {"kind": "ctc", "model": asdict(architecture), "ctc": asdict(ctc)}
    save_folder(folder, model.state_dict(), config, lang)


def read_config(folder: Path, kind: str) -> dict[str, Any]:
    """Read the config of an exported model; UserError unless it is one, of that kind (`encoder` or `ctc`)."""
    config = yaml.safe_load(require(folder / "config.yaml", "made by stage 12 (export)").read_text(encoding="utf-8"))
    if "kind" not in config:
        raise UserError(f"{folder} is the folder of a training: open what stage 12 or mt4ssl.bin.export makes of it")
    if config["kind"] != kind:
        raise UserError(f"{folder} holds a model of kind {config['kind']!r}, not {kind!r}")
    return config
