"""Pre-trained models as later stages open them: architecture and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from torch import Tensor, nn

from mt4ssl.checkpoint import load_checkpoint, load_safetensors, load_weights
from mt4ssl.config import build
from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.models.frontend import FrontendConfig
from mt4ssl.models.speech import ModelConfig, SpeechEncoder

DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "layerdrop")
"""Settings of an encoder that no weight depends on."""


def load_architecture(folder: Path) -> ModelConfig:
    """Read the network's config from the folder of a pre-training, or of an exported or imported encoder."""
    text = require(folder / "config.yaml", "made by stage 5 (pretrain) or import_checkpoint").read_text()
    config = yaml.safe_load(text) or {}
    if "ctc" in config:
        raise UserError(f"{folder} holds a fine-tuned model: name the folder of a pre-trained one")
    if "model" not in config:
        raise UserError(f"{folder / 'config.yaml'} says nothing of a model: name the folder of a pre-trained one")
    return build(ModelConfig, config["model"])


def student_weights(folder: Path) -> tuple[dict[str, Tensor], Tensor]:
    """Read the weights of the SpeechEncoder, and the mask embedding (C,), from a folder of either kind."""
    if (folder / "model.safetensors").exists():
        encoder = load_safetensors(folder / "model.safetensors")
        return encoder, encoder.pop("mask_embedding")
    weights = load_checkpoint(folder / "final.pt")["model"]
    encoder = {name.removeprefix("student."): w for name, w in weights.items() if name.startswith("student.")}
    return encoder, weights["mask_embedding"]


def check_architecture(ours: ModelConfig, folder: Path, sections: Sequence[str] = ("frontend", "encoder")) -> None:
    """Raise UserError naming the first setting, dropouts aside, in which a network differs from the one in `folder`."""
    theirs = load_architecture(folder)
    for section in sections:
        for key, value in vars(getattr(theirs, section)).items():
            mine = getattr(getattr(ours, section), key)
            if mine != value and key not in DROPOUTS:
                difference = f"model.{section}.{key} is {mine}, but {value} in {folder}"
                raise UserError(f"{difference}: set `model` as {folder}/config.yaml has it")


def open_frozen(
    folder: str, layers: int, codes: str | None, classes: int, frontend: FrontendConfig
) -> tuple[SpeechEncoder, int]:
    """Open a pre-trained encoder, up to layer `layers`, for targets of a student with that front-end; and its channels.

    It reads what the student does or, with `codes`, the labels of that name, which are of so many classes. Raises
    UserError if it has fewer layers, reads something else, or its frames are not those of the student.
    """
    encoder, architecture = load_student(Path(folder))
    if not 1 <= layers <= architecture.encoder.layers:
        raise UserError(f"target of layer {layers} of {folder}, which has {architecture.encoder.layers} layers")
    check_codes(folder, architecture.frontend, codes or frontend.reads.labels, classes or frontend.reads.classes)
    if not architecture.frontend.same_frames(frontend):
        raise UserError(
            f"{folder} reads {architecture.frontend.type} every {architecture.frontend.frame_shift} s, but "
            f"model.frontend {frontend.type} every {frontend.frame_shift} s: give the student the same frames, and a "
            "model of codes no strides"
        )
    del encoder.encoder.layers[layers:]
    return encoder, architecture.encoder.dim


class Projection(nn.Module):
    """Front-end and projection of a model, without its layers."""

    def __init__(self, model: SpeechEncoder) -> None:
        super().__init__()
        del model.encoder
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return projected features (B, T', C) of inputs that are equally long."""
        return self.model.project(inputs, None)[0]


def open_frontend(folder: str, ours: ModelConfig) -> Projection:
    """Open front-end and projection of a pre-trained model of waveforms, for a student of fbank to learn from.

    Raises UserError if either reads something else, or what their layers read is of another rate or size.
    """
    encoder, theirs = load_student(Path(folder))
    kinds = theirs.frontend.type, ours.frontend.type
    if kinds != ("waveform", "fbank"):
        raise UserError(f"{folder} reads {kinds[0]}, the student {kinds[1]}: it must be waveform, and fbank")
    for what, mine, its in (
        ("frames every {} s", ours.frontend.frame_shift, theirs.frontend.frame_shift),
        ("{} channels", ours.encoder.dim, theirs.encoder.dim),
    ):
        if mine != its:
            raise UserError(f"{folder} has {what.format(its)}, the student {what.format(mine)}: they must be the same")
    return Projection(encoder)


def check_codes(folder: str, frontend: FrontendConfig, codes: str, classes: int) -> None:
    """Raise UserError unless a front-end reads the labels of that name, of so many classes; speech where it is ""."""
    reads = frontend.reads
    if reads.labels != codes:
        raise UserError(
            f"{folder} reads {reads.labels or 'speech'}, but is given {codes or 'speech'}: `codes` of the target names "
            "the labels that a model reads"
        )
    if classes > reads.classes:
        raise UserError(f"{folder} knows {reads.classes} labels, but there are {classes} {codes!r}: train it on these")


def load_student(folder: Path) -> tuple[SpeechEncoder, ModelConfig]:
    """Open a pre-trained encoder, in eval mode."""
    architecture = load_architecture(folder)
    encoder = SpeechEncoder(architecture)
    load_weights(encoder, student_weights(folder)[0], folder)
    return encoder.eval(), architecture
