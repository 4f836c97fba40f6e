"""Pre-trained models as later stages use them: architecture, weights, features of a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

import numpy as np
import torch
import yaml
from lhotse.cut import Cut
from safetensors.torch import load_file
from torch import Tensor

from mt4ssl.checkpoint import load_checkpoint, load_weights
from mt4ssl.config import build
from mt4ssl.data.datasets import load_input
from mt4ssl.data.features import make_extractor
from mt4ssl.data.rates import FBANK_SHIFT
from mt4ssl.errors import UserError
from mt4ssl.files import require
from mt4ssl.models.frontend import normalise
from mt4ssl.models.mt4ssl import ModelConfig, SpeechEncoder
from mt4ssl.targets.offline import FrameFeatures, KMeansConfig


def load_architecture(folder: Path) -> ModelConfig:
    """Read the network's config from the folder of a pre-training, or of an exported or imported encoder."""
    text = require(folder / "config.yaml", "made by stage 5 (pretrain) or import_checkpoint").read_text()
    config = yaml.safe_load(text)
    if "ctc" in config:
        raise UserError(f"{folder} holds a fine-tuned model: name the folder of a pre-trained one")
    return build(ModelConfig, config["model"])


def student_weights(folder: Path) -> Tuple[Dict[str, Tensor], Tensor]:
    """Read the weights of the SpeechEncoder, and the mask embedding (C,), from a folder of either kind."""
    if (folder / "model.safetensors").exists():
        encoder = load_file(folder / "model.safetensors")
        return encoder, encoder.pop("mask_embedding")
    weights = load_checkpoint(folder / "final.pt")["model"]
    encoder = {name.removeprefix("student."): w for name, w in weights.items() if name.startswith("student.")}
    return encoder, weights["mask_embedding"]


def load_student(folder: Path) -> Tuple[SpeechEncoder, ModelConfig]:
    """Open a pre-trained encoder, in eval mode."""
    architecture = load_architecture(folder)
    encoder = SpeechEncoder(architecture)
    load_weights(encoder, student_weights(folder)[0], folder)
    return encoder.eval(), architecture


class LayerFeatures:
    """From a cut to the features (T', C) of a layer of a pre-trained model; a cut too short for a frame has none.

    Layer L is `hidden_states[L]` of s3prl and transformers: the output of layer L, or with 0 the input of the first.
    With `pre_norm` the last comes with the final LayerNorm: transformers 5 has that as `last_hidden_state` alone.
    Raises UserError if the model has no such layer.
    """

    def __init__(self, folder: Path, layer: int) -> None:
        self.encoder, self.architecture = load_student(folder)
        layers = self.architecture.encoder.layers
        if not 0 <= layer <= layers:
            raise UserError(f"{folder} has {layers} layers: layer {layer} is not one of 0 to {layers}")
        self.layer, self.frame_shift = layer, self.architecture.frontend.frame_shift
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.encoder.to(self.device)

    @torch.inference_mode()
    def __call__(self, cut: Cut) -> np.ndarray:
        x = torch.from_numpy(load_input(cut, self.architecture.frontend))[None].to(self.device)
        if self.architecture.frontend.frames(x.size(1)) < 1:
            return np.empty((0, self.architecture.encoder.dim), np.float32)
        x, _ = self.encoder.project(x, torch.tensor([x.size(1)], device=self.device))
        transformer = self.encoder.encoder
        x = transformer(x, last_layer=self.layer)[0][-1] if self.layer else transformer.embed(x)
        return x[0].float().cpu().numpy()


class MfccFeatures:
    """From a cut to its MFCC (T, 39), stored or computed; with zero mean and unit variance where asked for."""

    frame_shift = FBANK_SHIFT

    def __init__(self, normalised: bool) -> None:
        self.normalised, self.extractor = normalised, make_extractor("mfcc")

    def __call__(self, cut: Cut) -> np.ndarray:
        x = cut.load_features() if cut.has_features else cut.compute_features(self.extractor)
        return normalise(torch.from_numpy(x)[None], torch.tensor([len(x)]))[0].numpy() if self.normalised else x


def frame_features(config: KMeansConfig) -> FrameFeatures:
    """Return the function from a cut to the features that a K-means clusters."""
    if config.features == "layer":
        return LayerFeatures(Path(config.checkpoint), config.layer)
    return MfccFeatures(config.normalise)
