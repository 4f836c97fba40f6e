"""A model as a folder that needs no recipe: in this library's own form, for transformers, or as ONNX."""

from __future__ import annotations

from pathlib import Path

import yaml

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


def export_model(folder: Path, form: str, out: Path) -> SpeechEncoder | CtcModel:
    """Export a model into the folder `out`, with its model card; return the model.

    Args:
        folder: of a pre-training, of a fine-tuning, or of a model that was exported or imported before.
        form: `mt4ssl`, `transformers` or `onnx`.
        out: what is there is replaced.

    """
    path = require(folder / "config.yaml", "give the folder of a training, or of an exported model, as --model")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    recognises = "pretrained" in config or config.get("kind") == "ctc"  # a fine-tuning names what it started from
    with atomic_path(out) as temporary:
        model = (write_recogniser if recognises else write_encoder)(folder, form, temporary)
        card = model_card(folder, config, "ctc" if recognises else "encoder", form)
        (temporary / "README.md").write_text(card.replace("FOLDER", out.name), encoding="utf-8")
    return model


def write_encoder(folder: Path, form: str, out: Path) -> SpeechEncoder:
    """Write a pre-trained model into `out`; return it."""
    model, architecture = load_student(folder)
    _, mask_embedding = student_weights(folder)
    if form == "onnx":
        out.mkdir()
        export_onnx(model, architecture, out / "model.onnx")
    elif form == "transformers":
        export_encoder(model, mask_embedding, architecture, out)
    else:
        save_encoder(out, model, mask_embedding, architecture)
    return model


def write_recogniser(folder: Path, form: str, out: Path) -> CtcModel:
    """Write a fine-tuned model into `out`; return it."""
    model, architecture, ctc = open_recogniser(folder)
    if form == "onnx":
        out.mkdir()
        export_onnx(model, architecture, out / "model.onnx")
        copy_tokens(folder, out)
    elif form == "transformers":
        export_ctc(model, architecture, Tokens(folder), out)
    else:
        save_recogniser(out, model, architecture, ctc, folder)
    return model


def open_recogniser(folder: Path) -> tuple[CtcModel, ModelConfig, CtcConfig]:
    """Open the folder of an exported model, or of a fine-tuning, with the last averaged checkpoint of stage 9."""
    if (folder / "model.safetensors").exists():
        exported = Recogniser(folder)
        return exported.model, exported.architecture, exported.ctc
    averaged = sorted(folder.glob("averaged-*.pt"), key=lambda path: path.stat().st_mtime)
    if not averaged:
        raise UserError(f"{folder} has no averaged-*.pt: made by stage 9 (emit)")
    model, config, architecture = load_ctc(folder, averaged[-1])
    return model, architecture, config.ctc
