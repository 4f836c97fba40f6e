"""A model as a folder that needs no recipe: in this library's own form, for transformers, or as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from torch import Tensor

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.inference.card import model_card
from mt4ssl.inference.folder import save_encoder, save_recogniser
from mt4ssl.inference.models import Recogniser
from mt4ssl.interop.huggingface import export_ctc, export_encoder
from mt4ssl.interop.onnx import export_onnx
from mt4ssl.lang.tokens import Tokens, copy_tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.pretrained import load_student, student_weights
from mt4ssl.models.speech import ModelConfig, SpeechEncoder
from mt4ssl.train.finetuning import load_ctc


class EncoderSource(NamedTuple):
    """A pre-trained model to export."""

    config: dict[str, Any]
    """The content of its config.yaml."""
    model: SpeechEncoder
    architecture: ModelConfig
    mask_embedding: Tensor
    """The mask embedding (C,), which fine-tuning starts from."""

    def write(self, form: str, folder: Path) -> None:
        """Write the model into `folder`, as `mt4ssl`, `transformers` or `onnx`."""
        if form == "onnx":
            folder.mkdir()
            export_onnx(self.model, self.architecture, folder / "model.onnx")
        elif form == "transformers":
            export_encoder(self.model, self.mask_embedding, self.architecture, folder)
        else:
            save_encoder(folder, self.model, self.mask_embedding, self.architecture)


class CtcSource(NamedTuple):
    """A fine-tuned model to export."""

    config: dict[str, Any]
    """The content of its config.yaml."""
    model: CtcModel
    architecture: ModelConfig
    ctc: CtcConfig
    lang: Path
    """Folder with the model's tokens."""

    def write(self, form: str, folder: Path) -> None:
        """Write the model into `folder`, as `mt4ssl`, `transformers` or `onnx`."""
        if form == "onnx":
            folder.mkdir()
            export_onnx(self.model, self.architecture, folder / "model.onnx")
            copy_tokens(self.lang, folder)
        elif form == "transformers":
            export_ctc(self.model, self.architecture, Tokens(self.lang), folder)
        else:
            save_recogniser(folder, self.model, self.architecture, self.ctc, self.lang)


def open_source(folder: Path) -> EncoderSource | CtcSource:
    """Open the folder of a pre-training, of a fine-tuning, or of a model that was exported or imported before."""
    path = require(folder / "config.yaml", "give the folder of a training, or of an exported model, as --model")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "pretrained" in config:  # a fine-tuning names what it started from
        model, finetune, architecture = load_ctc(folder, _averaged_weights(folder))
        return CtcSource(config, model, architecture, finetune.ctc, folder)
    if config.get("kind") == "ctc":
        recogniser = Recogniser(folder)
        return CtcSource(config, recogniser.model, recogniser.architecture, recogniser.ctc, folder)
    return EncoderSource(config, *load_student(folder), student_weights(folder)[1])


def _averaged_weights(folder: Path) -> Path:
    """The averaged checkpoint that stage 9 wrote last."""
    found = sorted(folder.glob("averaged-*.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"{folder} has no averaged-*.pt: made by stage 9 (emit)")
    return found[-1]


def export_model(folder: Path, form: str, out: Path) -> EncoderSource | CtcSource:
    """Export the model of a folder into `out`, with its model card; return the model."""
    source = open_source(folder)
    with atomic_path(out) as temporary:
        source.write(form, temporary)
        card = model_card(folder, source.config, "ctc" if isinstance(source, CtcSource) else "encoder", form)
        (temporary / "README.md").write_text(card.replace("FOLDER", out.name), encoding="utf-8")
    return source
