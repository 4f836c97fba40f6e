"""Features of frames to cluster: MFCC, or a layer of a pre-trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from mt4ssl.clustering.kmeans import FrameFeatures, KMeansConfig
from mt4ssl.data.features import make_extractor
from mt4ssl.data.loading import check_finite, load_input
from mt4ssl.data.signals import FBANK_SHIFT
from mt4ssl.errors import UserError
from mt4ssl.models.frontend import normalise
from mt4ssl.models.long_utterances import encode_in_windows
from mt4ssl.models.pretrained import load_student
from mt4ssl.models.speech import SpeechEncoder


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
        frontend = self.architecture.frontend
        x = torch.from_numpy(load_input(cut, frontend.reads))[None].to(self.device)
        if frontend.frames(x.size(1)) < 1:
            return np.empty((0, self.architecture.encoder.dim), np.float32)
        lengths = torch.tensor([x.size(1)], device=self.device)
        (features,) = encode_in_windows(self.encoder, self.encode, x, lengths, frontend)
        return check_finite(features[0].float().cpu().numpy(), cut)

    def encode(self, encoder: SpeechEncoder, x: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the features (1, T', ...) of one utterance, alone in a list."""
        return [encoder.layer(x, lengths, self.layer)]


class AllLayers(LayerFeatures):
    """From a cut to the features (T', L + 1, C) of layers 0 to L, numbered as in LayerFeatures, of one pass."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 0)

    def encode(self, encoder: SpeechEncoder, x: Tensor, lengths: Tensor) -> list[Tensor]:
        first = encoder.encoder.embed(encoder.project(x, lengths)[0])
        return [torch.stack([first, *encoder.encoder.run(first)[0]], 2)]


class MfccFeatures:
    """From a cut to its MFCC (T, 39), stored or computed; with zero mean and unit variance where asked for."""

    frame_shift = FBANK_SHIFT

    def __init__(self, normalised: bool) -> None:
        self.normalised, self.extractor = normalised, make_extractor("mfcc")

    def __call__(self, cut: Cut) -> np.ndarray:
        stored = cut.has_features and cut.features.type == self.extractor.name
        x = check_finite(cut.load_features() if stored else cut.compute_features(self.extractor), cut)
        return normalise(torch.from_numpy(x)[None], torch.tensor([len(x)]))[0].numpy() if self.normalised else x


def frame_features(config: KMeansConfig) -> FrameFeatures:
    """Return the function from a cut to the features that a K-means clusters."""
    if config.features == "layer":
        return LayerFeatures(Path(config.checkpoint), config.layer)
    return MfccFeatures(config.normalise)
