"""Stage 12 and weights out: a model as a folder that needs no recipe.

`mt4ssl` is this library's own: safetensors, config and tokens. `transformers` is opened by AutoModel, and by
pipeline("automatic-speech-recognition") if the model is fine-tuned; only waveform front-ends exist there. `onnx` takes
waveforms of any length, whatever the front-end. Each folder has a model card.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Union

import yaml
from torch import Tensor

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.interop.card import model_card
from mt4ssl.interop.folder import Recogniser, check_replaceable, save_encoder, save_recogniser
from mt4ssl.interop.huggingface import export_ctc, export_encoder
from mt4ssl.interop.onnx import export_onnx
from mt4ssl.lang.tokens import Tokens, copy_tokens
from mt4ssl.models.ctc import CtcConfig, CtcModel
from mt4ssl.models.mt4ssl import ModelConfig, SpeechEncoder
from mt4ssl.models.pretrained import load_student, student_weights
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import load_ctc


class Source(NamedTuple):
    """A model to export."""

    config: Dict[str, Any]
    """The content of its config.yaml."""
    model: Union[SpeechEncoder, CtcModel]
    architecture: ModelConfig
    mask_embedding: Optional[Tensor] = None
    """(C,), of an encoder."""
    ctc: Optional[CtcConfig] = None
    """Of a CTC model, as is the next."""
    lang: Optional[Path] = None
    """Folder with its tokens."""


def open_source(folder: Path) -> Source:
    """Open the folder of a pre-training, of a fine-tuning, or of a model that was exported or imported before."""
    path = require(folder / "config.yaml", "give the folder of a training, or of an exported model, as --exp")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "pretrained" in config:  # a fine-tuning names what it started from
        model, finetune, architecture = load_ctc(folder, averaged_weights(folder))
        return Source(config, model, architecture, ctc=finetune.ctc, lang=folder)
    if config.get("kind") == "ctc":
        recogniser = Recogniser(folder)
        return Source(config, recogniser.model, recogniser.architecture, ctc=recogniser.ctc, lang=folder)
    return Source(config, *load_student(folder), mask_embedding=student_weights(folder)[1])


def averaged_weights(folder: Path) -> Path:
    """The averaged checkpoint that stage 9 wrote last."""
    found = sorted(folder.glob("averaged-*.pt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"{folder} has no averaged-*.pt: made by stage 9 (emit)")
    return found[-1]


def export(source: Source, form: str, folder: Path) -> None:
    """Write the model into `folder`, as `mt4ssl`, `transformers` or `onnx`."""
    _, model, architecture, mask_embedding, ctc, lang = source
    if form == "onnx":
        folder.mkdir()
        export_onnx(model, architecture, folder / "model.onnx")
        if lang:
            copy_tokens(lang, folder)
    elif form == "transformers" and lang:
        export_ctc(model, architecture, Tokens(lang), folder)
    elif form == "transformers":
        export_encoder(model, mask_embedding, architecture, folder)
    elif lang:
        save_recogniser(folder, model, architecture, ctc, lang)
    else:
        save_encoder(folder, model, mask_embedding, architecture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, required=True, help="folder of a training, or of an exported model")
    parser.add_argument("--to", choices=("mt4ssl", "transformers", "onnx"), default="mt4ssl")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    args = parser.parse_args()

    out = args.out.resolve()  # of `.` too the name is known
    check_replaceable(out)
    source = open_source(args.exp)
    with atomic_path(out) as folder:
        export(source, args.to, folder)
        card = model_card(args.exp, source.config, "ctc" if source.lang else "encoder", args.to)
        (folder / "README.md").write_text(card.replace("FOLDER", out.name), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
    parameters = sum(p.numel() for p in source.model.parameters()) / 1e6
    print_table(
        f"export of {args.exp}", ["folder", "as", "parameters (M)", "MiB"], [[args.out, args.to, parameters, size]]
    )


if __name__ == "__main__":
    run_main(main)
